//! The life of an HTTP/1 connection: one head after the other, each answered before the next is read.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::oneshot;

use super::exchange::{self, After};
use super::head::Head;
use super::refusal::Refusal;
use super::wire::{Room, Wire};
use crate::Connection;
use crate::server::{Handler, Shared, Upgrades};
use crate::upgrade::Upgraded;

/// What a client of HTTP/2 says first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// In order: our side is closed, and what the client still sends is read for a while.
    Finished,
    /// The client has gone, or must not believe that it has heard everything.
    Gone,
    /// The client speaks HTTP/2.
    Http2,
    /// A request asks for an upgrade, which the handler takes from hyper.
    Lent(Box<Head>),
    /// It belongs to another protocol.
    Switched(oneshot::Sender<Upgraded>),
}

/// What comes next on a connection.
enum Next {
    Request(Box<Head>),
    Refused(Refusal),
    Http2,
    Nothing,
    Gone,
}

/// Serves a connection to its end. When the future is dropped, the wire says whether an answer was begun.
pub(crate) async fn serve<H: Handler>(shared: &Shared<H>, connection: &Arc<Connection>, wire: &mut Wire) -> End {
    let mut may_be_http2 = true;
    loop {
        let head = match next(connection, wire, may_be_http2).await {
            Next::Request(head) if head.asks_to_upgrade() && shared.handler.upgrades() == Upgrades::Hyper => {
                return End::Lent(head);
            }
            Next::Request(head) => head,
            Next::Refused(refusal) => return refuse(wire, &refusal, false).await,
            Next::Http2 => return End::Http2,
            Next::Nothing => return End::Finished,
            Next::Gone => return End::Gone,
        };
        may_be_http2 = false;
        let is_head = exchange::is_head(&head.method);
        // The handler's future may be large, and a connection that waits for a request has none.
        match Box::pin(exchange::exchange(shared, connection, wire, *head)).await {
            After::Next => {}
            After::Finished => return End::Finished,
            After::Gone => return End::Gone,
            After::Refused(refusal) => return refuse(wire, &refusal, is_head).await,
            After::Switched(upgrade_tx) => return End::Switched(upgrade_tx),
        }
    }
}

async fn refuse(wire: &mut Wire, refusal: &Refusal, is_head: bool) -> End {
    tracing::debug!(reason = %refusal, "a request was refused");
    if wire.refuse(refusal, is_head).await { End::Finished } else { End::Gone }
}

/// Waits for the next head.
async fn next(connection: &Connection, wire: &mut Wire, may_be_http2: bool) -> Next {
    let activity = &connection.activity;
    poll_fn(|context| {
        loop {
            let is_preface = may_be_http2 && PREFACE.starts_with(&wire.input[..wire.input.len().min(PREFACE.len())]);
            if is_preface && wire.input.len() >= PREFACE.len() {
                return Poll::Ready(Next::Http2);
            }
            if !wire.input.is_empty() {
                activity.begin_head();
                if !is_preface {
                    match wire.head() {
                        Ok(Some(head)) => return Poll::Ready(Next::Request(Box::new(head))),
                        Ok(None) => {}
                        Err(refusal) => return Poll::Ready(Next::Refused(refusal)),
                    }
                }
            }
            // Answers to requests that came together leave together, at the latest now.
            if std::task::ready!(wire.poll_flush(context, activity)).is_err() {
                return Poll::Ready(Next::Gone);
            }
            match wire.poll_read(context, activity, Room::Head) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) if wire.input.is_empty() => return Poll::Ready(Next::Nothing),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::Gone),
                // What has arrived is answered; only then the connection may end.
                Poll::Pending if activity.is_finishing() && wire.input.is_empty() => return Poll::Ready(Next::Nothing),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}
