//! What a handler learns about the connection that a request came on, and how busy that connection is.
//!
//! Timeouts and draining depend on whether a connection is idle, in the middle of a request's head, or answering. The
//! driver of HTTP/1, and for HTTP/2 the stream below hyper and the service above it, report here.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use parking_lot::MutexGuard;
use tokio::time::Instant;

use crate::Drain;
use crate::interim::Waiting;

/// The other side of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket, whose other side has no address.
    Unix,
}

/// One connection of a server.
#[derive(Debug)]
pub struct Connection {
    /// The other side.
    pub peer: Peer,
    /// Our side; absent on a Unix socket.
    pub local: Option<SocketAddr>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Unique within the process.
    pub id: u64,
    pub(crate) drain: Drain,
    pub(crate) activity: Activity,
}

/// How busy a connection is. Times are milliseconds since its start, plus one; zero says "not".
pub(crate) struct Activity {
    started: Instant,
    in_flight: AtomicU32,
    head_since: AtomicU64,
    idle_since: AtomicU64,
    body_since: AtomicU64,
    write_since: AtomicU64,
    finishing: AtomicBool,
    interim: Mutex<Waiting>,
    http2: AtomicBool,
    cut: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

/// Counts one request as being answered until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(pub(crate) Arc<Connection>);

impl Connection {
    /// Resolves when the server begins to drain: the moment to close a WebSocket politely.
    pub async fn draining(&self) {
        self.drain.begun().await;
    }

    /// Whether the server drains.
    pub fn is_draining(&self) -> bool {
        self.drain.has_begun()
    }
}

impl Peer {
    /// The other side's address, where it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix => None,
        }
    }

    /// Whether the other side is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix => true,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix => formatter.write_str("unix"),
        }
    }
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            in_flight: AtomicU32::new(0),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(1),
            body_since: AtomicU64::new(0),
            write_since: AtomicU64::new(0),
            finishing: AtomicBool::new(false),
            interim: Mutex::default(),
            http2: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            reader: Mutex::new(None),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn instant(&self, millis: u64) -> Instant {
        self.started + Duration::from_millis(millis.saturating_sub(1))
    }

    /// The first bytes of a head are there.
    pub(crate) fn begin_head(&self) {
        if self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// The handler waits for its request's body.
    pub(crate) fn body_awaited(&self) {
        if self.body_since.load(Ordering::Relaxed) == 0 {
            self.body_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// The client has sent something, or nobody waits any more.
    pub(crate) fn body_moved(&self) {
        self.body_since.store(0, Ordering::Relaxed);
    }

    /// Since when a handler waits for its client.
    pub(crate) fn body_since(&self) -> Option<Instant> {
        let millis = self.body_since.load(Ordering::Relaxed);
        (millis != 0).then(|| self.instant(millis))
    }

    /// The client does not take what is written; `moved` says whether it has just taken a part.
    pub(crate) fn write_waits(&self, moved: bool) {
        if moved || self.write_since.load(Ordering::Relaxed) == 0 {
            self.write_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Everything was written.
    pub(crate) fn write_done(&self) {
        self.write_since.store(0, Ordering::Relaxed);
    }

    /// Since when the client takes nothing.
    pub(crate) fn write_since(&self) -> Option<Instant> {
        let millis = self.write_since.load(Ordering::Relaxed);
        (millis != 0).then(|| self.instant(millis))
    }

    /// Asks the connection to end when what has arrived is answered.
    pub(crate) fn finish(&self) {
        self.finishing.store(true, Ordering::Release);
    }

    pub(crate) fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::Acquire)
    }

    /// What a handler says before its answer.
    pub(crate) fn interim(&self) -> MutexGuard<'_, Waiting> {
        self.interim.lock()
    }

    pub(crate) fn mark_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// Since when an unfinished head of a request is there (HTTP/1 only: HTTP/2 has frames of other kinds).
    pub(crate) fn head_since(&self) -> Option<Instant> {
        let millis = self.head_since.load(Ordering::Relaxed);
        (millis != 0 && !self.is_http2() && self.in_flight.load(Ordering::Acquire) == 0).then(|| self.instant(millis))
    }

    /// Since when nothing is being answered.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.in_flight.load(Ordering::Acquire) == 0).then(|| self.instant(self.idle_since.load(Ordering::Relaxed)))
    }

    /// Breaks an upgraded connection: its stream reads an error from now on.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        if let Some(waker) = self.reader.lock().take() {
            waker.wake();
        }
    }

    /// Whether the connection was cut; remembers the reader of an upgraded one, to wake it when that happens.
    pub(crate) fn is_cut(&self, reader: &Waker) -> bool {
        let mut known = self.reader.lock();
        if !known.as_ref().is_some_and(|known| known.will_wake(reader)) {
            *known = Some(reader.clone());
        }
        self.cut.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Activity").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl InFlight {
    pub(crate) fn begin(connection: Arc<Connection>) -> Self {
        let activity = &connection.activity;
        activity.in_flight.fetch_add(1, Ordering::AcqRel);
        activity.head_since.store(0, Ordering::Relaxed);
        Self(connection)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let activity = &self.0.activity;
        activity.body_moved();
        activity.idle_since.store(activity.now(), Ordering::Relaxed);
        activity.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
