//! One HTTP request and its answer, between the connection and the application. What ends an answer in another way than
//! with a part of its body is in [`extensions`].
//!
//! The request's body is read only when the application asks for it, and what it sends waits for the socket. The
//! application is told `http.disconnect` when the client has gone or the answer is complete. After the client has gone,
//! further parts of a stream raise [`ClientDisconnected`], so that an endless stream ends; a whole answer is dropped
//! silently, so that background work behind it still runs.

mod extensions;

use std::sync::{Arc, Weak};

use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use parking_lot::Mutex;
use pinnace_http::{Connection, RequestBody};
use pinnace_types::{ErrorCode, RequestId};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyString};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::awaitable::Reply;
use super::head::Head;
use super::mailbox::{Found, Mailbox, Message};
use super::task::{Conversation, Outcome};
use super::{Asgi, ClientDisconnected, scope};
use crate::body::{CHUNKS_IN_FLIGHT, Chunk, Listener, ResponseBody};
use crate::forwarded::Origin;
use crate::handler::problem;
use crate::upload::{Upload, UploadError};

/// Bodies below this are copied: cheaper than keeping the Python object and taking the lock to drop it.
const COPY_BELOW: usize = 8 << 10;

/// The state that connection and application share.
#[derive(Debug)]
struct Exchange {
    this: Weak<Self>,
    asgi: Arc<Asgi>,
    method: Method,
    request_id: RequestId,
    takes_trailers: bool,
    mailbox: Mailbox<Event>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    answer: Option<oneshot::Sender<Response<ResponseBody>>>,
    phase: Phase,
    /// The unread rest of the body, when nobody reads it at the moment.
    upload: Option<Upload>,
    /// Bytes still to come by the declared Content-Length.
    remaining: Option<u64>,
    /// What has been said of the trailers, where they are to follow the body.
    trailers: Option<HeaderMap>,
}

#[derive(Debug)]
enum Phase {
    Waiting,
    Headed(Head),
    Streaming(mpsc::Sender<Chunk>),
    /// The body is complete, the trailers are not; no channel: they are not sent.
    Trailing(Option<mpsc::Sender<Chunk>>),
    /// The answer has no body on the wire (HEAD, 204, 304); what the application sends is dropped.
    Discarding,
    Complete,
    /// It was answered in the application's stead.
    Overruled,
}

#[derive(Clone, Debug)]
enum Event {
    Body { data: Bytes, more: bool },
    Disconnect,
}

/// `receive` and `send` of one request.
#[pyclass(frozen, module = "pinnace_runtime._native")]
#[derive(Debug)]
struct HttpMessages(Arc<Exchange>);

/// Tells the application that the client has gone, when it is dropped.
#[derive(Debug)]
struct ClientGone(Weak<Exchange>);

/// What became of a chunk.
enum Sent {
    Done,
    Wait(mpsc::Sender<Chunk>, Chunk),
}

/// Answers a request with the application.
pub(super) async fn exchange(
    asgi: &Arc<Asgi>,
    request: Request<RequestBody>,
    connection: &Connection,
    origin: Origin,
) -> Response<ResponseBody> {
    let (parts, incoming) = request.into_parts();
    let request_id = scope::request_id(&parts);
    let upload = Upload::new(incoming, asgi.max_body_bytes);
    let (first, rest) = if parts.headers.contains_key(header::EXPECT) && !upload.is_end() {
        (None, Some(upload))
    } else {
        match upload.prefetch().await {
            Ok(prefetched) => {
                let more = prefetched.rest.is_some();
                let event = Event::Body { data: prefetched.data, more };
                (Some(event).filter(|event| !event.is_empty_part()), prefetched.rest)
            }
            Err(error) => return error.response(),
        }
    };
    let (answer_tx, answer_rx) = oneshot::channel();
    let exchange = Arc::new_cyclic(|this| Exchange {
        this: this.clone(),
        asgi: Arc::clone(asgi),
        method: parts.method.clone(),
        request_id: request_id.clone(),
        takes_trailers: scope::takes_trailers(&parts.headers),
        mailbox: Mailbox::new(),
        state: Mutex::new(State {
            answer: Some(answer_tx),
            phase: Phase::Waiting,
            upload: rest,
            remaining: None,
            trailers: None,
        }),
    });
    // Dropped with this future when the connection ends before the answer begins.
    let mut gone = ClientGone(Arc::downgrade(&exchange));
    Python::attach(|py| {
        if let Some(event) = first
            && let Err(error) = exchange.mailbox.post(py, asgi, event)
        {
            error.print(py);
        }
        let prepared = scope::http(py, asgi, &parts, connection, origin)
            .and_then(|scope| Ok((scope, Bound::new(py, HttpMessages(Arc::clone(&exchange)))?)));
        match prepared {
            Ok((scope, messages)) => {
                asgi.start(py, &scope, messages.as_any(), &(exchange.clone() as Arc<dyn Conversation>), &request_id);
            }
            Err(error) => {
                asgi.report(py, &error, request_id.as_str());
                exchange.ended(py, Outcome::Failed);
            }
        }
    });
    drop(exchange);
    let answer = answer_rx.await;
    // Nothing is written while Python has requests to answer.
    tokio::task::yield_now().await;
    if let Ok(answer) = answer {
        // From here on the body tells: it holds a `ClientGone` of its own.
        gone.0 = Weak::new();
        return answer;
    }
    problem(ErrorCode::Internal, "the application gave no answer", None)
}

