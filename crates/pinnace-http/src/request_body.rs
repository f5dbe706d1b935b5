//! The body of a request, as handlers read it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

/// A request's body: read frame by frame, and from the socket only when asked for.
#[derive(Debug)]
pub struct RequestBody(pub(crate) Incoming);

/// Why the rest of a request's body cannot be had: the connection or its stream broke, or what came was malformed.
#[derive(Debug, thiserror::Error)]
#[error("the request's body broke off")]
pub struct RequestBodyError(#[source] hyper::Error);

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl From<Incoming> for RequestBody {
    fn from(incoming: Incoming) -> Self {
        Self(incoming)
    }
}
