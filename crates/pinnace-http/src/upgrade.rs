//! Connections that leave HTTP: a handler takes the promise out of the request, answers 101, and gets the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A promise of the connection, kept when the answer 101 has been written.
#[derive(Debug)]
pub struct OnUpgrade(hyper::upgrade::OnUpgrade);

/// A connection that speaks something else from now on.
#[derive(Debug)]
pub struct Upgraded(TokioIo<hyper::upgrade::Upgraded>);

/// The connection was not upgraded: the request did not ask for it, the answer was another, or the client has gone.
#[derive(Debug, thiserror::Error)]
#[error("the connection was not upgraded")]
pub struct NotUpgraded(#[source] hyper::Error);

/// Takes the promise out of a request.
pub fn on<B>(request: &mut Request<B>) -> OnUpgrade {
    OnUpgrade(hyper::upgrade::on(request))
}

impl Future for OnUpgrade {
    type Output = Result<Upgraded, NotUpgraded>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let upgraded = ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(upgraded.map(|upgraded| Upgraded(TokioIo::new(upgraded))).map_err(NotUpgraded))
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
