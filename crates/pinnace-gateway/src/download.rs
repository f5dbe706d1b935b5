//! A response's body on its way to the client: counted, and broken off when the service falls silent in the middle of it.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use pinnace_http::BoxError;
use pinnace_http::balance::Turn;
use tokio::time::{Instant, Sleep};

/// The service said nothing for as long as its route allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the service stopped in the middle of its response")]
struct Silent;

/// A response's body from a service.
#[derive(Debug)]
pub(crate) struct Download {
    body: Incoming,
    timeout: Option<Duration>,
    /// Counts the request as in flight to the last byte.
    _turn: Option<Turn>,
    clock: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Download {
    /// No timeout: an event stream may be silent for as long as nothing happens.
    pub(crate) fn new(body: Incoming, timeout: Option<Duration>, turn: Option<Turn>) -> Self {
        Self { body, timeout, _turn: turn, clock: Box::pin(tokio::time::sleep(Duration::ZERO)), waiting: false }
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(timeout) = self.timeout else { return Poll::Pending };
        // The clock runs only while the client has room for more.
        if !self.waiting {
            self.waiting = true;
            self.clock.as_mut().reset(Instant::now() + timeout);
        }
        self.clock.as_mut().poll(context).map(|()| Some(Err(Silent.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
