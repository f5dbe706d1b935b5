//! Tasks whose first step is taken at once.
//!
//! Most applications answer without ever waiting, so the way over asyncio's queue (a handle, another round of the loop)
//! would be paid for nothing. The task is nevertheless a plain `asyncio.Task`, created with the loop, in `all_tasks()`
//! and current while it runs: everything that looks at tasks finds what it expects.
//!
//! Since 3.12 a task can be told to start eagerly. In 3.11 its constructor hands its first step to the loop's `call_soon`;
//! for the time of the constructor ours stands in front, recognises that step by the task's context, which nobody else has,
//! and keeps it. In 3.10, where a task cannot be given a context, and in the limited API, which cannot enter one, the first
//! step is the loop's.

#[cfg(not(feature = "abi3"))]
mod step;

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Makes tasks on one event loop.
#[derive(Debug)]
pub(crate) struct Starter {
    event_loop: Py<PyAny>,
    #[cfg(not(feature = "abi3"))]
    first_step: step::FirstStep,
}

impl Starter {
    /// Makes tasks on this loop.
    #[cfg_attr(feature = "abi3", expect(clippy::unnecessary_wraps, reason = "what takes first steps may fail"))]
    pub(crate) fn new(py: Python<'_>, event_loop: &Py<PyAny>) -> PyResult<Self> {
        Ok(Self {
            event_loop: event_loop.clone_ref(py),
            #[cfg(not(feature = "abi3"))]
            first_step: step::FirstStep::new(py, event_loop)?,
        })
    }

    /// Calls an application, in a context of its own, and makes a task of what it returns, which has run until it first
    /// waited.
    #[cfg(not(feature = "abi3"))]
    pub(crate) fn start<'py>(
        &self,
        application: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let context = step::Entered::copy(application.py())?;
        let coroutine = application.call1(arguments)?;
        check(&coroutine)?;
        match self.first_step.start(&coroutine, &context)? {
            Some(task) => Ok(task),
            // The task copies the context that the thread is in.
            None => self
                .event_loop
                .bind(application.py())
                .call_method1(intern!(application.py(), "create_task"), (coroutine,)),
        }
    }

    /// Calls an application, in a context of its own, and makes a task of what it returns.
    #[cfg(feature = "abi3")]
    pub(crate) fn start<'py>(
        &self,
        application: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = application.py();
        let context = py.import(intern!(py, "contextvars"))?.call_method0(intern!(py, "copy_context"))?;
        let run = context.getattr(intern!(py, "run"))?;
        let call = arguments.to_list();
        call.insert(0, application)?;
        let coroutine = run.call1(call.to_tuple())?;
        check(&coroutine)?;
        let create_task = self.event_loop.bind(py).getattr(intern!(py, "create_task"))?;
        // `run` makes the task copy this context; the keyword `context` exists only since 3.11.
        run.call1((create_task, coroutine))
    }
}

fn check(coroutine: &Bound<'_, PyAny>) -> PyResult<()> {
    if coroutine.is_none() {
        return Err(PyTypeError::new_err("the application returned None and no coroutine: is it a WSGI application?"));
    }
    Ok(())
}
