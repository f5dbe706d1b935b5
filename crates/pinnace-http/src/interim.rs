//! Interim responses (RFC 9110 section 15.2): what a service says before its answer, such as 103 with `Link` fields.
//!
//! They are HTTP/1.1 only: hyper, which speaks HTTP/2 here, has no way to send them. They are hints, so nothing is lost.

use std::sync::Arc;
use std::task::Waker;

use http::{HeaderMap, StatusCode};

use crate::Connection;
use crate::http1::encode;

/// Bytes of interim responses that may wait for the socket.
const MAX_WAITING: usize = 16 << 10;

/// The way to interim responses for one request; see [`Connection::interim`].
#[derive(Clone, Debug)]
pub struct Interim {
    connection: Arc<Connection>,
    exchange: u64,
}

/// Interim responses on their way to the driver of a connection.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// How many requests were begun; none is confused with the one that comes after it.
    exchange: u64,
    /// The last of them waits for its answer, and its client speaks HTTP/1.1.
    is_taken: bool,
    queued: Vec<u8>,
    driver: Option<Waker>,
}

impl Connection {
    /// The way to interim responses for the request that is being answered; nothing where its client would not understand
    /// them (HTTP/1.0) or they cannot be sent (HTTP/2). To be asked for before the answer has begun.
    pub fn interim(self: &Arc<Self>) -> Option<Interim> {
        let waiting = self.activity.interim();
        waiting.is_taken.then(|| Interim { connection: Arc::clone(self), exchange: waiting.exchange })
    }
}

impl Interim {
    /// Sends an interim response. False where that cannot be: the answer has begun, the status is 100 (which is sent when the
    /// handler first reads the body), 101 or none of 1xx, or too many wait already.
    pub fn send(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let is_sendable =
            status.is_informational() && !matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS);
        if !is_sendable {
            return false;
        }
        let mut waiting = self.connection.activity.interim();
        if !waiting.is_taken || waiting.exchange != self.exchange || waiting.queued.len() > MAX_WAITING {
            return false;
        }
        encode::interim(&mut waiting.queued, status, headers);
        let driver = waiting.driver.take();
        drop(waiting);
        if let Some(driver) = driver {
            driver.wake();
        }
        true
    }
}

impl Waiting {
    /// A request is being answered.
    pub(crate) fn begin(&mut self, is_taken: bool) {
        self.exchange += 1;
        self.is_taken = is_taken;
    }

    /// Moves what is queued to the output; remembers whom to wake for more.
    pub(crate) fn take(&mut self, output: &mut Vec<u8>, driver: &Waker) {
        output.append(&mut self.queued);
        if !self.driver.as_ref().is_some_and(|known| known.will_wake(driver)) {
            self.driver = Some(driver.clone());
        }
    }

    /// The answer begins.
    pub(crate) fn end(&mut self, output: &mut Vec<u8>) {
        self.is_taken = false;
        output.append(&mut self.queued);
    }
}
