//! When one connection ends: by itself, by a timeout, by a drain; and what is still done for its client then.

use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use pinnace_types::ErrorCode;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::stream::{Occupied, Socket};
use super::{Handler, ServerConfig, Shared, http2, lent};
use crate::Connection;
use crate::connection::Activity;
use crate::drain::Deadlines;
use crate::http1::driver::{self, End};
use crate::http1::head::Limits;
use crate::http1::refusal::Refusal;
use crate::http1::wire::Wire;
use crate::upgrade::Upgraded;

/// How long, and how many bytes, a client may go on sending after our last byte before its connection is reset.
const CLOSING_TIME: Duration = Duration::from_secs(1);
const CLOSING_BYTES: usize = 1 << 20;

const LATE_HEAD: Refusal = Refusal::new(ErrorCode::RequestTimeout, "the request's head was not complete in time");
const LATE_BODY: Refusal = Refusal::new(ErrorCode::RequestTimeout, "the request's body was not complete in time");

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// It goes on; look again at that moment.
    Keep(Instant),
    /// What is being answered is finished, then it ends.
    Finish,
    /// The client is too slow.
    Late(Late),
}

/// What a client did not do in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Late {
    Head,
    Body,
    /// It does not take what is written.
    Reading,
}

/// Serves one connection to its end.
pub(super) async fn run<H: Handler>(
    shared: Arc<Shared<H>>,
    socket: Socket,
    connection: Arc<Connection>,
    place: OwnedSemaphorePermit,
) {
    let occupied = Occupied::new(place, Arc::clone(&shared.counters));
    let limits = Limits { max_bytes: shared.config.max_header_bytes, max_fields: shared.config.max_headers };
    let mut wire = Wire::new(socket, limits);
    let conversation = Box::pin(driver::serve(&shared, &connection, &mut wire));
    let ended = watched(&shared, &connection, conversation, |_| connection.activity.finish()).await;
    let in_order = match ended {
        Ok(End::Finished) => true,
        Ok(End::Gone) | Err(Late::Reading) => false,
        Ok(End::Http2) => return http2::serve(&shared, &connection, wire.into_parts(), occupied).await,
        Ok(End::Lent(head)) => {
            let (socket, leftover) = wire.into_parts();
            return lent::serve(&shared, &connection, (head, socket, leftover), occupied).await;
        }
        Ok(End::Switched(upgrade_tx)) => {
            let (socket, leftover) = wire.into_parts();
            let upgraded = Upgraded::new(socket, leftover, connection, shared.upgraded.clone(), occupied);
            // Where nobody waits for it, it is closed by this.
            let _ = upgrade_tx.send(upgraded);
            return;
        }
        Err(Late::Head) => wire.refuse(&LATE_HEAD, false).await,
        Err(Late::Body) => wire.refuse(&LATE_BODY, false).await,
    };
    if in_order && wire.shut_down().await && !wire.reached_end {
        close_gently(wire.socket).await;
    }
}

/// Lets a conversation go on until it ends by itself or its client is too slow; `finish` asks it to end.
pub(super) async fn watched<H, F: Future>(
    shared: &Shared<H>,
    connection: &Connection,
    mut conversation: Pin<Box<F>>,
    mut finish: impl FnMut(&mut Pin<Box<F>>),
) -> Result<F::Output, Late> {
    let mut deadlines = shared.drain.deadlines();
    let mut drained = Box::pin(shared.drain.deadlines_after(deadlines));
    let clock = tokio::time::sleep_until(Instant::now() + shortest(&shared.config));
    tokio::pin!(clock);
    let mut finishing = false;
    future::poll_fn(|context| {
        loop {
            if let Poll::Ready(output) = conversation.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            if let Poll::Ready(changed) = drained.as_mut().poll(context) {
                deadlines = Some(changed);
                drained = Box::pin(shared.drain.deadlines_after(deadlines));
                let sooner = changed.linger.min(clock.deadline());
                clock.as_mut().reset(sooner);
                continue;
            }
            let leaves = !finishing && deadlines.is_some() && connection.activity.is_http2();
            if clock.as_mut().poll(context).is_pending() && !leaves {
                return Poll::Pending;
            }
            match verdict(&shared.config, &connection.activity, deadlines, leaves) {
                Verdict::Keep(next) => clock.as_mut().reset(next),
                Verdict::Late(late) => return Poll::Ready(Err(late)),
                Verdict::Finish => {
                    clock.as_mut().reset(Instant::now() + shortest(&shared.config));
                    if !finishing {
                        finishing = true;
                        finish(&mut conversation);
                    }
                }
            }
        }
    })
    .await
}

/// The time after which something may be due that begins now.
fn shortest(config: &ServerConfig) -> Duration {
    config.header_timeout.min(config.idle_timeout).min(config.body_timeout).min(config.write_timeout)
}

fn verdict(config: &ServerConfig, activity: &Activity, drain: Option<Deadlines>, leaves: bool) -> Verdict {
    let now = Instant::now();
    if leaves {
        return Verdict::Finish;
    }
    let mut next = now + shortest(config);
    for (since, timeout, late) in [
        (activity.head_since(), config.header_timeout, Late::Head),
        (activity.body_since(), config.body_timeout, Late::Body),
        (activity.write_since(), config.write_timeout, Late::Reading),
    ] {
        let Some(since) = since else { continue };
        if since + timeout <= now {
            return Verdict::Late(late);
        }
        next = next.min(since + timeout);
    }
    if activity.head_since().is_some() {
        return Verdict::Keep(next);
    }
    let lingered = drain.is_some_and(|drain| drain.linger <= now);
    let next = drain.filter(|drain| now < drain.linger).map_or(next, |drain| next.min(drain.linger));
    match activity.idle_since() {
        _ if lingered => Verdict::Finish,
        None => Verdict::Keep(next),
        Some(since) if since + config.idle_timeout <= now => Verdict::Finish,
        Some(since) => Verdict::Keep(next.min(since + config.idle_timeout)),
    }
}

/// Reads what the client still sends, for a while: closing a socket with unread bytes resets it, and the reset may
/// overtake the response (RFC 9112 section 9.6).
pub(super) async fn close_gently(mut socket: Socket) {
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
