//! A request's body on its way to a service: limited, watched, and given again to another attempt as far as that is possible.
//!
//! What no connection took is given back untouched, however long it is. What a connection took is given again where it was
//! kept, which is for small bodies of requests that may be repeated.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use pinnace_http::{BodyTooLarge, BoxError, RequestBody};
use tokio::time::Instant;

/// What is kept of a body at most.
const MOST_KEPT: usize = 64 << 10;

/// What the gateway knows about a body on its way; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Watch(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    body: RequestBody,
    kept: Kept,
    kept_bytes: usize,
    ended: bool,
    /// The attempt that may read; an earlier one may still be held by a connection that is about to go.
    attempt: u32,
    left: Option<u64>,
    limit: u64,
    moved: Instant,
    waits_for_client: bool,
    too_large: bool,
}

/// What has been read of a body.
#[derive(Debug)]
enum Kept {
    /// Nothing has, and what will be is not kept.
    Untouched,
    /// All of it, in the order in which it came.
    Pieces(Vec<Bytes>),
    /// Something that is not kept.
    Gone,
}

/// The body itself, for one attempt.
#[derive(Debug)]
pub(crate) struct Upload {
    watch: Watch,
    attempt: u32,
    /// How many of the kept pieces it has given.
    given: usize,
}

/// Another attempt has the body now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the body was given to another attempt")]
struct Taken;

impl Watch {
    /// With `keeps`, what is small can be given again.
    pub(crate) fn new(body: RequestBody, limit: Option<u64>, keeps: bool) -> Self {
        let ended = body.is_end_stream();
        Self(Arc::new(Mutex::new(State {
            body,
            kept: if keeps { Kept::Pieces(Vec::new()) } else { Kept::Untouched },
            kept_bytes: 0,
            ended,
            attempt: 0,
            left: limit,
            limit: limit.unwrap_or(u64::MAX),
            moved: Instant::now(),
            waits_for_client: false,
            too_large: false,
        })))
    }

    /// The body for the next attempt; nothing when a part of it is gone.
    pub(crate) fn upload(&self) -> Option<Upload> {
        let mut state = self.0.lock();
        if !state.is_whole() {
            return None;
        }
        state.attempt += 1;
        Some(Upload { watch: self.clone(), attempt: state.attempt, given: 0 })
    }

    /// Whether nothing comes from the client.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.0.lock();
        state.ended && state.is_whole() && state.pieces().is_empty()
    }

    /// Whether another attempt could have all of it.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.lock().is_whole()
    }

    /// The length that the client announced, before the body was begun.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.0.lock().body.size_hint().exact()
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

impl State {
    const fn is_whole(&self) -> bool {
        !matches!(self.kept, Kept::Gone)
    }

    fn pieces(&self) -> &[Bytes] {
        match &self.kept {
            Kept::Pieces(pieces) => pieces,
            Kept::Untouched | Kept::Gone => &[],
        }
    }

    fn keep(&mut self, data: &Bytes) {
        self.kept_bytes = self.kept_bytes.saturating_add(data.len());
        if self.kept_bytes > MOST_KEPT {
            self.kept = Kept::Gone;
        }
        if let Kept::Pieces(pieces) = &mut self.kept {
            pieces.push(data.clone());
        }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let watch = self.watch.clone();
        let mut state = watch.0.lock();
        if state.attempt != self.attempt {
            return Poll::Ready(Some(Err(Taken.into())));
        }
        if let Some(piece) = state.pieces().get(self.given).cloned() {
            self.given += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        if matches!(state.kept, Kept::Untouched) {
            state.kept = Kept::Gone;
        }
        let polled = Pin::new(&mut state.body).poll_frame(context);
        state.waits_for_client = polled.is_pending();
        let frame = std::task::ready!(polled);
        state.moved = Instant::now();
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let length = data.len() as u64;
                    if let Some(left) = state.left {
                        let Some(rest) = left.checked_sub(length) else {
                            state.too_large = true;
                            return Poll::Ready(Some(Err(BodyTooLarge { limit: state.limit }.into())));
                        };
                        state.left = Some(rest);
                    }
                    state.keep(data);
                    self.given += 1;
                } else {
                    // Trailers are not kept.
                    state.kept = Kept::Gone;
                }
            }
            Some(Err(_)) => state.kept = Kept::Gone,
            None => state.ended = true,
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.watch.0.lock();
        (state.ended || state.body.is_end_stream()) && self.given >= state.pieces().len()
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.watch.0.lock();
        let kept = state.pieces().iter().skip(self.given).map(|piece| piece.len() as u64).sum::<u64>();
        let mut hint = state.body.size_hint();
        // The lower bound goes first: it may not pass the upper one.
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + kept);
        }
        hint.set_lower(hint.lower() + kept);
        hint
    }
}
