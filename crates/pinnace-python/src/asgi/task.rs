//! Applications as `asyncio.Task`s: started in a context of their own, held until they end.
//!
//! asyncio holds its tasks only weakly; an application that outlives its response (background work) would be collected.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::Notify;

use super::{Asgi, ClientDisconnected};

/// The tasks that run.
#[derive(Debug, Default)]
pub(crate) struct Running {
    tasks: Mutex<HashMap<u64, Option<Py<PyAny>>>>,
    next: Mutex<u64>,
    changed: Notify,
}

/// One conversation, which hears how its application ended.
pub(crate) trait Conversation: Send + Sync {
    /// The application ended; `failed`: with an exception.
    fn ended(&self, py: Python<'_>, outcome: Outcome);
}

/// How an application ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Returned,
    Failed,
    Cancelled,
}

/// The task's done callback.
#[pyclass(frozen, module = "pinnace_runtime._native")]
struct Ended {
    id: u64,
    asgi: Arc<Asgi>,
    conversation: Arc<dyn Conversation>,
    request_id: String,
}

impl Asgi {
    /// Calls the application and starts its task.
    pub(crate) fn start(
        self: &Arc<Self>,
        py: Python<'_>,
        scope: &Bound<'_, PyDict>,
        messages: &Bound<'_, PyAny>,
        conversation: &Arc<dyn Conversation>,
        request_id: &str,
    ) {
        if let Err(error) = self.try_start(py, scope, messages, Arc::clone(conversation), request_id) {
            self.report(py, &error, request_id);
            conversation.ended(py, Outcome::Failed);
        }
    }

    fn try_start(
        self: &Arc<Self>,
        py: Python<'_>,
        scope: &Bound<'_, PyDict>,
        messages: &Bound<'_, PyAny>,
        conversation: Arc<dyn Conversation>,
        request_id: &str,
    ) -> PyResult<()> {
        let context = self.copy_context.bind(py).call0()?;
        let receive = messages.getattr(intern!(py, "receive"))?;
        let send = messages.getattr(intern!(py, "send"))?;
        let run = intern!(py, "run");
        let coroutine = context.call_method1(run, (&self.application, scope, receive, send))?;
        if coroutine.is_none() {
            return Err(PyTypeError::new_err(
                "the application returned None and no coroutine: is it a WSGI application?",
            ));
        }
        let create_task = self.event_loop.bind(py).getattr(intern!(py, "create_task"))?;
        // `run` makes the task copy this context; the keyword `context` exists only since 3.11.
        let task = context.call_method1(run, (create_task, coroutine))?;
        let id = {
            let mut next = self.running.next.lock();
            *next += 1;
            *next
        };
        self.running.tasks.lock().insert(id, Some(task.clone().unbind()));
        let ended = Ended { id, asgi: Arc::clone(self), conversation, request_id: request_id.to_owned() };
        task.call_method1(intern!(py, "add_done_callback"), (Bound::new(py, ended)?,))?;
        self.nudge.now();
        Ok(())
    }

    /// Writes an exception of the application to the log.
    pub(crate) fn report(&self, py: Python<'_>, error: &PyErr, request_id: &str) {
        let keywords = PyDict::new(py);
        let extra = PyDict::new(py);
        let logged = extra
            .set_item("request_id", request_id)
            .and_then(|()| keywords.set_item("exc_info", error.value(py)))
            .and_then(|()| keywords.set_item("extra", extra))
            .and_then(|()| {
                self.logger.bind(py).call_method("error", ("exception in the application",), Some(&keywords))
            });
        if logged.is_err() {
            error.print(py);
        }
    }

    /// Resolves the future of a `send` that had to wait.
    pub(crate) fn resolve(&self, py: Python<'_>, future: &Py<PyAny>, arrived: bool) {
        let resolved = (|| {
            if future.call_method0(py, intern!(py, "done"))?.is_truthy(py)? {
                return Ok(());
            }
            if arrived {
                future.call_method1(py, intern!(py, "set_result"), (py.None(),))?;
            } else {
                let gone = ClientDisconnected::new_err("the client has gone");
                future.call_method1(py, intern!(py, "set_exception"), (gone.value(py),))?;
            }
            Ok(())
        })();
        if let Err(error) = resolved {
            PyErr::print(&error, py);
        }
        self.nudge.now();
    }

    /// Waits until no application runs.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.running.changed.notified();
            if self.running.tasks.lock().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Cancels what runs.
    pub(crate) fn cancel_all(&self, py: Python<'_>) {
        let tasks: Vec<_> = {
            let tasks = self.running.tasks.lock();
            tasks.values().flatten().map(|task| task.clone_ref(py)).collect()
        };
        for task in tasks {
            if let Err(error) = task.call_method0(py, intern!(py, "cancel")) {
                error.print(py);
            }
        }
        self.nudge.now();
    }
}

#[pymethods]
impl Ended {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        self.asgi.running.tasks.lock().remove(&self.id);
        self.asgi.running.changed.notify_waiters();
        let outcome = if task.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
            Outcome::Cancelled
        } else {
            let exception = task.call_method0(intern!(py, "exception"))?;
            if exception.is_none() {
                Outcome::Returned
            } else {
                // That the client went away is no fault of the application.
                if !exception.is_instance_of::<ClientDisconnected>() {
                    self.asgi.report(py, &PyErr::from_value(exception), &self.request_id);
                }
                Outcome::Failed
            }
        };
        self.conversation.ended(py, outcome);
        Ok(())
    }
}
