//! A request body that fails when it grows beyond a limit, for bodies whose length nobody announced.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;

use crate::BoxError;

/// The body was longer than its limit; the answer is 413.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the body is larger than {limit} bytes")]
pub struct BodyTooLarge {
    /// The most that was allowed.
    pub limit: u64,
}

/// Passes at most `limit` bytes, then fails with [`BodyTooLarge`].
#[derive(Debug)]
pub struct Limited<B> {
    body: B,
    limit: u64,
    left: u64,
}

impl<B> Limited<B> {
    /// Limits a body.
    pub const fn new(body: B, limit: u64) -> Self {
        Self { body, limit, left: limit }
    }
}

impl<B> http_body::Body for Limited<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match std::task::ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => frame,
        };
        if let Some(data) = frame.data_ref() {
            let length = data.len() as u64;
            if length > self.left {
                self.left = 0;
                return Poll::Ready(Some(Err(BodyTooLarge { limit: self.limit }.into())));
            }
            self.left -= length;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
