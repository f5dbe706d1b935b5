//! One connection's socket with what was read and what is to be written.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use pinnace_types::Problem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::encode::{self, Framing, Persistence};
use super::head::{self, Head, Limits};
use super::output::Output;
use super::refusal::Refusal;
use super::scan::Scanner;
use crate::connection::Activity;
use crate::problem_response;
use crate::server::stream::Socket;

/// How much is read at once: of a head, and of a body.
const READ_HEAD: usize = 8 << 10;
const READ_BODY: usize = 64 << 10;
/// For how long a refusal is tried to be told.
const TELLING: Duration = Duration::from_secs(1);

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    pub(crate) input: BytesMut,
    pub(crate) output: Output,
    /// The client has closed its side.
    pub(crate) reached_end: bool,
    /// The head of an answer was queued, and no other answer can be given.
    pub(crate) answering: bool,
    pub(crate) limits: Limits,
    scanner: Scanner,
    /// The memory of the last answer's fields, for the next request's.
    spare: HeaderMap,
}

/// What a read is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Room {
    Head,
    Body,
}

impl Wire {
    pub(crate) fn new(socket: Socket, limits: Limits) -> Self {
        Self {
            socket,
            input: BytesMut::new(),
            output: Output::default(),
            reached_end: false,
            answering: false,
            limits,
            scanner: Scanner::default(),
            spare: HeaderMap::new(),
        }
    }

    /// Takes the next head out of what was read, when it is complete.
    pub(crate) fn head(&mut self) -> Result<Option<Head>, Refusal> {
        head::parse(&mut self.input, &mut self.scanner, self.limits, &mut self.spare)
    }

    /// Keeps the memory of fields that were sent.
    pub(crate) fn keep(&mut self, mut fields: HeaderMap) {
        fields.clear();
        self.spare = fields;
    }

    /// Reads once; zero bytes are the end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        activity: &Activity,
        room: Room,
    ) -> Poll<io::Result<usize>> {
        if self.reached_end {
            return Poll::Ready(Ok(0));
        }
        let (least, wanted) = match room {
            Room::Head => (READ_HEAD / 4, READ_HEAD),
            Room::Body => (READ_BODY / 4, READ_BODY),
        };
        if self.input.capacity() - self.input.len() < least {
            self.input.reserve(wanted);
        }
        let read = ready!(pin!(self.socket.read_buf(&mut self.input)).poll(context))?;
        self.reached_end = read == 0;
        activity.body_moved();
        Poll::Ready(Ok(read))
    }

    /// Writes what is queued.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>, activity: &Activity) -> Poll<io::Result<()>> {
        if self.output.is_settled() {
            return Poll::Ready(Ok(()));
        }
        let before = self.output.len();
        let flushed = self.output.poll_flush(&mut self.socket, context);
        if flushed.is_pending() {
            activity.write_waits(self.output.len() < before);
        } else {
            activity.write_done();
        }
        flushed
    }

    /// Tells why a request is refused; says whether that was possible.
    pub(crate) async fn refuse(&mut self, refusal: &Refusal, is_head: bool) -> bool {
        if self.answering {
            return false;
        }
        self.answering = true;
        let problem = Problem::new(refusal.code, refusal.detail);
        let (parts, body) = problem_response(&problem).into_parts();
        let body = body.into_full().unwrap_or_default();
        let framing =
            if is_head { Framing::Nothing(Some(body.len() as u64)) } else { Framing::Exactly(body.len() as u64) };
        encode::head(self.output.open(), (parts.status, None), &parts.headers, framing, Some(Persistence::Close));
        if !is_head {
            self.output.push(body);
        }
        let flush = std::future::poll_fn(|context| self.output.poll_flush(&mut self.socket, context));
        matches!(tokio::time::timeout(TELLING, flush).await, Ok(Ok(())))
    }

    /// Closes our side; false when the client has gone.
    pub(crate) async fn shut_down(&mut self) -> bool {
        self.socket.shutdown().await.is_ok()
    }

    /// What was read and belongs to another protocol, with the socket.
    pub(crate) fn into_parts(self) -> (Socket, Bytes) {
        (self.socket, self.input.freeze())
    }
}
