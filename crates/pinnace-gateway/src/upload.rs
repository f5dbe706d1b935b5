//! A request's body on its way to a service: limited, watched, and given back untouched when no connection took it.
//!
//! Giving back is what lets any request be sent again whose connection was never made, however long its body is, without
//! holding a copy of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use pinnace_http::{BodyTooLarge, BoxError, RequestBody};
use tokio::time::Instant;

/// What the gateway knows about a body on its way; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Watch(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    untouched: Option<RequestBody>,
    empty: bool,
    moved: Instant,
    waits_for_client: bool,
    too_large: bool,
}

/// The body itself, for one attempt.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Option<RequestBody>,
    touched: bool,
    left: Option<u64>,
    limit: u64,
    watch: Watch,
}

impl Watch {
    pub(crate) fn new(body: RequestBody) -> Self {
        let empty = body.is_end_stream();
        let state =
            State { untouched: Some(body), empty, moved: Instant::now(), waits_for_client: false, too_large: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The body for the next attempt; nothing when it was begun already.
    pub(crate) fn upload(&self, limit: Option<u64>) -> Option<Upload> {
        let body = self.0.lock().untouched.take()?;
        Some(Upload {
            body: Some(body),
            touched: false,
            left: limit,
            limit: limit.unwrap_or(u64::MAX),
            watch: self.clone(),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().empty
    }

    /// The length that the client announced, before the body was begun.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.0.lock().untouched.as_ref().and_then(|body| body.size_hint().exact())
    }

    pub(crate) fn is_too_large(&self) -> bool {
        self.0.lock().too_large
    }

    /// Whether it is the client that everybody waits for.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.0.lock().waits_for_client
    }

    /// When something last came from the client.
    pub(crate) fn moved(&self) -> Instant {
        self.0.lock().moved
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.touched = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        let mut state = self.watch.0.lock();
        state.waits_for_client = polled.is_pending();
        let frame = std::task::ready!(polled);
        state.moved = Instant::now();
        drop(state);
        let length = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) | None => 0,
        };
        let limit = self.limit;
        if let Some(left) = &mut self.left {
            let Some(rest) = left.checked_sub(length) else {
                self.watch.0.lock().too_large = true;
                return Poll::Ready(Some(Err(BodyTooLarge { limit }.into())));
            };
            *left = rest;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(RequestBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, RequestBody::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut state = self.watch.0.lock();
        if !self.touched || state.empty {
            state.untouched = self.body.take();
        }
    }
}
