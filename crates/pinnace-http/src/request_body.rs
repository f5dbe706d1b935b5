//! The body of a request, as handlers read it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use crate::http1::feed::Streamed;

/// A request's body: read frame by frame, and from the socket only when asked for.
#[derive(Debug)]
pub struct RequestBody(Kind);

#[derive(Debug)]
enum Kind {
    /// It was there with the head, or there is none.
    Whole { data: Bytes, trailers: Option<Box<HeaderMap>> },
    /// HTTP/1.
    Streamed(Streamed),
    /// HTTP/2.
    Incoming(Incoming),
}

/// Why the rest of a request's body cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestBodyError {
    /// The stream broke.
    #[error("the request's body broke off")]
    Broken(#[source] hyper::Error),
    /// The connection ended before the body did, what came was malformed, or the answer was complete.
    #[error("the request ended before its body did")]
    Ended,
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self::whole(Bytes::new(), None)
    }

    pub(crate) fn whole(data: Bytes, trailers: Option<Box<HeaderMap>>) -> Self {
        Self(Kind::Whole { data, trailers })
    }

    pub(crate) fn streamed(streamed: Streamed) -> Self {
        Self(Kind::Streamed(streamed))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        match &mut self.0 {
            Kind::Whole { data, .. } if !data.is_empty() => Poll::Ready(Some(Ok(Frame::data(std::mem::take(data))))),
            Kind::Whole { trailers, .. } => Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(*trailers)))),
            Kind::Streamed(streamed) => streamed.poll_frame(context),
            Kind::Incoming(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::Broken)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole { data, trailers } => data.is_empty() && trailers.is_none(),
            Kind::Streamed(streamed) => streamed.is_end_stream(),
            Kind::Incoming(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole { data, .. } => SizeHint::with_exact(data.len() as u64),
            Kind::Streamed(streamed) => streamed.size_hint(),
            Kind::Incoming(incoming) => incoming.size_hint(),
        }
    }
}

impl From<Incoming> for RequestBody {
    fn from(incoming: Incoming) -> Self {
        Self(Kind::Incoming(incoming))
    }
}