// ---------------------------------------------------------------- what the application calls

#[pymethods]
impl HttpMessages {
    fn receive(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let found = self.0.mailbox.receive(py, &self.0.asgi)?;
        match found {
            Found::Event(event) => Reply::ready(py, event),
            Found::Wait(future) => {
                self.0.read_on();
                Reply::waiting(py, future)
            }
        }
    }

    fn send(&self, py: Python<'_>, message: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        let kind = message
            .get_item(intern!(py, "type"))?
            .ok_or_else(|| PyTypeError::new_err("an ASGI message has a `type`"))?;
        let sent = match kind.cast::<PyString>()?.to_str()? {
            "http.response.start" => {
                self.0.begin(Head::from_message(message)?)?;
                Sent::Done
            }
            "http.response.body" => {
                let more = match message.get_item(intern!(py, "more_body"))? {
                    Some(more) => more.is_truthy()?,
                    None => false,
                };
                let data = match message.get_item(intern!(py, "body"))? {
                    Some(body) if !body.is_none() => bytes_from(&body)?,
                    _ => Bytes::new(),
                };
                self.0.write(py, Chunk { data, last: !more, trailers: None })?
            }
            "http.response.pathsend" => return self.0.send_file(py, message),
            "http.response.trailers" => self.0.end_with(py, message)?,
            other => return Err(PyRuntimeError::new_err(format!("`{other}` is no message of an HTTP response"))),
        };
        match sent {
            Sent::Done => Ok(self.0.asgi.done(py)),
            Sent::Wait(channel, chunk) => self.0.write_later(py, channel, chunk),
        }
    }
}

/// Takes the bytes of a body, without a copy where that is cheaper.
fn bytes_from(body: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = body.cast::<PyBytes>() {
        return Ok(if bytes.as_bytes().len() < COPY_BELOW {
            Bytes::copy_from_slice(bytes.as_bytes())
        } else {
            Bytes::from_owner(PyBackedBytes::from(bytes.clone()))
        });
    }
    if body.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("a response body is bytes, not str"));
    }
    // `bytearray` and `memoryview` may change later, so they are copied.
    let copy = body.py().get_type::<PyBytes>().call1((body,))?;
    Ok(Bytes::copy_from_slice(copy.cast::<PyBytes>()?.as_bytes()))
}

// ---------------------------------------------------------------- the exchange

