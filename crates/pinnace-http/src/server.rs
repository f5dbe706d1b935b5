//! The server: accepts within a bound, speaks HTTP/1.1 and HTTP/2 (prior knowledge), and drains.
//!
//! HTTP/1 is our own ([`crate::http1`]), HTTP/2 is hyper's. In the modules below, `lifetime` decides when a connection
//! ends, `http2` gives one to hyper, `lent` lends it one for an upgrade, `stream` is the socket.

mod http2;
mod lent;
mod lifetime;
mod service;
pub(crate) mod stream;

use std::future;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use http::Response;
use tokio::net::TcpListener;
use tokio::net::UnixListener;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Body;
use crate::Connection;
use crate::Drain;
use crate::Peer;
use crate::RequestBody;
use crate::connection::Activity;
use crate::drain::Deadlines;
use crate::upgrade::OpenUpgrades;
use stream::Socket;

/// How long accepting pauses when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long nobody may have connected until a retiring instance closes a socket of its own.
const OWN_LINGER: Duration = Duration::from_secs(1);

/// The limits of a server.
///
/// Defaults: head within 30 s, 64 KiB and 100 fields; 10 000 connections; idle ones closed after 75 s, which is longer
/// than common clients and balancers keep theirs; 60 s in which a client sends nothing of a body that is awaited, or takes
/// nothing of an answer; no limit for a body; scheme `http`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// From the first byte of a request's head to its last; then 408.
    pub header_timeout: Duration,
    /// Bytes of a request's head; more is 431, or 414 where the request line alone has them.
    pub max_header_bytes: usize,
    /// Fields of a request's head; more is 431.
    pub max_headers: usize,
    /// Connections at a time; more wait in the listener's queue.
    pub max_connections: usize,
    /// How long a connection may be idle.
    pub idle_timeout: Duration,
    /// How long a client may send nothing of a body that a handler waits for; then 408, or the connection is cut where the
    /// answer has begun. HTTP/1 only: HTTP/2 asks by pings whether a client lives.
    pub body_timeout: Duration,
    /// How long a client may take nothing of what is written to it; then the connection is cut. HTTP/1 only.
    pub write_timeout: Duration,
    /// Bytes that a request may announce as its body; more is 413. Bodies of unknown length are the handler's matter,
    /// see [`crate::Limited`].
    pub max_body_bytes: Option<u64>,
    /// What handlers are told as the scheme.
    pub scheme: &'static str,
}

/// What answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request. The future is dropped when the client goes away.
    fn call(
        &self,
        request: Request<RequestBody>,
        connection: Arc<Connection>,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Who carries out the upgrade that a request of HTTP/1 asks for.
    fn upgrades(&self) -> Upgrades {
        Upgrades::Ours
    }
}

/// How a handler takes over a connection that leaves HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Upgrades {
    /// By [`crate::upgrade::on`].
    Ours,
    /// By `hyper::upgrade::on`, as axum and others do. The connection then ends with the answer, also where that is no
    /// upgrade.
    Hyper,
}

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// TCP, on a socket that nobody else accepts on; see [`Drain::retire`].
    Own(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// What a server has counted; readable while it runs.
#[derive(Debug, Default)]
pub struct ServerCounters {
    accepted: AtomicU64,
    open: AtomicU64,
    full: AtomicU64,
    failed: AtomicU64,
}

/// A server that has not begun to serve.
#[derive(Debug)]
pub struct Server<H> {
    config: ServerConfig,
    handler: H,
    counters: Arc<ServerCounters>,
}

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared<H> {
    pub(crate) config: ServerConfig,
    pub(crate) handler: H,
    pub(crate) drain: Drain,
    counters: Arc<ServerCounters>,
    upgraded: OpenUpgrades,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(30),
            max_header_bytes: 64 << 10,
            max_headers: 100,
            max_connections: 10_000,
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_mins(1),
            write_timeout: Duration::from_mins(1),
            max_body_bytes: None,
            scheme: "http",
        }
    }
}

impl ServerCounters {
    /// Connections that were ever accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// How often accepting had to wait because there were `max_connections`.
    pub fn full(&self) -> u64 {
        self.full.load(Ordering::Relaxed)
    }

    /// How often a connection could not be accepted.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Listener {
    /// Takes over a listening socket, which must be non-blocking.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        TcpListener::from_std(listener).map(Self::Tcp)
    }

    /// The same, for a socket that nobody else accepts on.
    pub fn own_from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        TcpListener::from_std(listener).map(Self::Own)
    }
}

