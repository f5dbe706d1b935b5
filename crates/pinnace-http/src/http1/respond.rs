//! The answer on its way out: head and what is there of the body in one write, then piece by piece as the socket takes it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, Version, header};
use http_body::{Body as _, Frame};
use hyper::ext::ReasonPhrase;
use pinnace_types::{ErrorCode, Problem};
use tokio::sync::oneshot;

use super::encode::{self, Asked, Framing, Persistence};
use super::exchange::{After, Beside, Happened};
use super::feed::MAX_REST;
use super::output::Output;
use super::wire::Wire;
use crate::upgrade::Upgraded;
use crate::{Body, Connection, problem_response};

/// No more is taken from a body while so many bytes wait for the socket.
const HIGH_WATER: usize = 64 << 10;
/// For how long the rest of a request's body is awaited after the answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether the connection ends with this answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Leaving {
    Yes,
    No,
}

/// A body that is being sent.
struct Sending {
    body: Body,
    framing: Framing,
    takes_trailers: bool,
    /// What is to come of a length that was told.
    left: u64,
    trailers: Option<HeaderMap>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    Ended,
    /// More came than was told: nothing that follows on this connection could be trusted.
    Overrun,
    /// It ended before its end.
    Broken,
}

/// Sends an answer.
pub(super) async fn respond(
    wire: &mut Wire,
    connection: &Arc<Connection>,
    asked: Asked,
    leaving: Leaving,
    response: Response<Body>,
    mut beside: Beside,
    upgrade_tx: Option<oneshot::Sender<Upgraded>>,
) -> After {
    let (response, framing) = sendable(response, asked);
    let (parts, body) = response.into_parts();
    let closes = leaving == Leaving::Yes
        || framing == Framing::UntilClose
        || says_close(&parts.headers)
        || beside.feed.as_ref().is_some_and(super::feed::Feed::prevents_keeping);
    let persistence = match framing {
        Framing::Switched => None,
        _ if closes => Some(Persistence::Close),
        _ => (asked.version == Version::HTTP_10).then_some(Persistence::Keep),
    };
    wire.answering = true;
    let reason = parts.extensions.get::<ReasonPhrase>();
    encode::head(wire.output.open(), (parts.status, reason), &parts.headers, framing, persistence);
    wire.keep(parts.headers);
    let mut sending = Sending::new(body, framing, asked.takes_trailers);
    // Another request is here already: its answer leaves with this one.
    let is_followed = !closes
        && framing != Framing::Switched
        && !wire.input.is_empty()
        && beside.feed.as_ref().is_none_or(|feed| feed.ended);
    if is_followed && sending.fits(&mut wire.output).await {
        wire.answering = false;
        return After::Next;
    }
    let sent = poll_fn(|context| sending.poll(wire, connection, &mut beside, context)).await;
    let state = sending.state;
    // Whoever watches the body learns now that all of it has left.
    drop(sending);
    match sent {
        Happened::Progress => {}
        Happened::Gone | Happened::Refused(_) => {
            if framing == Framing::UntilClose {
                wire.socket.reset_on_close();
            }
            return After::Gone;
        }
    }
    if framing == Framing::Switched {
        return upgrade_tx.map_or(After::Gone, After::Switched);
    }
    wire.answering = false;
    if closes || state == State::Overrun || !read_rest(wire, connection, &mut beside).await {
        return After::Finished;
    }
    After::Next
}

/// The answer, or 500 where it could not be understood.
fn sendable(response: Response<Body>, asked: Asked) -> (Response<Body>, Framing) {
    let hint = response.body().size_hint();
    match encode::framing(asked, response.status(), response.headers(), &hint) {
        Ok(framing) => (response, framing),
        Err(error) => {
            tracing::error!(%error, status = response.status().as_u16(), "a response could not be sent");
            let problem = Problem::new(ErrorCode::Internal, "the service failed; its log has the details");
            let failure = problem_response(&problem);
            let length = failure.body().size_hint().exact();
            let framing = if asked.is_head { Framing::Nothing(length) } else { Framing::Exactly(length.unwrap_or(0)) };
            (failure, framing)
        }
    }
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}

