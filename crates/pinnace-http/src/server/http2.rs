//! HTTP/2 by prior knowledge, on hyper: requests are counted until the last byte of their answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;

use super::stream::{Occupied, Returned, ServerStream, Socket};
use super::{Handler, ServerConfig, Shared, lifetime};
use crate::connection::InFlight;
use crate::http1::exchange::too_large;
use crate::{Body, BoxError, Connection, RequestBody};

/// Streams that one connection may have open.
const MAX_STREAMS: u32 = 256;
/// Streams that a client may reset before they were handled; more ends the connection (CVE-2023-44487).
const MAX_RESETS: usize = 50;

/// A response's body that keeps its request counted.
#[derive(Debug)]
struct Counted {
    body: Body,
    _in_flight: InFlight,
}

/// Serves a connection to its end; `begun` is what was read of it.
pub(super) async fn serve<H: Handler>(
    shared: &Arc<Shared<H>>,
    connection: &Arc<Connection>,
    (socket, begun): (Socket, Bytes),
    occupied: Occupied,
) {
    connection.activity.mark_http2();
    let returned = Arc::new(Mutex::new(Returned::default()));
    let stream = ServerStream::new(socket, begun, Arc::clone(&returned), occupied);
    let service = service_fn({
        let (shared, connection) = (Arc::clone(shared), Arc::clone(connection));
        move |request| answer(Arc::clone(&shared), Arc::clone(&connection), request)
    });
    let conversation = protocol(&shared.config).serve_connection(TokioIo::new(stream), service);
    let ended = lifetime::watched(shared, connection, Box::pin(conversation), |conversation| {
        conversation.as_mut().graceful_shutdown();
    });
    if let Ok(Err(error)) = ended.await {
        tracing::debug!(%error, peer = %connection.peer, "connection ended early");
    }
    let last = std::mem::take(&mut *returned.lock());
    if let Some(socket) = last.socket
        && last.shut_down
        && !last.reached_end
    {
        lifetime::close_gently(socket).await;
    }
}

fn protocol(config: &ServerConfig) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
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
