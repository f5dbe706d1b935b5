//! Calls a WSGI application on its thread and carries its answer to the connection.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use parking_lot::Mutex;
use pinnace_types::{ErrorCode, RequestId};
use pyo3::exceptions::{PyAssertionError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use tokio::sync::{mpsc, oneshot};

use super::answers::Answers;
use super::{Application, Job, environ};
use crate::asgi::{ClientDisconnected, Head, is_hop_by_hop};
use crate::body::{CHUNKS_IN_FLIGHT, Chunk, ResponseBody};
use crate::handler::{Place, RequestIdentity, problem};

/// `start_response`, and what has come of it.
#[pyclass(frozen, module = "pinnace_runtime._native")]
#[derive(Debug)]
struct StartResponse(Arc<Exchange>);

#[derive(Debug)]
struct Exchange {
    method: Method,
    answers: Arc<Answers>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    answer: Option<oneshot::Sender<Response<ResponseBody>>>,
    head: Option<Head>,
    phase: Phase,
    remaining: Option<u64>,
}

#[derive(Debug)]
enum Phase {
    /// No byte was sent: the head may still be replaced.
    Open,
    Streaming(mpsc::Sender<Chunk>),
    /// All that goes on the wire was sent.
    Complete,
}

/// Whether the application should go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    More,
    /// What follows would not be sent.
    Enough,
}

/// Runs one job in a context of its own.
#[cfg(not(feature = "abi3"))]
pub(super) fn answer(py: Python<'_>, application: &Arc<Application>, answers: &Arc<Answers>, job: Job) {
    use pyo3::ffi;

    // SAFETY: the thread is attached; the context is entered and left on this thread, in pairs, below.
    let context = unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyContext_CopyCurrent()) };
    let entered = context.as_ref().is_some_and(|context| {
        // SAFETY: it is a context, and nobody has entered this fresh copy.
        unsafe { ffi::PyContext_Enter(context.as_ptr()) == 0 }
    });
    serve(py, application, answers, job);
    if let (true, Some(context)) = (entered, context) {
        // SAFETY: it was entered above on this thread.
        if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
            PyErr::fetch(py).print(py);
        }
    }
}

/// Runs one job in a context of its own, which the limited API enters by Python's own `Context.run` alone.
#[cfg(feature = "abi3")]
pub(super) fn answer(py: Python<'_>, application: &Arc<Application>, answers: &Arc<Answers>, job: Job) {
    /// What the context runs, once.
    #[pyclass(frozen, module = "pinnace_runtime._native")]
    struct Run {
        application: Arc<Application>,
        answers: Arc<Answers>,
        job: Mutex<Option<Job>>,
    }

    #[pymethods]
    impl Run {
        fn __call__(&self, py: Python<'_>) {
            let job = self.job.lock().take();
            if let Some(job) = job {
                serve(py, &self.application, &self.answers, job);
            }
        }
    }

    let (application, answers) = (Arc::clone(application), Arc::clone(answers));
    let ran = Bound::new(py, Run { application, answers, job: Mutex::new(Some(job)) }).and_then(|run| {
        let context = py.import(intern!(py, "contextvars"))?.call_method0(intern!(py, "copy_context"))?;
        context.call_method1(intern!(py, "run"), (run,))
    });
    if let Err(error) = ran {
        error.print(py);
    }
}

fn serve(py: Python<'_>, application: &Application, answers: &Arc<Answers>, job: Job) {
    if let Some(place) = job.parts.extensions.get::<Place>() {
        place.0.start(tokio::time::Instant::now());
    }
    let id = job.parts.extensions.get::<RequestIdentity>().map(|identity| identity.0.clone());
    let environ = environ::build(py, application, &job);
    let Job { parts, body, answer, .. } = job;
    let exchange = Arc::new(Exchange {
        method: parts.method,
        answers: Arc::clone(answers),
        state: Mutex::new(State { answer: Some(answer), head: None, phase: Phase::Open, remaining: None }),
    });
    let outcome = environ.and_then(|environ| {
        environ.set_item(intern!(py, "wsgi.input"), Bound::new(py, body.into_input())?)?;
        let start_response = Bound::new(py, StartResponse(Arc::clone(&exchange)))?;
        let result = application.callable.bind(py).call1((environ, start_response))?;
        let sent = exchange.send_all(py, &result);
        let closed = close(&result);
        sent.and(closed)
    });
    if let Err(error) = outcome {
        if !error.is_instance_of::<ClientDisconnected>(py) {
            report(py, application, &error, id.as_ref());
        }
        exchange.fail(id.as_ref());
    }
}