impl Exchange {
    fn begin(&self, head: Head) -> PyResult<()> {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Waiting => {
                state.remaining = head.content_length()?;
                state.trailers = head.trailers.then(HeaderMap::new);
                state.phase = Phase::Headed(head);
                Ok(())
            }
            Phase::Overruled => Ok(()),
            _ => Err(PyRuntimeError::new_err("the response was started already")),
        }
    }

    fn write(&self, py: Python<'_>, chunk: Chunk) -> PyResult<Sent> {
        let sent = self.write_chunk(chunk)?;
        if matches!(self.state.lock().phase, Phase::Complete) {
            // Whoever asks now hears that the exchange is over.
            self.mailbox.end(py, &self.asgi, Event::Disconnect)?;
        }
        Ok(sent)
    }

    fn write_chunk(&self, mut chunk: Chunk) -> PyResult<Sent> {
        let mut state = self.state.lock();
        let trailed = chunk.last && state.trailers.is_some();
        match std::mem::replace(&mut state.phase, Phase::Complete) {
            Phase::Headed(head) => {
                if let Err(error) = state.account(&chunk, head.has_body(&self.method)) {
                    state.phase = Phase::Waiting;
                    return Err(error);
                }
                chunk.last &= !trailed;
                self.answer(&mut state, head, chunk);
                state.trail(trailed);
                Ok(Sent::Done)
            }
            Phase::Streaming(channel) => {
                if let Err(error) = state.account(&chunk, true) {
                    // The channel is dropped: the connection is cut rather than given a wrong length.
                    state.phase = Phase::Overruled;
                    return Err(error);
                }
                chunk.last &= !trailed;
                let last = chunk.last;
                let kept = channel.clone();
                let sent = match channel.try_send(chunk) {
                    Ok(()) => Ok(Sent::Done),
                    Err(TrySendError::Full(chunk)) => Ok(Sent::Wait(channel, chunk)),
                    Err(TrySendError::Closed(_)) if last => Ok(Sent::Done),
                    Err(TrySendError::Closed(_)) => Err(ClientDisconnected::new_err("the client has gone")),
                };
                if !last {
                    state.phase = Phase::Streaming(kept);
                    state.trail(trailed);
                }
                sent
            }
            Phase::Discarding => {
                if !chunk.last || trailed {
                    state.phase = Phase::Discarding;
                    state.trail(trailed);
                }
                Ok(Sent::Done)
            }
            Phase::Overruled => {
                state.phase = Phase::Overruled;
                Ok(Sent::Done)
            }
            Phase::Waiting => {
                state.phase = Phase::Waiting;
                Err(PyRuntimeError::new_err("http.response.body was sent before http.response.start"))
            }
            Phase::Complete => Err(PyRuntimeError::new_err("the response is complete already")),
            trailing @ Phase::Trailing(_) => {
                state.phase = trailing;
                Err(PyRuntimeError::new_err("the body is complete already; http.response.trailers comes next"))
            }
        }
    }

    /// Hands the beginning of the answer to the connection.
    fn answer(&self, state: &mut State, mut head: Head, chunk: Chunk) {
        let has_body = head.has_body(&self.method);
        if head.status == StatusCode::NO_CONTENT {
            head.headers.remove(header::CONTENT_LENGTH);
        }
        let last = chunk.last;
        let body = if last || !has_body {
            state.phase = if last { Phase::Complete } else { Phase::Discarding };
            // The length of what HEAD does not carry is still told.
            if self.method == Method::HEAD && last {
                let length = || HeaderValue::from(chunk.data.len());
                head.headers.entry(header::CONTENT_LENGTH).or_insert_with(length);
            }
            ResponseBody::full(if has_body { chunk.data } else { Bytes::new() })
        } else {
            let (chunk_tx, chunk_rx) = mpsc::channel(CHUNKS_IN_FLIGHT);
            // An empty channel has room for its first chunk.
            let _ = chunk_tx.try_send(chunk);
            state.phase = Phase::Streaming(chunk_tx);
            ResponseBody::stream(chunk_rx, Some(Box::new(ClientGone(self.this.clone()))))
        };
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        if let Some(answer) = state.answer.take() {
            // It fails when the client has gone, which the mailbox tells.
            let _ = answer.send(response);
        }
    }

    /// Waits for room in the channel, off the application's stack.
    fn write_later(&self, py: Python<'_>, channel: mpsc::Sender<Chunk>, chunk: Chunk) -> PyResult<Py<PyAny>> {
        let future = self.asgi.event_loop.call_method0(py, intern!(py, "create_future"))?;
        let reply = Reply::waiting(py, future.clone_ref(py))?;
        let asgi = Arc::clone(&self.asgi);
        self.asgi.tokio.spawn(async move {
            let last = chunk.last;
            let arrived = channel.send(chunk).await.is_ok() || last;
            Python::attach(|py| asgi.resolve(py, &future, arrived));
        });
        Ok(reply)
    }

    /// Reads the next part of the body, where nobody does it yet.
    fn read_on(&self) {
        let Some(mut upload) = self.state.lock().upload.take() else { return };
        let Some(exchange) = self.this.upgrade() else { return };
        self.asgi.tokio.spawn(async move {
            let next = upload.next().await;
            let mut refused = None;
            let event = match next {
                Ok(Some(data)) => {
                    let more = !upload.is_end();
                    if more {
                        exchange.state.lock().upload = Some(upload);
                    }
                    Event::Body { data, more }
                }
                Ok(None) => Event::Body { data: Bytes::new(), more: false },
                Err(error) => {
                    refused = Some(error);
                    Event::Disconnect
                }
            };
            if let Some(error @ UploadError::TooLarge { .. }) = refused {
                exchange.overrule(error.response());
            }
            let posted = Python::attach(|py| match event {
                Event::Disconnect => exchange.mailbox.end(py, &exchange.asgi, Event::Disconnect),
                body @ Event::Body { .. } => exchange.mailbox.post(py, &exchange.asgi, body),
            });
            if let Err(error) = posted {
                Python::attach(|py| error.print(py));
            }
        });
    }

    /// Answers in the application's stead, if nothing was answered yet.
    fn overrule(&self, response: Response<ResponseBody>) -> bool {
        let mut state = self.state.lock();
        // A stream's channel is dropped with its phase, which cuts the connection.
        state.phase = Phase::Overruled;
        match state.answer.take() {
            Some(answer) => answer.send(response).is_ok(),
            None => false,
        }
    }
}

