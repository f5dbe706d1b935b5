//! The socket below hyper: it reports what is read, and gives the socket back when hyper is done with it.
//!
//! Giving back is what makes a last word possible: hyper closes silently where a 408 belongs, and closes at once where
//! the client still sends, which turns into a reset that may overtake the response.

use std::io;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;

use super::ServerCounters;
use crate::Connection;

/// A connected socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The socket as hyper sees it.
#[derive(Debug)]
pub(super) struct ServerStream {
    /// Absent only while it is being dropped.
    socket: Option<Socket>,
    connection: Arc<Connection>,
    returned: Arc<Mutex<Returned>>,
    reached_end: bool,
    shut_down: bool,
    _occupied: Occupied,
}

/// What is left of a stream that hyper has dropped.
#[derive(Debug, Default)]
pub(super) struct Returned {
    pub(super) socket: Option<Socket>,
    /// The client has closed its side.
    pub(super) reached_end: bool,
    /// Our side was closed in order.
    pub(super) shut_down: bool,
}

/// A connection's place, given back when its stream is gone.
#[derive(Debug)]
pub(super) struct Occupied {
    _place: OwnedSemaphorePermit,
    counters: Arc<ServerCounters>,
}

impl Occupied {
    pub(super) fn new(place: OwnedSemaphorePermit, counters: Arc<ServerCounters>) -> Self {
        counters.open.fetch_add(1, Ordering::Relaxed);
        Self { _place: place, counters }
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Socket {
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

impl ServerStream {
    pub(super) fn new(
        socket: Socket,
        connection: Arc<Connection>,
        returned: Arc<Mutex<Returned>>,
        occupied: Occupied,
    ) -> Self {
        Self { socket: Some(socket), connection, returned, reached_end: false, shut_down: false, _occupied: occupied }
    }

    fn socket(&mut self) -> io::Result<&mut Socket> {
        self.socket.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for ServerStream {
    fn drop(&mut self) {
        let mut returned = self.returned.lock();
        returned.socket = self.socket.take();
        returned.reached_end = self.reached_end;
        returned.shut_down = self.shut_down;
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The kernel has it already.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.activity.is_cut(context.waker()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(self.socket()?).poll_read(context, buffer))?;
        let read = &buffer.filled()[before..];
        if read.is_empty() {
            self.reached_end = true;
        } else {
            self.connection.activity.on_read(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.socket()?).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.socket()?).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(Pin::new(self.socket()?).poll_shutdown(context))?;
        self.shut_down = true;
        Poll::Ready(Ok(()))
    }
}
