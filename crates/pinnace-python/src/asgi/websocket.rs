//! One WebSocket conversation: the handshake, then messages both ways until one side closes.
//!
//! A task of its own owns the socket: it reads as long as the application's mailbox has room, answers pings, and writes
//! what the application sends. [`super::http`] is the sibling for plain requests.

mod socket;

use std::sync::{Arc, Weak};

use ::http::{Method, Request, Response, StatusCode, Version, header};
use parking_lot::Mutex;
use pinnace_http::upgrade::{self, OnUpgrade};
use pinnace_http::websocket::{Deflate, Message as Frame, accept_key, is_close_code, negotiate_deflate};
use pinnace_http::{Connection, RequestBody};
use pinnace_types::{ErrorCode, RequestId};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::awaitable::Reply;
use super::head::{Head, headers_from};
use super::mailbox::{Found, Mailbox, Message};
use super::task::{Conversation, Outcome};
use super::{Asgi, ClientDisconnected, scope};
use crate::body::ResponseBody;
use crate::forwarded::Origin;
use crate::handler::problem;

/// Bytes of a reason that fit into a close frame.
const MAX_REASON: usize = 123;
/// Messages that may wait for the socket.
const MESSAGES_IN_FLIGHT: usize = 16;

#[derive(Debug)]
struct Conversing {
    this: Weak<Self>,
    asgi: Arc<Asgi>,
    request_id: RequestId,
    accept_key: String,
    deflate: Option<Deflate>,
    connection: Arc<Connection>,
    mailbox: Mailbox<Event>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    answer: Option<oneshot::Sender<Response<ResponseBody>>>,
    upgrade: Option<OnUpgrade>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Handshake,
    /// The application refuses with a response of its own, whose body is being collected.
    Refusing(Head, Vec<u8>),
    Open(mpsc::Sender<Frame>),
    Closed,
}

#[derive(Clone, Debug)]
enum Event {
    Connect,
    Text(String),
    Bytes(bytes::Bytes),
    Disconnect { code: u16, reason: String },
}

/// `receive` and `send` of one conversation.
#[pyclass(frozen, module = "pinnace_runtime._native")]
#[derive(Debug)]
struct WebSocketMessages(Arc<Conversing>);

/// Tells the application that the client has gone before the handshake was answered.
struct HandshakeGuard(Option<Arc<Conversing>>);

/// Whether the request asks for a WebSocket.
pub(super) fn is_handshake<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request
            .headers()
            .get(header::UPGRADE)
            .is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers the handshake with what the application says.
pub(super) async fn converse(
    asgi: &Arc<Asgi>,
    mut request: Request<RequestBody>,
    connection: &Arc<Connection>,
    origin: Origin,
) -> Response<ResponseBody> {
    let headers = request.headers();
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut response = problem(ErrorCode::BadRequest, "only version 13 of WebSocket is spoken", None);
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, ::http::HeaderValue::from_static("13"));
        return response;
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).and_then(|key| accept_key(key.as_bytes()));
    let Some(accept_key) = key else {
        return problem(ErrorCode::BadRequest, "the Sec-WebSocket-Key is not sixteen bytes in base64", None);
    };
    let deflate = asgi.websocket.compresses.then(|| negotiate_deflate(headers)).flatten();
    let upgrade = upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let request_id = scope::request_id(&parts);
    let (answer_tx, answer_rx) = oneshot::channel();
    let conversing = Arc::new_cyclic(|this| Conversing {
        this: this.clone(),
        asgi: Arc::clone(asgi),
        request_id: request_id.clone(),
        accept_key,
        deflate,
        connection: Arc::clone(connection),
        mailbox: Mailbox::new(),
        state: Mutex::new(State { answer: Some(answer_tx), upgrade: Some(upgrade), phase: Phase::Handshake }),
    });
    let mut guard = HandshakeGuard(Some(Arc::clone(&conversing)));
    Python::attach(|py| {
        let prepared = conversing.mailbox.post(py, asgi, Event::Connect).and_then(|()| {
            let scope = scope::websocket(py, asgi, &parts, connection, origin)?;
            Ok((scope, Bound::new(py, WebSocketMessages(Arc::clone(&conversing)))?))
        });
        match prepared {
            Ok((scope, messages)) => {
                asgi.start(py, &scope, messages.as_any(), &(conversing.clone() as Arc<dyn Conversation>), &request_id);
            }
            Err(error) => {
                asgi.report(py, &error, request_id.as_str());
                conversing.ended(py, Outcome::Failed);
            }
        }
    });
    drop(conversing);
    let answer = answer_rx.await;
    guard.0 = None;
    answer.unwrap_or_else(|_| problem(ErrorCode::Internal, "the application gave no answer", None))
}

// ---------------------------------------------------------------- what the application calls

