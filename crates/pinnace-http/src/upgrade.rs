//! Connections that leave HTTP: a handler takes the promise out of the request, answers 101, and gets the connection.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http::Request;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::Connection;
use crate::server::stream::{Occupied, Socket};

/// A promise of the connection, kept when the answer 101 has been written.
#[derive(Debug)]
pub struct OnUpgrade(Option<oneshot::Receiver<Upgraded>>);

/// A connection that speaks something else from now on.
#[derive(Debug)]
pub struct Upgraded {
    socket: Socket,
    /// What was read with the request and is not HTTP.
    leftover: Bytes,
    connection: Arc<Connection>,
    open: OpenUpgrades,
    _occupied: Occupied,
}

/// Upgraded connections live on outside their task; here they are found when they must be cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenUpgrades(Arc<Mutex<HashMap<u64, Weak<Connection>>>>);

/// The connection was not upgraded: the request did not ask for it, the answer was another, or the client has gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the connection was not upgraded")]
pub struct NotUpgraded;

/// Takes the promise out of a request. Requests of HTTP/2, and those that do not ask for an upgrade, have none that is
/// kept.
pub fn on<B>(request: &mut Request<B>) -> OnUpgrade {
    let promise = request.extensions_mut().remove::<Promise>();
    OnUpgrade(promise.and_then(|promise| promise.0.lock().take()))
}

/// Extensions of a request must be able to be cloned.
#[derive(Clone, Debug)]
pub(crate) struct Promise(Arc<Mutex<Option<oneshot::Receiver<Upgraded>>>>);

impl Promise {
    pub(crate) fn new(upgrade_rx: oneshot::Receiver<Upgraded>) -> Self {
        Self(Arc::new(Mutex::new(Some(upgrade_rx))))
    }
}

impl OpenUpgrades {
    /// Breaks all of them.
    pub(crate) fn cut(&self) {
        let open: Vec<_> = self.0.lock().values().filter_map(Weak::upgrade).collect();
        for connection in open {
            connection.activity.cut();
        }
    }
}

impl Upgraded {
    pub(crate) fn new(
        socket: Socket,
        leftover: Bytes,
        connection: Arc<Connection>,
        open: OpenUpgrades,
        occupied: Occupied,
    ) -> Self {
        open.0.lock().insert(connection.id, Arc::downgrade(&connection));
        Self { socket, leftover, connection, open, _occupied: occupied }
    }

    /// Takes note of whether the client takes what is written.
    fn report(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => self.connection.activity.write_waits(false),
            Poll::Ready(_) => self.connection.activity.write_done(),
        }
        written
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        self.open.0.lock().remove(&self.connection.id);
    }
}

impl Future for OnUpgrade {
    type Output = Result<Upgraded, NotUpgraded>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(upgrade_rx) => Pin::new(upgrade_rx).poll(context).map_err(|_| NotUpgraded),
            None => Poll::Ready(Err(NotUpgraded)),
        }
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.activity.is_cut(context.waker()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if !self.leftover.is_empty() {
            let length = self.leftover.len().min(buffer.remaining());
            buffer.put_slice(&self.leftover[..length]);
            self.leftover.advance(length);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.report(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.report(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