impl<H: Handler> Server<H> {
    /// A server with these limits.
    pub fn new(config: ServerConfig, handler: H) -> Self {
        Self { config, handler, counters: Arc::default() }
    }

    /// The server's counters.
    pub fn counters(&self) -> Arc<ServerCounters> {
        Arc::clone(&self.counters)
    }

    /// Serves until the drain is over and the last connection is gone. Dropping the future cuts every connection.
    pub async fn serve(self, mut listeners: Vec<Listener>, drain: Drain) {
        let limit = self.config.max_connections.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let places = Arc::new(Semaphore::new(limit));
        let shared = Arc::new(Shared {
            config: self.config,
            handler: self.handler,
            counters: self.counters,
            drain: drain.clone(),
            upgraded: OpenUpgrades::default(),
        });
        let mut connections = JoinSet::new();
        let mut last_accepted = Instant::now();
        let mut known = None;
        loop {
            let closes = known.map(|deadlines: Deadlines| deadlines.linger.min(last_accepted + OWN_LINGER));
            let closed = async {
                match closes {
                    Some(moment) => tokio::time::sleep_until(moment).await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                biased;
                deadlines = drain.deadlines_after(known) => {
                    listeners.retain(|listener| deadlines.retires && matches!(listener, Listener::Own(_)));
                    if listeners.is_empty() {
                        break;
                    }
                    known = Some(deadlines);
                    last_accepted = Instant::now();
                }
                () = closed => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                (socket, peer, place) = accept(&listeners, &places, &shared.counters) => {
                    last_accepted = Instant::now();
                    let connection = shared.connection(&socket, peer);
                    connections.spawn(lifetime::run(Arc::clone(&shared), socket, connection, place));
                }
            }
        }
        drop(listeners);
        shared.finish(connections, &places, u32::try_from(limit).unwrap_or(u32::MAX)).await;
    }
}

impl<H: Handler> Shared<H> {
    fn connection(&self, socket: &Socket, peer: Peer) -> Arc<Connection> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        Arc::new(Connection {
            peer,
            local: socket.local(),
            scheme: self.config.scheme,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            drain: self.drain.clone(),
            activity: Activity::new(),
        })
    }

    /// Waits for every connection, upgraded ones included (each holds a place); cuts what is left at the deadline.
    async fn finish(&self, mut connections: JoinSet<()>, places: &Semaphore, limit: u32) {
        let mut known = self.drain.deadlines();
        let all_gone = async {
            while connections.join_next().await.is_some() {}
            let _ = places.acquire_many(limit).await;
        };
        tokio::pin!(all_gone);
        while let Some(deadlines) = known {
            tokio::select! {
                () = &mut all_gone => return,
                () = tokio::time::sleep_until(deadlines.cut) => break,
                changed = self.drain.deadlines_after(known) => known = Some(changed),
            }
        }
        self.upgraded.cut();
        // The set of tasks is dropped with `all_gone`, which aborts them.
    }
}

/// Waits for a place, then for a connection; may be dropped at any time without losing one.
async fn accept(
    listeners: &[Listener],
    places: &Arc<Semaphore>,
    counters: &ServerCounters,
) -> (Socket, Peer, OwnedSemaphorePermit) {
    if places.available_permits() == 0 {
        counters.full.fetch_add(1, Ordering::Relaxed);
    }
    let Ok(place) = Arc::clone(places).acquire_owned().await else {
        // Nobody closes the semaphore.
        return future::pending().await;
    };
    loop {
        match future::poll_fn(|context| poll_accept(listeners, context)).await {
            Ok((socket, peer)) => return (socket, peer, place),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                counters.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn poll_accept(listeners: &[Listener], context: &mut std::task::Context<'_>) -> Poll<io::Result<(Socket, Peer)>> {
    for listener in listeners {
        let accepted = match listener {
            Listener::Tcp(listener) | Listener::Own(listener) => {
                listener.poll_accept(context).map_ok(|(stream, peer)| {
                    // Without it a response in two pieces waits for the peer's delayed acknowledgement; a failure is harmless.
                    let _ = stream.set_nodelay(true);
                    (Socket::Tcp(stream), Peer::Tcp(peer))
                })
            }
            Listener::Unix(listener) => {
                listener.poll_accept(context).map_ok(|(stream, _)| (Socket::Unix(stream), Peer::Unix))
            }
        };
        if accepted.is_ready() {
            return accepted;
        }
    }
    Poll::Pending
}

/// Whether the client itself went away before it was accepted.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
