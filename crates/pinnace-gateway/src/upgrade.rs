//! `WebSocket`s: after the service has agreed, bytes go both ways until one side ends, or the gateway drains.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use pinnace_http::Connection;
use pinnace_http::balance::Turn;
use pinnace_http::upgrade::OnUpgrade;
use tokio::io::AsyncWriteExt as _;

/// Joins the two connections in a task that ends with either of them. A draining gateway closes both at once: it goes
/// first, so that the service learns of its clients' end while it still runs.
pub(crate) fn join(
    client: OnUpgrade,
    service: hyper::upgrade::OnUpgrade,
    connection: Arc<Connection>,
    turn: Option<Turn>,
) {
    tokio::spawn(async move {
        // In flight to its end.
        let _turn = turn;
        let (Ok(mut client), Ok(service)) = tokio::join!(client, service) else {
            tracing::debug!("upgrade not completed");
            return;
        };
        let mut service = TokioIo::new(service);
        tokio::select! {
            result = tokio::io::copy_bidirectional(&mut client, &mut service) => {
                if let Err(error) = result {
                    tracing::debug!(%error, "upgraded connection broke");
                }
            }
            () = connection.draining() => {}
        }
        // Whoever is gone already needs no end.
        let _ = tokio::join!(client.shutdown(), service.shutdown());
    });
}
