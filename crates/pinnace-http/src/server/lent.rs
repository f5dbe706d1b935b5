//! A connection that is lent to hyper for its last request: one that asks for an upgrade, of a handler that takes hyper's.
//!
//! Only hyper can make a `hyper::upgrade::OnUpgrade`, which axum's `WebSocketUpgrade` needs. The head was read by our own
//! codec and is written anew for hyper, so that no byte of it is read in another way; whatever hyper answers, it reads no
//! second request.

use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;

use super::stream::{Occupied, Socket};
use super::{Handler, Shared, lifetime, service};
use crate::Connection;
use crate::http1::head::Head;
use crate::upgrade::Upgraded;

/// Lets hyper answer a request and, where it comes to that, carry out the upgrade; `leftover` is what was read behind the
/// head.
pub(super) async fn serve<H: Handler>(
    shared: &Arc<Shared<H>>,
    connection: &Arc<Connection>,
    (head, socket, leftover): (Box<Head>, Socket, Bytes),
    occupied: Occupied,
) {
    let fields = head.headers.len();
    let begun = written(&head, &leftover);
    drop(head);
    let open = shared.upgraded.clone();
    let stream = Upgraded::new(socket, begun, Arc::clone(connection), open, occupied);
    let mut protocol = http1::Builder::new();
    protocol.keep_alive(false).header_read_timeout(None).max_headers(fields + 1);
    let conversation = protocol.serve_connection(TokioIo::new(stream), service::of(shared, connection)).with_upgrades();
    let ended = lifetime::watched(shared, connection, Box::pin(conversation), |conversation| {
        Pin::as_mut(conversation).graceful_shutdown();
    });
    if let Ok(Err(error)) = ended.await {
        tracing::debug!(%error, peer = %connection.peer, "connection ended early");
    }
}

/// The head as bytes, with what follows it.
fn written(head: &Head, leftover: &Bytes) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1024 + leftover.len());
    let line = format!("{} {} HTTP/1.1\r\n", head.method, head.uri);
    bytes.extend_from_slice(line.as_bytes());
    for (name, value) in &head.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(leftover);
    bytes.freeze()
}