#[pymethods]
impl WebSocketMessages {
    fn receive(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.0.mailbox.receive(py, &self.0.asgi)? {
            Found::Event(event) => Reply::ready(py, event),
            Found::Wait(future) => Reply::waiting(py, future),
        }
    }

    fn send(&self, py: Python<'_>, message: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        let kind = message
            .get_item(intern!(py, "type"))?
            .ok_or_else(|| PyTypeError::new_err("an ASGI message has a `type`"))?;
        match kind.cast::<PyString>()?.to_str()? {
            "websocket.accept" => self.0.accept(message)?,
            "websocket.send" => return self.0.write(py, payload(message)?),
            "websocket.close" => return self.0.close(py, message),
            "websocket.http.response.start" => self.0.refuse(Head::from_message(message)?)?,
            "websocket.http.response.body" => self.0.refuse_body(message)?,
            other => return Err(PyRuntimeError::new_err(format!("`{other}` is no message of a WebSocket"))),
        }
        Ok(self.0.asgi.done(py))
    }
}

fn item<'py>(message: &Bound<'py, PyDict>, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(message.get_item(key)?.filter(|value| !value.is_none()))
}

fn payload(message: &Bound<'_, PyDict>) -> PyResult<Frame> {
    if let Some(data) = item(message, "bytes")? {
        let copy = message.py().get_type::<PyBytes>().call1((data,))?;
        return Ok(Frame::Binary(bytes::Bytes::copy_from_slice(copy.cast::<PyBytes>()?.as_bytes())));
    }
    if let Some(text) = item(message, "text")? {
        return Ok(Frame::Text(text.cast::<PyString>()?.to_str()?.to_owned()));
    }
    Err(PyValueError::new_err("a websocket.send has either `bytes` or `text`"))
}

// ---------------------------------------------------------------- the conversation

impl Conversing {
    fn accept(&self, message: &Bound<'_, PyDict>) -> PyResult<()> {
        let mut headers = match item(message, "headers")? {
            Some(pairs) => headers_from(&pairs)?,
            None => ::http::HeaderMap::new(),
        };
        if let Some(subprotocol) = item(message, "subprotocol")? {
            let value = subprotocol.cast::<PyString>()?.to_str()?.parse();
            let value = value.map_err(|_| PyValueError::new_err("the subprotocol is no header value"))?;
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
        let key = self.accept_key.parse().map_err(|_| PyValueError::new_err("the accept key is no header value"))?;
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
        // What is compressed is between the server and the client.
        headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        if let Some(deflate) = &self.deflate {
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, ::http::HeaderValue::from_static(deflate.answer()));
        }
        headers.insert(header::UPGRADE, ::http::HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, ::http::HeaderValue::from_static("Upgrade"));
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Handshake) {
            return match state.phase {
                Phase::Closed => Err(ClientDisconnected::new_err("the client has gone")),
                _ => Err(PyRuntimeError::new_err("the handshake was answered already")),
            };
        }
        let mut response = Response::new(ResponseBody::full(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = headers;
        let (outgoing_tx, outgoing_rx) = mpsc::channel(MESSAGES_IN_FLIGHT);
        let answered = state.answer.take().is_some_and(|answer| answer.send(response).is_ok());
        let (true, Some(upgrade), Some(conversing)) = (answered, state.upgrade.take(), self.this.upgrade()) else {
            state.phase = Phase::Closed;
            return Err(ClientDisconnected::new_err("the client has gone"));
        };
        state.phase = Phase::Open(outgoing_tx);
        self.asgi.tokio.spawn(socket::run(conversing, upgrade, outgoing_rx));
        Ok(())
    }

    fn write(&self, py: Python<'_>, outgoing: Frame) -> PyResult<Py<PyAny>> {
        let channel = match &self.state.lock().phase {
            Phase::Open(channel) => channel.clone(),
            Phase::Handshake | Phase::Refusing(..) => {
                return Err(PyRuntimeError::new_err("websocket.send was sent before websocket.accept"));
            }
            Phase::Closed if self.mailbox.has_ended() => {
                return Err(ClientDisconnected::new_err("the client has gone"));
            }
            Phase::Closed => return Err(PyRuntimeError::new_err("the WebSocket is closed already")),
        };
        match channel.try_send(outgoing) {
            Ok(()) => Ok(self.asgi.done(py)),
            Err(TrySendError::Closed(_)) => Err(ClientDisconnected::new_err("the client has gone")),
            Err(TrySendError::Full(outgoing)) => {
                let future = self.asgi.event_loop.call_method0(py, intern!(py, "create_future"))?;
                let reply = Reply::waiting(py, future.clone_ref(py))?;
                let asgi = Arc::clone(&self.asgi);
                self.asgi.tokio.spawn(async move {
                    let arrived = channel.send(outgoing).await.is_ok();
                    Python::attach(|py| asgi.resolve(py, &future, arrived));
                });
                Ok(reply)
            }
        }
    }

    fn close(&self, py: Python<'_>, message: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        let code = item(message, "code")?.map_or(Ok(1000), |code| code.extract())?;
        let reason: String = item(message, "reason")?.map_or_else(|| Ok(String::new()), |reason| reason.extract())?;
        if !is_close_code(code) || reason.len() > MAX_REASON {
            return Err(PyValueError::new_err(format!(
                "a close has a code such as 1000 or 4000 to 4999 and {MAX_REASON} bytes of reason, not {code} and {}",
                reason.len()
            )));
        }
        let in_handshake = matches!(self.state.lock().phase, Phase::Handshake);
        if in_handshake {
            self.answer(problem(ErrorCode::Forbidden, "the application refused the WebSocket", Some(&self.request_id)));
            self.mailbox.end(py, &self.asgi, Event::Disconnect { code: 1006, reason: String::new() })?;
            return Ok(self.asgi.done(py));
        }
        let reply = self.write(py, Frame::Close(Some((code, reason))))?;
        self.state.lock().phase = Phase::Closed;
        Ok(reply)
    }

    fn refuse(&self, head: Head) -> PyResult<()> {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Handshake) {
            return Err(PyRuntimeError::new_err("the handshake was answered already"));
        }
        state.phase = Phase::Refusing(head, Vec::new());
        Ok(())
    }

