//! The socket of a connection, and what hyper sees of it where HTTP/2 is spoken: the socket is given back when hyper is
//! done with it, because closing at once where the client still sends turns into a reset that may overtake the response.

use std::io;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use bytes::Buf as _;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;

use super::ServerCounters;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The socket as hyper sees it.
#[derive(Debug)]
pub(super) struct ServerStream {
    /// Absent only while it is being dropped.
    socket: Option<Socket>,
    /// What was read before.
    begun: Bytes,
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
pub(crate) struct Occupied {
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

    /// Lets the client see a reset and no end: it must not take what it has for everything.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            // Where it fails, the client has gone.
            let _ = stream.set_zero_linger();
        }
    }
}

impl ServerStream {
    pub(super) fn new(socket: Socket, begun: Bytes, returned: Arc<Mutex<Returned>>, occupied: Occupied) -> Self {
        Self { socket: Some(socket), begun, returned, reached_end: false, shut_down: false, _occupied: occupied }
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

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
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
        if !self.begun.is_empty() {
            let length = self.begun.len().min(buffer.remaining());
            buffer.put_slice(&self.begun[..length]);
            self.begun.advance(length);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(self.socket()?).poll_read(context, buffer))?;
        self.reached_end |= buffer.filled().len() == before;
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

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.socket()?).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(Pin::new(self.socket()?).poll_shutdown(context))?;
        self.shut_down = true;
        Poll::Ready(Ok(()))
    }
}