/// Reads what the handler has left of the request's body; false when that is too much.
async fn read_rest(wire: &mut Wire, connection: &Connection, beside: &mut Beside) -> bool {
    let Some(feed) = beside.feed.as_mut().filter(|feed| !feed.ended) else { return true };
    if feed.owes_continue() {
        return false;
    }
    let mut budget = MAX_REST;
    let rest = poll_fn(|context| feed.poll_discard(wire, &connection.activity, &mut budget, context));
    tokio::time::timeout(PATIENCE, rest).await.unwrap_or(false)
}

impl Sending {
    fn new(body: Body, framing: Framing, takes_trailers: bool) -> Self {
        let (left, state) = match framing {
            Framing::Nothing(_) | Framing::Switched | Framing::Exactly(0) => (0, State::Ended),
            Framing::Exactly(length) => (length, State::Open),
            Framing::Chunked | Framing::UntilClose => (0, State::Open),
        };
        Self { body, framing, takes_trailers, left, trailers: None, state }
    }

    fn poll(
        &mut self,
        wire: &mut Wire,
        connection: &Connection,
        beside: &mut Beside,
        context: &mut Context<'_>,
    ) -> Poll<Happened> {
        loop {
            let waits_for_body = self.poll_body(&mut wire.output, context).is_pending();
            if self.state == State::Broken {
                tracing::debug!(peer = %connection.peer, "a response broke off");
                // What is there goes out, so that the client has at least the head.
                let _ = wire.poll_flush(context, &connection.activity);
                return Poll::Ready(Happened::Gone);
            }
            match wire.poll_flush(context, &connection.activity) {
                Poll::Ready(Err(_)) => return Poll::Ready(Happened::Gone),
                Poll::Ready(Ok(())) if self.state != State::Open => return Poll::Ready(Happened::Progress),
                Poll::Ready(Ok(())) if !waits_for_body => continue,
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            match std::task::ready!(beside.poll(wire, &connection.activity, context)) {
                Happened::Progress => {}
                happened => return Poll::Ready(happened),
            }
        }
    }

    /// Whether all that is to be sent is there and has its place in the output.
    async fn fits(&mut self, output: &mut Output) -> bool {
        poll_fn(|context| {
            // What is not there yet is awaited by whoever asks next.
            let _ = self.poll_body(output, context);
            Poll::Ready(self.state == State::Ended && output.len() < HIGH_WATER)
        })
        .await
    }

    /// Takes pieces until the output is full, the body ends, or there is none; the last of these is pending.
    fn poll_body(&mut self, output: &mut Output, context: &mut Context<'_>) -> Poll<()> {
        while self.state == State::Open && output.len() < HIGH_WATER {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => self.take(frame, output),
                Some(Err(_)) => self.state = State::Broken,
                None => self.end(output),
            }
        }
        Poll::Ready(())
    }

    fn take(&mut self, frame: Frame<Bytes>, output: &mut Output) {
        let mut data = match frame.into_data() {
            Ok(data) => data,
            Err(other) => {
                self.trailers = other.into_trailers().ok();
                return;
            }
        };
        if data.is_empty() {
            return;
        }
        match self.framing {
            Framing::Chunked => {
                encode::chunk_start(output.open(), data.len());
                output.push(data);
                output.open().extend_from_slice(b"\r\n");
            }
            Framing::Exactly(_) => {
                let length = data.len() as u64;
                if length > self.left {
                    tracing::error!("a response's body is longer than its Content-Length");
                    data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.state = State::Overrun;
                }
                self.left = self.left.saturating_sub(length);
                output.push(data);
                if self.left == 0 && self.state == State::Open {
                    self.state = State::Ended;
                }
            }
            Framing::UntilClose | Framing::Nothing(_) | Framing::Switched => output.push(data),
        }
        if self.state == State::Open && self.body.is_end_stream() {
            self.end(output);
        }
    }

    fn end(&mut self, output: &mut Output) {
        if self.framing == Framing::Chunked {
            let trailers = self.trailers.as_ref().filter(|_| self.takes_trailers);
            encode::chunked_end(output.open(), trailers);
        }
        self.state = if self.left > 0 { State::Broken } else { State::Ended };
        if self.left > 0 {
            tracing::error!("a response's body is shorter than its Content-Length");
        }
    }
}
