//! What a handler leaves unread of a request's body.
//!
//! An HTTP/1 connection carries no other request before that is read. So a little that is left is read here, and where
//! there is more, the client is asked to leave.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use pinnace_http::{Body, RequestBody, RequestBodyError};
use tokio::sync::oneshot;

/// The most that is read for nobody; as much as one reads at once from a socket.
const MOST: u64 = 64 << 10;
/// For how long: it is on its way, or its client waits for a word.
const PATIENCE: Duration = Duration::from_millis(500);

/// A body that is lent to a handler: what is left of it when it is dropped comes back.
#[derive(Debug)]
pub(crate) struct Lent {
    /// Nothing once it was read to its end.
    body: Option<RequestBody>,
    back_tx: Option<oneshot::Sender<RequestBody>>,
}

/// Where the rest comes back.
#[derive(Debug)]
pub(crate) struct Rest {
    back_rx: oneshot::Receiver<RequestBody>,
    version: Version,
    /// Its client sends the body only when asked, which reading does.
    waits_for_word: bool,
}

/// Lends the body of a request with this head.
pub(crate) fn lend(body: RequestBody, version: Version, headers: &HeaderMap) -> (Lent, Rest) {
    let (back_tx, back_rx) = oneshot::channel();
    let waits_for_word = headers.contains_key(header::EXPECT);
    let body = (!body.is_end_stream()).then_some(body);
    (Lent { body, back_tx: Some(back_tx) }, Rest { back_rx, version, waits_for_word })
}

impl Rest {
    /// Before the answer goes out: reads what is left, or says in the answer that the connection ends with it. A body that
    /// is in use still, by an answer that streams, is left to it.
    pub(crate) async fn settle(mut self, response: &mut Response<Body>) {
        let Ok(rest) = self.back_rx.try_recv() else { return };
        // Streams of HTTP/2 end one by one.
        if self.version == Version::HTTP_2 {
            return;
        }
        let is_little = !self.waits_for_word && rest.size_hint().lower() <= MOST;
        if !is_little || !tokio::time::timeout(PATIENCE, read(rest)).await.unwrap_or(false) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Whether the end was reached.
async fn read(mut body: RequestBody) -> bool {
    let mut left = MOST;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        if length > left {
            return false;
        }
        left -= length;
    }
    true
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        if body.is_end_stream() || !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(RequestBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), RequestBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back_tx)) = (self.body.take(), self.back_tx.take()) {
            // Nobody waits for it where the request was given up.
            let _ = back_tx.send(body);
        }
    }
}
