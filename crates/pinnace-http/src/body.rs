//! The one body type of responses and outgoing requests: nothing, bytes, a stream with back-pressure, or any other body.
//!
//! A stream ends cleanly only by [`BodySender::finish`]. A sender that is dropped (a handler that panicked, a worker that
//! gave up) aborts the message, so that nobody takes half a response for a whole one.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::RequestBody;

/// The error of every body.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A message body.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Channel(Channel),
    Incoming(Incoming),
    Boxed(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>),
}

struct Channel {
    pieces_rx: mpsc::Receiver<Piece>,
    finished: bool,
    length: Option<u64>,
}

enum Piece {
    Frame(Frame<Bytes>),
    Abort(BoxError),
    Finish,
}

/// The writing end of [`Body::channel`].
#[derive(Debug)]
pub struct BodySender {
    pieces_tx: mpsc::Sender<Piece>,
}

/// The reader of a body is gone: the client has closed, or the server cut it off.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the other side no longer reads the body")]
pub struct BodyClosed;

/// The sender of a streamed body was dropped before its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the body was given up before its end")]
struct BodyAborted;

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// A body of which all bytes are there.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty() } else { Self(Kind::Full(bytes)) }
    }

    /// A stream: the sender waits while `capacity` pieces have not been taken.
    pub fn channel(capacity: usize) -> (BodySender, Self) {
        Self::channel_of(capacity, None)
    }

    /// A stream whose length is announced beforehand; the sender must keep to it.
    pub fn channel_with_length(capacity: usize, length: u64) -> (BodySender, Self) {
        Self::channel_of(capacity, Some(length))
    }

    fn channel_of(capacity: usize, length: Option<u64>) -> (BodySender, Self) {
        let (pieces_tx, pieces_rx) = mpsc::channel(capacity.max(1));
        (BodySender { pieces_tx }, Self(Kind::Channel(Channel { pieces_rx, finished: false, length })))
    }

    /// Any other body.
    pub fn boxed<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Boxed(Box::pin(body.map_err(Into::into))))
    }
}

impl Body {
    /// The bytes, where all of them are there.
    pub(crate) fn into_full(self) -> Option<Bytes> {
        match self.0 {
            Kind::Empty => Some(Bytes::new()),
            Kind::Full(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl BodySender {
    /// Sends a piece when there is room for it.
    pub async fn send(&self, data: impl Into<Bytes>) -> Result<(), BodyClosed> {
        self.pieces_tx.send(Piece::Frame(Frame::data(data.into()))).await.map_err(|_| BodyClosed)
    }

    /// Sends a piece if there is room for it now; says whether it did.
    pub fn try_send(&self, data: &Bytes) -> bool {
        self.pieces_tx.try_reserve().is_ok_and(|permit| {
            permit.send(Piece::Frame(Frame::data(data.clone())));
            true
        })
    }

    /// Sends the trailers, which must be the last frame.
    pub async fn send_trailers(&self, trailers: http::HeaderMap) -> Result<(), BodyClosed> {
        self.pieces_tx.send(Piece::Frame(Frame::trailers(trailers))).await.map_err(|_| BodyClosed)
    }

    /// Ends the body cleanly.
    pub async fn finish(self) -> Result<(), BodyClosed> {
        self.pieces_tx.send(Piece::Finish).await.map_err(|_| BodyClosed)
    }

    /// Ends the body cleanly, if there is room for that now; gives the sender back otherwise.
    pub fn try_finish(self) -> Result<(), Self> {
        if self.pieces_tx.is_closed() || self.pieces_tx.try_send(Piece::Finish).is_ok() { Ok(()) } else { Err(self) }
    }

    /// Breaks the message off: HTTP/1 closes the connection without an end, HTTP/2 resets the stream.
    pub async fn abort(self, error: impl Into<BoxError>) {
        // A reader that is gone needs no word.
        let _ = self.pieces_tx.send(Piece::Abort(error.into())).await;
    }

    /// Whether the reader is gone.
    pub fn is_closed(&self) -> bool {
        self.pieces_tx.is_closed()
    }

    /// Resolves when the reader is gone.
    pub async fn closed(&self) {
        self.pieces_tx.closed().await;
    }
}

impl Channel {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.finished {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(self.pieces_rx.poll_recv(context));
        match piece {
            Some(Piece::Frame(frame)) => {
                if let (Some(left), Some(data)) = (&mut self.length, frame.data_ref()) {
                    *left = left.saturating_sub(data.len() as u64);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Piece::Finish) => {
                self.finished = true;
                self.pieces_rx.close();
                Poll::Ready(None)
            }
            Some(Piece::Abort(error)) => {
                self.finished = true;
                Poll::Ready(Some(Err(error)))
            }
            None => {
                self.finished = true;
                Poll::Ready(Some(Err(BodyAborted.into())))
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Channel(channel) => channel.poll_frame(context),
            Kind::Incoming(incoming) => {
                Pin::new(incoming).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Kind::Boxed(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(_) => false,
            Kind::Channel(channel) => channel.finished,
            Kind::Incoming(incoming) => incoming.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Channel(channel) => channel.length.map_or_else(SizeHint::default, SizeHint::with_exact),
            Kind::Incoming(incoming) => incoming.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Empty => "empty",
            Kind::Full(_) => "full",
            Kind::Channel(_) => "channel",
            Kind::Incoming(_) => "incoming",
            Kind::Boxed(_) => "boxed",
        };
        formatter.debug_tuple("Body").field(&kind).finish()
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        Self(Kind::Incoming(incoming))
    }
}

impl From<RequestBody> for Body {
    fn from(body: RequestBody) -> Self {
        Self::boxed(body)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(text)
    }
}
