//! One request and its answer: the handler works while its connection is watched.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response, Version};
use pinnace_types::{ErrorCode, Problem};
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::encode::Asked;
use super::feed::{self, Feed, FeedError};
use super::head::{BodyLength, Head};
use super::refusal::Refusal;
use super::respond;
use super::wire::{Room, Wire};
use crate::connection::{Activity, InFlight};
use crate::server::{Handler, Shared};
use crate::upgrade::{Promise, Upgraded};
use crate::{Body, Connection, problem_response};

/// For how long an answer may still come after a client has closed its side. A client that is gone looks the same, and its
/// handler has to hear of that.
const HALF_CLOSED: Duration = Duration::from_millis(500);

/// What becomes of the connection after an exchange.
#[derive(Debug)]
pub(super) enum After {
    /// The next request is read.
    Next,
    /// It is closed in order.
    Finished,
    /// It is cut.
    Gone,
    /// The client is told why, then it is closed in order.
    Refused(Refusal),
    /// It belongs to another protocol.
    Switched(oneshot::Sender<Upgraded>),
}

/// What goes on beside a handler or an answer.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) feed: Option<Feed>,
    half_closed: Option<Pin<Box<Sleep>>>,
}

/// What happened beside.
#[derive(Debug)]
pub(super) enum Happened {
    /// The handler has something to read.
    Progress,
    Gone,
    Refused(Refusal),
}

/// Answers one request.
pub(super) async fn exchange<H: Handler>(
    shared: &Shared<H>,
    connection: &Arc<Connection>,
    wire: &mut Wire,
    head: Head,
) -> After {
    let _in_flight = InFlight::begin(Arc::clone(connection));
    let asked = Asked {
        takes_trailers: head.takes_trailers,
        upgrades: head.upgrades,
        ..Asked::new(&head.method, head.version)
    };
    if let (BodyLength::Exactly(announced), Some(limit)) = (head.length, shared.config.max_body_bytes)
        && announced > limit
    {
        let response = too_large(announced, limit);
        return respond::respond(wire, connection, asked, respond::Leaving::Yes, response, Beside::default(), None)
            .await;
    }
    let (body, feed) = match feed::open(wire, head.length, head.expects_continue) {
        Ok(opened) => opened,
        Err(refusal) => return After::Refused(refusal),
    };
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.version_mut() = head.version;
    *request.headers_mut() = head.headers;
    if let Some(order) = head.order {
        request.extensions_mut().insert(order);
    }
    let upgrade_tx = head.upgrades.then(|| {
        let (upgrade_tx, upgrade_rx) = oneshot::channel();
        request.extensions_mut().insert(Promise::new(upgrade_rx));
        upgrade_tx
    });
    let mut beside = Beside { feed, half_closed: None };
    connection.activity.interim().begin(head.version == Version::HTTP_11);
    let answered = {
        let mut call = pin!(shared.handler.call(request, Arc::clone(connection)));
        poll_fn(|context| {
            loop {
                if let Poll::Ready(response) = call.as_mut().poll(context) {
                    return Poll::Ready(Ok(response));
                }
                connection.activity.interim().take(wire.output.open(), context.waker());
                match std::task::ready!(beside.poll(wire, &connection.activity, context)) {
                    Happened::Progress => {}
                    Happened::Gone => return Poll::Ready(Err(After::Gone)),
                    Happened::Refused(refusal) => return Poll::Ready(Err(After::Refused(refusal))),
                }
            }
        })
        .await
    };
    connection.activity.interim().end(wire.output.open());
    let response = match answered {
        Ok(response) => response,
        Err(after) => return after,
    };
    let leaves = !head.keep_alive || shared.drain.has_begun() || connection.activity.is_finishing();
    let leaving = if leaves { respond::Leaving::Yes } else { respond::Leaving::No };
    respond::respond(wire, connection, asked, leaving, response, beside, upgrade_tx).await
}

/// The answer to a body that says beforehand that it is too large.
pub(crate) fn too_large(announced: u64, limit: u64) -> Response<Body> {
    let detail = format!("the body has {announced} bytes, the limit is {limit}");
    problem_response(&Problem::new(ErrorCode::TooLarge, detail))
}

impl Beside {
    /// Reads the body as far as it is wanted, writes what is queued, and notices that the client has gone.
    pub(super) fn poll(&mut self, wire: &mut Wire, activity: &Activity, context: &mut Context<'_>) -> Poll<Happened> {
        if let Some(feed) = &mut self.feed
            && let Poll::Ready(given) = feed.poll_give(wire, activity, context)
        {
            return Poll::Ready(match given {
                Ok(()) => Happened::Progress,
                Err(FeedError::Refused(refusal)) => Happened::Refused(refusal),
                Err(FeedError::Gone) => Happened::Gone,
            });
        }
        if let Poll::Ready(Err(_)) = wire.poll_flush(context, activity) {
            return Poll::Ready(Happened::Gone);
        }
        // One buffer at most is read ahead of the next request, or of a body that nobody reads.
        if !wire.reached_end
            && wire.input.is_empty()
            && let Poll::Ready(Err(_)) = wire.poll_read(context, activity, Room::Head)
        {
            return Poll::Ready(Happened::Gone);
        }
        if !wire.reached_end {
            return Poll::Pending;
        }
        if self.feed.as_ref().is_some_and(|feed| !feed.ended && !feed.owes_continue()) && wire.input.is_empty() {
            return Poll::Ready(Happened::Refused(Refusal::malformed("the request's body ended too early")));
        }
        let clock = self.half_closed.get_or_insert_with(|| Box::pin(tokio::time::sleep(HALF_CLOSED)));
        clock.as_mut().poll(context).map(|()| Happened::Gone)
    }
}

/// Whether an error in the answer's stead may have a body.
pub(super) fn is_head(method: &Method) -> bool {
    *method == Method::HEAD
}