fn close(result: &Bound<'_, PyAny>) -> PyResult<()> {
    match result.getattr_opt(intern!(result.py(), "close"))? {
        Some(close) => close.call0().map(|_| ()),
        None => Ok(()),
    }
}

fn report(py: Python<'_>, application: &Application, error: &PyErr, id: Option<&RequestId>) {
    let keywords = PyDict::new(py);
    let extra = PyDict::new(py);
    let logged = extra
        .set_item("request_id", id.map(RequestId::as_str))
        .and_then(|()| keywords.set_item("exc_info", error.value(py)))
        .and_then(|()| keywords.set_item("extra", extra))
        .and_then(|()| {
            let logger = application.logger.bind(py);
            logger.call_method("error", ("exception in the application",), Some(&keywords))
        });
    if logged.is_err() {
        error.print(py);
    }
}

// ---------------------------------------------------------------- what the application calls

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (status, headers, exc_info=None, /))]
    fn __call__(
        this: &Bound<'_, Self>,
        status: &Bound<'_, PyString>,
        headers: &Bound<'_, PyList>,
        exc_info: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let py = this.py();
        let exc_info = exc_info.filter(|exc_info| !exc_info.is_none());
        let head = Head { status: status_from(status)?, headers: headers_from(headers)?, trailers: false };
        let length = head.content_length()?;
        let mut state = this.get().0.state.lock();
        match (exc_info, &state.phase, &state.head) {
            (Some(exc_info), Phase::Streaming(_) | Phase::Complete, _) => {
                drop(state);
                // Too late for another head: the application's own exception goes on.
                return Err(PyErr::from_value(exc_info.get_item(1)?));
            }
            (None, _, Some(_)) => {
                return Err(PyAssertionError::new_err("start_response was called already; again only with exc_info"));
            }
            _ => {}
        }
        state.remaining = length;
        state.head = Some(head);
        drop(state);
        Ok(this.getattr(intern!(py, "write"))?.unbind())
    }

    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.send(py, bytes_from(data)?).map(|_| ())
    }
}

fn status_from(status: &Bound<'_, PyString>) -> PyResult<StatusCode> {
    let text = status.to_str()?;
    let code = text.split(' ').next().and_then(|code| code.parse::<u16>().ok());
    code.and_then(|code| StatusCode::from_u16(code).ok())
        .filter(|code| !code.is_informational())
        .ok_or_else(|| PyValueError::new_err(format!("`{text}` is no status line such as `200 OK`")))
}

fn headers_from(pairs: &Bound<'_, PyList>) -> PyResult<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for pair in pairs {
        let pair = pair.cast::<PyTuple>().map_err(|_| PyTypeError::new_err("a header is a tuple of two strings"))?;
        let (name, value) = (pair.get_item(0)?, pair.get_item(1)?);
        let name = name.cast::<PyString>()?.to_str()?;
        let value = value.cast::<PyString>()?;
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| PyValueError::new_err(format!("`{name}` is no header name")))?;
        let bytes = latin1(value.to_str()?)
            .ok_or_else(|| PyValueError::new_err(format!("the value of the header {name} is not latin-1")))?;
        let bytes = HeaderValue::from_bytes(bytes.trim_ascii())
            .map_err(|_| PyValueError::new_err(format!("the value of the header {name} has a control character")))?;
        if !is_hop_by_hop(&parsed) {
            headers.append(parsed, bytes);
        }
    }
    Ok(headers)
}

fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

fn bytes_from(data: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    let bytes = data
        .cast::<PyBytes>()
        .map_err(|_| PyTypeError::new_err(format!("a WSGI application yields bytes, not {}", data.get_type())))?;
    // Always a copy: the connection's side does not hold the interpreter's lock, so it could not free the object.
    Ok(Bytes::copy_from_slice(bytes.as_bytes()))
}

// ---------------------------------------------------------------- the exchange

impl Exchange {
    fn send_all(&self, py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<()> {
        let single = match result.cast::<PyList>() {
            Ok(list) if list.len() == 1 => Some(list.get_item(0)?),
            _ => match result.cast::<PyTuple>() {
                Ok(tuple) if tuple.len() == 1 => Some(tuple.get_item(0)?),
                _ => None,
            },
        };
        if let Some(single) = single {
            let data = bytes_from(&single)?;
            if matches!(self.state.lock().phase, Phase::Open) {
                return self.send_whole(data);
            }
            self.send(py, data)?;
            return self.end(py);
        }
        for data in result.try_iter()? {
            if self.send(py, bytes_from(&data?)?)? == Next::Enough {
                return Ok(());
            }
        }
        self.end(py)
    }

    /// The whole body at once.
    fn send_whole(&self, data: Bytes) -> PyResult<()> {
        let mut state = self.state.lock();
        let mut head = state.take_head()?;
        if head.has_body(&self.method) && state.remaining.is_some_and(|length| length != data.len() as u64) {
            return Err(PyRuntimeError::new_err("the response body has another length than its Content-Length"));
        }
        let has_body = head.has_body(&self.method);
        // The length of what HEAD does not carry is still told.
        if self.method == Method::HEAD && head.status != StatusCode::NOT_MODIFIED {
            head.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(data.len()));
        }
        state.phase = Phase::Complete;
        state.give(&self.answers, head, ResponseBody::full(if has_body { data } else { Bytes::new() }));
        Ok(())
    }

