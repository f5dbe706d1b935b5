//! HTTP/2 by prior knowledge, on hyper: requests are counted until the last byte of their answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;

use super::stream::{Occupied, Returned, ServerStream, Socket};
use super::{Handler, ServerConfig, Shared, lifetime, service};
use crate::Connection;

/// Streams that one connection may have open.
const MAX_STREAMS: u32 = 256;
/// Streams that a client may reset before they were handled; more ends the connection (CVE-2023-44487).
const MAX_RESETS: usize = 50;

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
    let service = service::of(shared, connection);
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
