//! How a server stops without losing a request.
//!
//! HTTP/1 has no way for a server to say "send no more" on an idle connection, so closing one can cross with a request
//! that is on its way, and a client may not repeat a `POST`. A draining server therefore goes on answering idle
//! connections for a *linger* that is longer than its clients keep idle connections, and says `Connection: close` in
//! every response. A client that uses its connection learns in time; one that does not drops it first. HTTP/2 has
//! GOAWAY for this, which is sent at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Tells servers to drain; clones share one state.
#[derive(Clone, Debug)]
pub struct Drain {
    deadlines_tx: Arc<watch::Sender<Option<Deadlines>>>,
}

/// The two moments of a drain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Deadlines {
    /// Idle connections are closed from here on.
    pub(crate) linger: Instant,
    /// Everything is cut here.
    pub(crate) cut: Instant,
    /// Whether connections are still accepted on sockets that nobody else accepts on.
    pub(crate) retires: bool,
}

impl Drain {
    /// A drain that has not begun.
    pub fn new() -> Self {
        Self { deadlines_tx: Arc::new(watch::Sender::new(None)) }
    }

    /// Begins: no more connections are accepted, idle ones are answered until `linger` has passed, and what is left after
    /// `timeout` is cut. A second call can only bring the end closer.
    pub fn drain(&self, linger: Duration, timeout: Duration) {
        self.begin(linger, timeout, false);
    }

    /// Begins for an instance that leaves while others go on: as [`Self::drain`], but sockets of its own
    /// ([`crate::Listener::Own`]) are accepted on until nobody has connected for a second, at most for the linger. Those who
    /// chose this instance from a registry learn only now that it leaves.
    pub fn retire(&self, linger: Duration, timeout: Duration) {
        self.begin(linger, timeout, true);
    }

    fn begin(&self, linger: Duration, timeout: Duration, retires: bool) {
        let now = Instant::now();
        let new = Deadlines { linger: now + linger.min(timeout), cut: now + timeout, retires };
        self.deadlines_tx.send_modify(|deadlines| {
            *deadlines = Some(deadlines.map_or(new, |old| Deadlines {
                linger: old.linger.min(new.linger),
                cut: old.cut.min(new.cut),
                retires: old.retires && new.retires,
            }));
        });
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.deadlines_tx.borrow().is_some()
    }

    /// Resolves when it begins: the moment to close long-lived things politely, such as a WebSocket.
    pub async fn begun(&self) {
        self.deadlines_after(None).await;
    }

    pub(crate) fn deadlines(&self) -> Option<Deadlines> {
        *self.deadlines_tx.borrow()
    }

    /// Resolves when the deadlines differ from those that are known.
    pub(crate) async fn deadlines_after(&self, known: Option<Deadlines>) -> Deadlines {
        let mut deadlines_rx = self.deadlines_tx.subscribe();
        loop {
            let current = *deadlines_rx.borrow_and_update();
            if let Some(current) = current
                && Some(current) != known
            {
                return current;
            }
            if deadlines_rx.changed().await.is_err() {
                // The sender lives in `self`, so this cannot happen; waiting for ever is the harmless answer.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}