    /// The next part of the body; waits for the socket with the lock released.
    fn send(&self, py: Python<'_>, data: Bytes) -> PyResult<Next> {
        if data.is_empty() {
            return Ok(Next::More);
        }
        let (channel, chunk) = {
            let mut state = self.state.lock();
            let length = data.len() as u64;
            match &state.phase {
                Phase::Complete => return Ok(Next::Enough),
                Phase::Streaming(channel) => {
                    let channel = channel.clone();
                    if let Some(remaining) = &mut state.remaining {
                        *remaining = remaining.checked_sub(length).ok_or_else(|| {
                            PyRuntimeError::new_err("the response body is longer than its Content-Length")
                        })?;
                    }
                    (channel, Chunk::part(data))
                }
                Phase::Open => {
                    let head = state.take_head()?;
                    if !head.has_body(&self.method) {
                        state.phase = Phase::Complete;
                        state.give(&self.answers, head, ResponseBody::full(""));
                        return Ok(Next::Enough);
                    }
                    if state.remaining == Some(length) {
                        state.phase = Phase::Complete;
                        state.give(&self.answers, head, ResponseBody::full(data));
                        return Ok(Next::Enough);
                    }
                    if let Some(remaining) = &mut state.remaining {
                        *remaining = remaining.checked_sub(length).ok_or_else(|| {
                            PyRuntimeError::new_err("the response body is longer than its Content-Length")
                        })?;
                    }
                    let (chunk_tx, chunk_rx) = mpsc::channel(CHUNKS_IN_FLIGHT);
                    state.phase = Phase::Streaming(chunk_tx.clone());
                    state.give(&self.answers, head, ResponseBody::stream(chunk_rx, None));
                    (chunk_tx, Chunk::part(data))
                }
            }
        };
        push(py, &channel, chunk)?;
        Ok(Next::More)
    }

    fn end(&self, py: Python<'_>) -> PyResult<()> {
        let channel = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut state.phase, Phase::Complete) {
                Phase::Complete => return Ok(()),
                Phase::Open => {
                    state.phase = Phase::Open;
                    drop(state);
                    return self.send_whole(Bytes::new());
                }
                Phase::Streaming(_) if state.remaining.is_some_and(|remaining| remaining > 0) => {
                    return Err(PyRuntimeError::new_err("the response body is shorter than its Content-Length"));
                }
                Phase::Streaming(channel) => channel,
            }
        };
        push(py, &channel, Chunk::end())
    }

    /// 500 where nothing was sent, a cut connection otherwise.
    fn fail(&self, id: Option<&RequestId>) {
        let mut state = self.state.lock();
        state.phase = Phase::Complete;
        if let Some(answer) = state.answer.take() {
            let detail = "the application failed; its log has the details";
            self.answers.put((answer, problem(ErrorCode::Internal, detail, id)));
        }
    }
}

impl State {
    fn take_head(&mut self) -> PyResult<Head> {
        self.head.take().ok_or_else(|| PyRuntimeError::new_err("the application sent a body before start_response"))
    }

    fn give(&mut self, answers: &Answers, mut head: Head, body: ResponseBody) {
        if head.status == StatusCode::NO_CONTENT {
            head.headers.remove(header::CONTENT_LENGTH);
        }
        let is_whole = matches!(body, ResponseBody::Full(_));
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        if let Some(answer) = self.answer.take() {
            // Should the client have gone, the next chunk finds it out.
            answers.put((answer, response));
            if !is_whole {
                answers.flush();
            }
        }
    }
}

fn push(py: Python<'_>, channel: &mpsc::Sender<Chunk>, chunk: Chunk) -> PyResult<()> {
    let chunk = match channel.try_send(chunk) {
        Ok(()) => return Ok(()),
        Err(mpsc::error::TrySendError::Closed(_)) => return Err(ClientDisconnected::new_err("the client has gone")),
        Err(mpsc::error::TrySendError::Full(chunk)) => chunk,
    };
    py.detach(|| channel.blocking_send(chunk)).map_err(|_| ClientDisconnected::new_err("the client has gone"))
}
