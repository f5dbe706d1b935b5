//! ASGI 3: an application is called with a scope and two awaitables, and runs as an `asyncio.Task` of its own.
//!
//! [`http`] and [`websocket`] each keep the state of one conversation, which the connection's tokio task and the
//! application share; [`mailbox`] is how a message waits for `receive()` or `receive()` for a message. Everything here
//! runs on the worker's one thread with the interpreter's lock held.

mod awaitable;
mod eager;
mod head;
mod http;
mod known;
mod mailbox;
mod scope;
mod task;
mod websocket;

use std::sync::Arc;

use ::http::{Request, Response};
use pinnace_http::{Connection, RequestBody};
use pinnace_types::worker::WebSocketLimits;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::body::ResponseBody;
use crate::forwarded::Origin;
use crate::reactor::Nudge;
use crate::turnstile::Turnstile;

pyo3::create_exception!(
    pinnace_runtime._native,
    ClientDisconnected,
    PyOSError,
    "The client has gone: what is sent reaches nobody."
);

/// An application and all that its requests share.
#[derive(Debug)]
pub(crate) struct Asgi {
    pub(crate) application: Py<PyAny>,
    pub(crate) event_loop: Py<PyAny>,
    pub(crate) starter: Starter,
    pub(crate) done: Py<Done>,
    pub(crate) known: Known,
    /// What the lifespan put into its state; each scope gets a shallow copy.
    pub(crate) state: Py<PyDict>,
    pub(crate) logger: Py<PyAny>,
    pub(crate) root_path: String,
    pub(crate) max_body_bytes: Option<u64>,
    pub(crate) websocket: WebSocketLimits,
    pub(crate) nudge: Nudge,
    pub(crate) turnstile: Turnstile,
    pub(crate) tokio: tokio::runtime::Handle,
    pub(crate) running: Running,
}

impl Asgi {
    /// What a `send()` that need not wait returns.
    fn done(&self, py: Python<'_>) -> Py<PyAny> {
        self.done.clone_ref(py).into_any()
    }

    /// Answers one request.
    pub(crate) async fn call(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        connection: &Arc<Connection>,
        origin: Origin,
    ) -> Response<ResponseBody> {
        if websocket::is_handshake(&request) {
            websocket::converse(self, request, connection, origin).await
        } else {
            http::exchange(self, request, connection, origin).await
        }
    }
}

pub(crate) use self::awaitable::Done;
pub(crate) use self::eager::Starter;
pub(crate) use self::head::{Head, is_hop_by_hop};
pub(crate) use self::known::Known;
pub(crate) use self::scope::is_below;
pub(crate) use self::task::Running;