impl Conversation for Exchange {
    fn ended(&self, py: Python<'_>, outcome: Outcome) {
        let complete = matches!(self.state.lock().phase, Phase::Complete | Phase::Discarding | Phase::Overruled);
        if complete {
            return;
        }
        if outcome == Outcome::Returned && !self.mailbox.has_ended() {
            let error = PyRuntimeError::new_err("the application ended without a complete response");
            self.asgi.report(py, &error, self.request_id.as_str());
        }
        self.overrule(problem(
            ErrorCode::Internal,
            "the application failed; its log has the details",
            Some(&self.request_id),
        ));
    }
}

impl State {
    /// Waits for trailers, where the body is complete and they follow it.
    fn trail(&mut self, trailed: bool) {
        if trailed {
            self.phase = match std::mem::replace(&mut self.phase, Phase::Complete) {
                Phase::Streaming(channel) => Phase::Trailing(Some(channel)),
                _ => Phase::Trailing(None),
            };
        }
    }

    fn account(&mut self, chunk: &Chunk, has_body: bool) -> PyResult<()> {
        let Some(remaining) = self.remaining.as_mut().filter(|_| has_body) else { return Ok(()) };
        let length = chunk.data.len() as u64;
        let Some(rest) = remaining.checked_sub(length) else {
            return Err(PyRuntimeError::new_err("the response body is longer than its Content-Length"));
        };
        *remaining = rest;
        if chunk.last && rest > 0 {
            return Err(PyRuntimeError::new_err("the response body is shorter than its Content-Length"));
        }
        Ok(())
    }
}

impl Message for Event {
    fn event(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let event = PyDict::new(py);
        match self {
            Self::Body { data, more } => {
                event.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
                event.set_item(intern!(py, "body"), PyBytes::new(py, data))?;
                event.set_item(intern!(py, "more_body"), *more)?;
            }
            Self::Disconnect => event.set_item(intern!(py, "type"), intern!(py, "http.disconnect"))?,
        }
        Ok(event.into_any().unbind())
    }
}

impl Event {
    /// Nothing that the application should wake up for.
    fn is_empty_part(&self) -> bool {
        matches!(self, Self::Body { data, more: true } if data.is_empty())
    }
}

impl Listener for ClientGone {}

impl Drop for ClientGone {
    fn drop(&mut self) {
        let Some(exchange) = self.0.upgrade() else { return };
        let told = Python::attach(|py| exchange.mailbox.end(py, &exchange.asgi, Event::Disconnect));
        if let Err(error) = told {
            Python::attach(|py| error.print(py));
        }
    }
}