    fn refuse_body(&self, message: &Bound<'_, PyDict>) -> PyResult<()> {
        let mut state = self.state.lock();
        let Phase::Refusing(head, mut body) = std::mem::replace(&mut state.phase, Phase::Closed) else {
            return Err(PyRuntimeError::new_err("websocket.http.response.start comes first"));
        };
        if let Some(data) = item(message, "body")? {
            body.extend_from_slice(data.cast::<PyBytes>()?.as_bytes());
        }
        if item(message, "more_body")?.map_or(Ok(false), |more| more.is_truthy())? {
            state.phase = Phase::Refusing(head, body);
            return Ok(());
        }
        drop(state);
        let mut response = Response::new(ResponseBody::full(body));
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        self.answer(response);
        Ok(())
    }

    fn answer(&self, response: Response<ResponseBody>) {
        let mut state = self.state.lock();
        state.phase = Phase::Closed;
        if let Some(answer) = state.answer.take() {
            // It fails when the client has gone, which the mailbox tells.
            let _ = answer.send(response);
        }
    }

    /// The socket is closed; nothing more is written.
    fn closed(&self, code: u16, reason: String) {
        self.state.lock().phase = Phase::Closed;
        let told = Python::attach(|py| self.mailbox.end(py, &self.asgi, Event::Disconnect { code, reason }));
        if let Err(error) = told {
            Python::attach(|py| error.print(py));
        }
    }
}

impl Conversation for Conversing {
    fn ended(&self, _: Python<'_>, outcome: Outcome) {
        let channel = match &self.state.lock().phase {
            Phase::Closed => return,
            Phase::Open(channel) => Some(channel.clone()),
            Phase::Handshake | Phase::Refusing(..) => None,
        };
        let Some(channel) = channel else {
            let detail = "the application failed; its log has the details";
            self.answer(problem(ErrorCode::Internal, detail, Some(&self.request_id)));
            return;
        };
        self.state.lock().phase = Phase::Closed;
        let code = match outcome {
            Outcome::Returned => 1000,
            Outcome::Failed => 1011,
            Outcome::Cancelled => 1012,
        };
        self.asgi.tokio.spawn(async move {
            // It fails when the socket is closed already.
            let _ = channel.send(Frame::Close(Some((code, String::new())))).await;
        });
    }
}

impl Message for Event {
    fn event(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let event = PyDict::new(py);
        let kind = intern!(py, "type");
        match self {
            Self::Connect => event.set_item(kind, intern!(py, "websocket.connect"))?,
            Self::Text(text) => {
                event.set_item(kind, intern!(py, "websocket.receive"))?;
                event.set_item(intern!(py, "text"), text)?;
            }
            Self::Bytes(data) => {
                event.set_item(kind, intern!(py, "websocket.receive"))?;
                event.set_item(intern!(py, "bytes"), PyBytes::new(py, data))?;
            }
            Self::Disconnect { code, reason } => {
                event.set_item(kind, intern!(py, "websocket.disconnect"))?;
                event.set_item(intern!(py, "code"), *code)?;
                event.set_item(intern!(py, "reason"), reason)?;
            }
        }
        Ok(event.into_any().unbind())
    }
}

impl Drop for HandshakeGuard {
    fn drop(&mut self) {
        if let Some(conversing) = self.0.take() {
            conversing.closed(1006, String::new());
        }
    }
}
