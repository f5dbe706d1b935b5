//! Bytes on their way out: small ones are joined, large ones are passed on as they are, and all of them leave in as few
//! writes as the socket allows.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

/// Pieces below this are copied: cheaper than a slice of their own.
const COPY_BELOW: usize = 8 << 10;
/// Slices of one write.
const MAX_SLICES: usize = 16;
/// Memory that is kept for the next answer.
const KEPT: usize = 16 << 10;

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Before `open`.
    sealed: VecDeque<Bytes>,
    sealed_length: usize,
    /// Where small pieces are joined.
    open: Vec<u8>,
    /// Bytes of `open` that have left.
    written: usize,
    /// The socket may hold a part of what it took: TLS does.
    is_held: bool,
}

impl Output {
    /// Bytes that have not left.
    pub(crate) fn len(&self) -> usize {
        self.sealed_length + self.open.len() - self.written
    }

    /// Whether everything has left.
    pub(crate) fn is_settled(&self) -> bool {
        self.len() == 0 && !self.is_held
    }

    /// Where small pieces are appended.
    pub(crate) fn open(&mut self) -> &mut Vec<u8> {
        &mut self.open
    }

    /// Appends a piece.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.len() < COPY_BELOW {
            self.open.extend_from_slice(&piece);
            return;
        }
        if self.open.len() > self.written {
            let mut open = Bytes::from(std::mem::take(&mut self.open));
            open.advance(self.written);
            self.seal(open);
        } else {
            self.open.clear();
        }
        self.written = 0;
        self.seal(piece);
    }

    fn seal(&mut self, piece: Bytes) {
        self.sealed_length += piece.len();
        self.sealed.push_back(piece);
    }

    /// Writes until nothing is left.
    pub(crate) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.len() > 0 {
            let written = if self.sealed.is_empty() {
                ready!(Pin::new(&mut *socket).poll_write(context, &self.open[self.written..]))?
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let mut count = 0;
                let open = &self.open[self.written..];
                for (slot, piece) in slices.iter_mut().zip(self.sealed.iter().map(Bytes::as_ref).chain([open])) {
                    *slot = IoSlice::new(piece);
                    count += 1;
                }
                ready!(Pin::new(&mut *socket).poll_write_vectored(context, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_held = true;
            self.advance(written);
        }
        if self.is_held {
            ready!(Pin::new(socket).poll_flush(context))?;
            self.is_held = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.sealed.front_mut() {
            let length = written.min(first.len());
            first.advance(length);
            self.sealed_length -= length;
            written -= length;
            if !first.is_empty() {
                return;
            }
            self.sealed.pop_front();
        }
        self.written += written;
        if self.written == self.open.len() {
            self.written = 0;
            self.open.clear();
            if self.open.capacity() > KEPT {
                self.open.shrink_to(KEPT);
            }
        }
    }
}
