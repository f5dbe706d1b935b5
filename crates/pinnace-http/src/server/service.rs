//! The handler as hyper calls it: requests are counted until the last byte of their answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};

use super::{Handler, Shared};
use crate::connection::InFlight;
use crate::http1::exchange::too_large;
use crate::{Body, BoxError, Connection, RequestBody};

/// A response's body that keeps its request counted.
#[derive(Debug)]
pub(super) struct Counted {
    body: Body,
    _in_flight: InFlight,
}

/// The handler, for one connection.
pub(super) fn of<H: Handler>(
    shared: &Arc<Shared<H>>,
    connection: &Arc<Connection>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Counted>,
    Error = Infallible,
    Future: Future<Output = Result<Response<Counted>, Infallible>> + Send + 'static,
> + Send
+ 'static {
    let (shared, connection) = (Arc::clone(shared), Arc::clone(connection));
    service_fn(move |request| answer(Arc::clone(&shared), Arc::clone(&connection), request))
}

/// Answers one request.
async fn answer<H: Handler>(
    shared: Arc<Shared<H>>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Counted>, Infallible> {
    let in_flight = InFlight::begin(Arc::clone(&connection));
    let announced = http_body::Body::size_hint(request.body()).exact();
    let response = match (announced, shared.config.max_body_bytes) {
        (Some(announced), Some(limit)) if announced > limit => too_large(announced, limit),
        _ => shared.handler.call(request.map(RequestBody::from), connection).await,
    };
    Ok(response.map(|body| Counted { body, _in_flight: in_flight }))
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
