//! The way of a request's body from the connection to the handler: one piece at a time, and only when it is asked for.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

use super::body::BodyDecoder;
use super::chunked::Decoded;
use super::head::{BodyLength, Limits};
use super::refusal::Refusal;
use super::wire::{Room, Wire};
use crate::connection::Activity;
use crate::request_body::{RequestBody, RequestBodyError};

/// The most that is read for nobody after an answer, so that the connection can be kept.
pub(crate) const MAX_REST: u64 = 64 << 10;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The connection's end.
#[derive(Debug)]
pub(crate) struct Feed {
    decoder: BodyDecoder,
    slot: Arc<Mutex<Slot>>,
    /// What was decoded before the handler was called.
    early: Option<Bytes>,
    /// The client waits for a word before it sends.
    owes_continue: bool,
    pub(crate) ended: bool,
}

/// The handler's end.
#[derive(Debug)]
pub(crate) struct Streamed {
    slot: Arc<Mutex<Slot>>,
    /// The bytes to come, where their number is known.
    left: Option<u64>,
}

#[derive(Debug, Default)]
struct Slot {
    piece: Option<Result<Frame<Bytes>, RequestBodyError>>,
    wanted: bool,
    ended: bool,
    abandoned: bool,
    reader: Option<Waker>,
    driver: Option<Waker>,
}

/// Why a body cannot be read on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FeedError {
    /// The client is told.
    Refused(Refusal),
    /// There is nobody to tell.
    Gone,
}

/// Begins to read a body. One that is there as a whole needs no feed.
pub(crate) fn open(
    wire: &mut Wire,
    length: BodyLength,
    expects_continue: bool,
) -> Result<(RequestBody, Option<Feed>), Refusal> {
    let limits = wire.limits;
    let mut decoder = BodyDecoder::new(length);
    let early = match length {
        BodyLength::Exactly(0) => return Ok((RequestBody::empty(), None)),
        BodyLength::Exactly(length) if wire.input.len() as u64 >= length => {
            let Decoded::Data(bytes) = decoder.decode(&mut wire.input, limits)? else {
                return Ok((RequestBody::empty(), None));
            };
            return Ok((RequestBody::whole(bytes, None), None));
        }
        BodyLength::Exactly(_) => None,
        BodyLength::Chunked => match collect(&mut decoder, &mut wire.input, limits)? {
            (bytes, Some(trailers)) => return Ok((RequestBody::whole(bytes, trailers.map(Box::new)), None)),
            (bytes, None) => Some(bytes).filter(|bytes| !bytes.is_empty()),
        },
    };
    let owes_continue = expects_continue && early.is_none() && wire.input.is_empty();
    let slot = Arc::new(Mutex::new(Slot::default()));
    let streamed = Streamed { slot: Arc::clone(&slot), left: decoder.left() };
    let feed = Feed { decoder, slot, early, owes_continue, ended: false };
    Ok((RequestBody::streamed(streamed), Some(feed)))
}

/// Decodes what is there; the trailers stand for the end.
#[expect(clippy::option_option, reason = "the end with no trailers is an end")]
fn collect(
    decoder: &mut BodyDecoder,
    input: &mut BytesMut,
    limits: Limits,
) -> Result<(Bytes, Option<Option<HeaderMap>>), Refusal> {
    let mut first = Bytes::new();
    let mut joined = Vec::new();
    loop {
        match decoder.decode(input, limits)? {
            Decoded::Data(bytes) if first.is_empty() => first = bytes,
            Decoded::Data(bytes) => {
                if joined.is_empty() {
                    joined.extend_from_slice(&first);
                }
                joined.extend_from_slice(&bytes);
            }
            Decoded::Needs => return Ok((if joined.is_empty() { first } else { joined.into() }, None)),
            Decoded::End(trailers) => {
                return Ok((if joined.is_empty() { first } else { joined.into() }, Some(trailers)));
            }
        }
    }
}

