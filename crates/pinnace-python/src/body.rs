//! The body of a response on its way from Python to the socket.
//!
//! A streamed body is a bounded channel: the server takes a chunk when the socket has room, so that a slow reader holds
//! up the application and not the memory. A channel that ends without its last chunk was abandoned, and the connection
//! is cut: a client must not take half an answer for a whole one.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use pinnace_telemetry::Observation;
use tokio::sync::mpsc;

/// Chunks that may wait for the socket.
pub(crate) const CHUNKS_IN_FLIGHT: usize = 16;

/// The bytes of an answer.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// All of them at once.
    Full(Bytes),
    /// One after the other.
    Stream(StreamBody),
}

/// A body that is still being written.
#[derive(Debug)]
pub(crate) struct StreamBody {
    chunks: mpsc::Receiver<Chunk>,
    ended: bool,
    /// What is still to come of the length that the head declares. The server stops to ask for chunks when it has all.
    remaining: Option<u64>,
    observation: Option<Observation>,
    // Dropped with the body: tells the application that nobody listens any more.
    _listener: Option<Box<dyn Listener>>,
}

/// A part of a streamed body.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) data: Bytes,
    pub(crate) last: bool,
    /// What comes behind a last part that has no bytes of its own.
    pub(crate) trailers: Option<Box<HeaderMap>>,
}

/// What wants to be dropped together with the body.
pub(crate) trait Listener: std::fmt::Debug + Send + Sync {}

/// The application gave up in the middle of its answer.
#[derive(Debug, thiserror::Error)]
#[error("the application ended before its response did")]
pub(crate) struct Abandoned;

impl Chunk {
    /// Some bytes, after which more may come.
    pub(crate) fn part(data: Bytes) -> Self {
        Self { data, last: false, trailers: None }
    }

    /// The end.
    pub(crate) fn end() -> Self {
        Self { data: Bytes::new(), last: true, trailers: None }
    }

    /// The end, with trailers.
    pub(crate) fn trailers(trailers: HeaderMap) -> Self {
        Self { data: Bytes::new(), last: true, trailers: Some(Box::new(trailers)) }
    }
}

impl ResponseBody {
    /// A body of these bytes.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(bytes.into())
    }

    /// A body of chunks to come.
    pub(crate) fn stream(chunks: mpsc::Receiver<Chunk>, listener: Option<Box<dyn Listener>>) -> Self {
        Self::Stream(StreamBody { chunks, ended: false, remaining: None, observation: None, _listener: listener })
    }

    /// Hands over what is finished when the body is: at once where all bytes are there, else with the last chunk or the
    /// last byte of the `declared` length.
    pub(crate) fn observe(&mut self, mut observation: Observation, declared: Option<u64>) {
        match self {
            Self::Full(bytes) => {
                observation.add_bytes(bytes.len());
                observation.finish();
            }
            Self::Stream(stream) => {
                stream.observation = Some(observation);
                stream.remaining = declared;
            }
        }
    }
}

impl From<ResponseBody> for pinnace_http::Body {
    fn from(body: ResponseBody) -> Self {
        match body {
            ResponseBody::Full(bytes) => Self::full(bytes),
            ResponseBody::Stream(stream) => Self::boxed(stream),
        }
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Abandoned;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Abandoned>>> {
        self.poll_chunk(context)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

impl StreamBody {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Abandoned>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            let Poll::Ready(chunk) = self.chunks.poll_recv(context) else { return Poll::Pending };
            let Some(chunk) = chunk else {
                self.ended = true;
                return Poll::Ready(Some(Err(Abandoned)));
            };
            let length = chunk.data.len();
            if let Some(observation) = &mut self.observation {
                observation.add_bytes(length);
            }
            self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(length as u64));
            self.ended |= chunk.last;
            if self.ended || self.remaining == Some(0) {
                // Before the last bytes reach the kernel, so that what was answered was counted.
                if let Some(observation) = self.observation.take() {
                    observation.finish();
                }
            }
            if let Some(trailers) = chunk.trailers {
                return Poll::Ready(Some(Ok(Frame::trailers(*trailers))));
            }
            if !chunk.data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(chunk.data))));
            }
        }
    }
}
