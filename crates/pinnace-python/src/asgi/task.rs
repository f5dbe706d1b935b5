//! Applications as `asyncio.Task`s: started in a context of their own, held until they end where they wait for anything.
//!
//! asyncio holds its tasks only weakly; an application that outlives its response (background work) would be collected.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pinnace_types::RequestId;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::Notify;

use super::{Asgi, ClientDisconnected};

/// The tasks that run.
#[derive(Debug, Default)]
pub(crate) struct Running {
    tasks: Mutex<HashMap<u64, Py<PyAny>>>,
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
    request_id: RequestId,
}

impl Running {
    fn insert(&self, task: Py<PyAny>) -> u64 {
        let mut next = self.next.lock();
        *next += 1;
        self.tasks.lock().insert(*next, task);
        *next
    }

    fn remove(&self, id: u64) {
        self.tasks.lock().remove(&id);
        self.changed.notify_waiters();
    }
}

impl Asgi {
    /// Calls the application, starts its task, and lets it run until it first waits.
    pub(crate) fn start(
        self: &Arc<Self>,
        py: Python<'_>,
        scope: &Bound<'_, PyDict>,
        messages: &Bound<'_, PyAny>,
        conversation: &Arc<dyn Conversation>,
        request_id: &RequestId,
    ) {
        if let Err(error) = self.try_start(py, scope, messages, Arc::clone(conversation), request_id) {
            self.report(py, &error, request_id.as_str());
            conversation.ended(py, Outcome::Failed);
        }
    }

    fn try_start(
        self: &Arc<Self>,
        py: Python<'_>,
        scope: &Bound<'_, PyDict>,
        messages: &Bound<'_, PyAny>,
        conversation: Arc<dyn Conversation>,
        request_id: &RequestId,
    ) -> PyResult<()> {
        let receive = messages.getattr(intern!(py, "receive"))?;
        let send = messages.getattr(intern!(py, "send"))?;
        let arguments = (scope, receive, send).into_pyobject(py)?;
        let task = self.starter.start(self.application.bind(py), &arguments)?;
        if task.call_method0(intern!(py, "done"))?.is_truthy()? {
            conversation.ended(py, self.outcome(&task, request_id)?);
        } else {
            let id = self.running.insert(task.clone().unbind());
            let ended = Ended { id, asgi: Arc::clone(self), conversation, request_id: request_id.clone() };
            task.call_method1(intern!(py, "add_done_callback"), (Bound::new(py, ended)?,))?;
        }
        self.nudge.if_wanted(py);
        Ok(())
    }

    /// How a task ended that is done; what it failed with is written to the log.
    fn outcome(&self, task: &Bound<'_, PyAny>, request_id: &RequestId) -> PyResult<Outcome> {
        let py = task.py();
        match task.call_method0(intern!(py, "exception")) {
            Ok(exception) if exception.is_none() => Ok(Outcome::Returned),
            Ok(exception) => {
                // That the client went away is no fault of the application.
                if !exception.is_instance_of::<ClientDisconnected>() {
                    self.report(py, &PyErr::from_value(exception), request_id.as_str());
                }
                Ok(Outcome::Failed)
            }
            Err(_) if task.call_method0(intern!(py, "cancelled"))?.is_truthy()? => Ok(Outcome::Cancelled),
            Err(error) => Err(error),
        }
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
            tasks.values().map(|task| task.clone_ref(py)).collect()
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
        self.asgi.running.remove(self.id);
        let outcome = self.asgi.outcome(task, &self.request_id)?;
        self.conversation.ended(py, outcome);
        Ok(())
    }
}