impl Feed {
    /// Gives the handler a piece if it wants one. Ready when something was given.
    pub(crate) fn poll_give(
        &mut self,
        wire: &mut Wire,
        activity: &Activity,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), FeedError>> {
        if self.ended || !self.is_wanted(context.waker()) {
            return Poll::Pending;
        }
        if let Some(early) = self.early.take() {
            self.put(Some(Ok(Frame::data(early))), false);
            return Poll::Ready(Ok(()));
        }
        loop {
            match self.decoder.decode(&mut wire.input, wire.limits).map_err(FeedError::Refused)? {
                Decoded::Data(bytes) => {
                    let is_last = self.decoder.left() == Some(0);
                    self.put(Some(Ok(Frame::data(bytes))), is_last);
                    return Poll::Ready(Ok(()));
                }
                Decoded::End(trailers) => {
                    self.put(trailers.map(|trailers| Ok(Frame::trailers(trailers))), true);
                    return Poll::Ready(Ok(()));
                }
                Decoded::Needs => {}
            }
            if std::mem::take(&mut self.owes_continue) && !wire.answering {
                wire.output.open().extend_from_slice(CONTINUE);
            }
            match wire.poll_read(context, activity, Room::Body) {
                Poll::Pending => {
                    activity.body_awaited();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) => {
                    let refusal = Refusal::malformed("the request's body ended too early");
                    return Poll::Ready(Err(FeedError::Refused(refusal)));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(FeedError::Gone)),
            }
        }
    }

    /// Reads the rest for nobody, within a bound; says whether the end was reached.
    pub(crate) fn poll_discard(
        &mut self,
        wire: &mut Wire,
        activity: &Activity,
        budget: &mut u64,
        context: &mut Context<'_>,
    ) -> Poll<bool> {
        loop {
            match self.decoder.decode(&mut wire.input, wire.limits) {
                Ok(Decoded::Data(bytes)) => {
                    let Some(rest) = budget.checked_sub(bytes.len() as u64) else { return Poll::Ready(false) };
                    *budget = rest;
                }
                Ok(Decoded::End(_)) => return Poll::Ready(true),
                Err(_) => return Poll::Ready(false),
                Ok(Decoded::Needs) => match std::task::ready!(wire.poll_read(context, activity, Room::Body)) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return Poll::Ready(false),
                },
            }
        }
    }

    /// Whether the connection cannot be kept after an answer that is about to begin: the rest that nobody reads is large,
    /// or of unknown length, or waits for a word that is not given.
    pub(crate) fn prevents_keeping(&self) -> bool {
        let is_little = self.decoder.left().is_some_and(|left| left <= MAX_REST);
        !self.ended && self.slot.lock().abandoned && (self.owes_continue || !is_little)
    }

    /// Whether the client was never told to send.
    pub(crate) fn owes_continue(&self) -> bool {
        self.owes_continue
    }

    fn is_wanted(&self, driver: &Waker) -> bool {
        let mut slot = self.slot.lock();
        if slot.wanted && slot.piece.is_none() && !slot.abandoned {
            return true;
        }
        if !slot.driver.as_ref().is_some_and(|known| known.will_wake(driver)) {
            slot.driver = Some(driver.clone());
        }
        false
    }

    fn put(&mut self, piece: Option<Result<Frame<Bytes>, RequestBodyError>>, ended: bool) {
        self.ended = ended;
        let mut slot = self.slot.lock();
        slot.piece = piece;
        slot.wanted = false;
        slot.ended = ended;
        let reader = slot.reader.take();
        drop(slot);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if !self.ended {
            self.put(Some(Err(RequestBodyError::Ended)), true);
        }
    }
}

impl Streamed {
    pub(crate) fn poll_frame(&mut self, context: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let mut slot = self.slot.lock();
        let piece = slot.piece.take();
        if piece.is_none() && slot.ended {
            return Poll::Ready(None);
        }
        let driver = if slot.ended {
            None
        } else {
            // The next piece is read while this one is looked at.
            slot.wanted = true;
            slot.driver.take()
        };
        if piece.is_none() && !slot.reader.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            slot.reader = Some(context.waker().clone());
        }
        drop(slot);
        if let Some(driver) = driver {
            driver.wake();
        }
        let Some(piece) = piece else { return Poll::Pending };
        if let (Some(left), Ok(frame)) = (&mut self.left, &piece) {
            *left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len) as u64);
        }
        Poll::Ready(Some(piece))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let slot = self.slot.lock();
        slot.ended && slot.piece.is_none()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        let mut slot = self.slot.lock();
        slot.abandoned = true;
        slot.piece = None;
    }
}
