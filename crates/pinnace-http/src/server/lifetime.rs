//! When one connection ends: by itself, by a timeout, by a drain; and what is still done for its client then.

use std::future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use pinnace_types::ErrorCode;
use pinnace_types::Problem;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Handler;
use super::ServerConfig;
use super::Shared;
use super::service;
use super::stream::Occupied;
use super::stream::Returned;
use super::stream::ServerStream;
use super::stream::Socket;
use crate::Connection;
use crate::drain::Deadlines;

/// How long, and how many bytes, a client may go on sending after our last byte before its connection is reset.
const CLOSING_TIME: Duration = Duration::from_secs(1);
const CLOSING_BYTES: usize = 1 << 20;

/// Why a connection is asked to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// It goes on; look again at that moment.
    Keep(Instant),
    /// What is being answered is finished, then it ends.
    Finish,
    /// The client did not finish a request's head.
    HeadTimeout,
}

/// Serves one connection to its end.
pub(super) async fn run<H: Handler>(
    shared: Arc<Shared<H>>,
    protocol: Arc<auto::Builder<TokioExecutor>>,
    socket: Socket,
    connection: Arc<Connection>,
    place: OwnedSemaphorePermit,
) {
    let returned = Arc::new(Mutex::new(Returned::default()));
    let occupied = Occupied::new(place, Arc::clone(&shared.counters));
    let stream = ServerStream::new(socket, Arc::clone(&connection), Arc::clone(&returned), occupied);
    let in_time = converse(&shared, &protocol, stream, &connection).await;
    let last = std::mem::take(&mut *returned.lock());
    if let Some(socket) = last.socket {
        if in_time {
            if last.shut_down && !last.reached_end {
                close_gently(socket).await;
            }
        } else {
            tell_timeout(socket).await;
        }
    }
}

/// Lets hyper work until it is done; false when the head of a request was not finished in time.
async fn converse<H: Handler>(
    shared: &Arc<Shared<H>>,
    protocol: &auto::Builder<TokioExecutor>,
    stream: ServerStream,
    connection: &Arc<Connection>,
) -> bool {
    let answer = service_fn({
        let (shared, connection) = (Arc::clone(shared), Arc::clone(connection));
        move |request| service::answer(Arc::clone(&shared), Arc::clone(&connection), request)
    });
    let conversation = protocol.serve_connection_with_upgrades(TokioIo::new(stream), answer);
    tokio::pin!(conversation);
    let mut deadlines = shared.drain.deadlines();
    let mut drained = Box::pin(shared.drain.deadlines_after(deadlines));
    let clock = tokio::time::sleep_until(first_look(&shared.config));
    tokio::pin!(clock);
    let mut finishing = false;
    future::poll_fn(|context| {
        loop {
            if let Poll::Ready(result) = conversation.as_mut().poll(context) {
                if let Err(error) = result {
                    tracing::debug!(error = &*error, peer = %connection.peer, "connection ended early");
                }
                return Poll::Ready(true);
            }
            if let Poll::Ready(changed) = drained.as_mut().poll(context) {
                deadlines = Some(changed);
                drained = Box::pin(shared.drain.deadlines_after(deadlines));
                let sooner = changed.linger.min(clock.deadline());
                clock.as_mut().reset(sooner);
                continue;
            }
            let due = clock.as_mut().poll(context).is_ready();
            let leaves = deadlines.is_some() && connection.activity.is_http2();
            if finishing || !(due || leaves) {
                return Poll::Pending;
            }
            match verdict(&shared.config, connection, deadlines, leaves) {
                Verdict::Keep(next) => clock.as_mut().reset(next),
                Verdict::HeadTimeout => return Poll::Ready(false),
                Verdict::Finish => {
                    finishing = true;
                    conversation.as_mut().graceful_shutdown();
                }
            }
        }
    })
    .await
}

fn first_look(config: &ServerConfig) -> Instant {
    Instant::now() + config.header_timeout.min(config.idle_timeout)
}

fn verdict(config: &ServerConfig, connection: &Connection, drain: Option<Deadlines>, leaves: bool) -> Verdict {
    let now = Instant::now();
    if leaves {
        return Verdict::Finish;
    }
    let activity = &connection.activity;
    if let Some(since) = activity.head_since() {
        let due = since + config.header_timeout;
        return if due <= now { Verdict::HeadTimeout } else { Verdict::Keep(due) };
    }
    // A head may begin at any moment from now on, so the next look is never further away than its timeout.
    let next = now + config.header_timeout.min(config.idle_timeout);
    let lingered = drain.is_some_and(|drain| drain.linger <= now);
    let next = drain.filter(|drain| now < drain.linger).map_or(next, |drain| next.min(drain.linger));
    match activity.idle_since() {
        _ if lingered => Verdict::Finish,
        None => Verdict::Keep(next),
        Some(since) if since + config.idle_timeout <= now => Verdict::Finish,
        Some(since) => Verdict::Keep(next.min(since + config.idle_timeout)),
    }
}

/// Answers 408, for which hyper has no word.
async fn tell_timeout(mut socket: Socket) {
    let problem = Problem::new(ErrorCode::RequestTimeout, "the request's head was not complete in time");
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let text = format!(
        "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    // The client may have gone; then there is nobody to tell.
    let told = async {
        socket.write_all(text.as_bytes()).await?;
        socket.shutdown().await
    };
    if let Ok(Ok(())) = tokio::time::timeout(CLOSING_TIME, told).await {
        close_gently(socket).await;
    }
}

/// Reads what the client still sends, for a while: closing a socket with unread bytes resets it, and the reset may
/// overtake the response (RFC 9112 section 9.6).
async fn close_gently(mut socket: Socket) {
    let read_rest = async {
        let mut buffer = [0; 4096];
        let mut left = CLOSING_BYTES;
        while let Ok(read @ 1..) = socket.read(&mut buffer).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    // Either way the socket is closed now.
    let _ = tokio::time::timeout(CLOSING_TIME, read_rest).await;
}
