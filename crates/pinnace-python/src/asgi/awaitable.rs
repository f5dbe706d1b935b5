//! What `receive()` and `send()` return: an awaitable that is ready at once where nothing has to wait, and waits for an
//! asyncio future otherwise.
//!
//! It has the methods of a coroutine, because applications hand it to `asyncio.create_task`.

use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;

/// What is awaited and done at once, without a result. It has no state, so one is enough.
#[pyclass(frozen, weakref, module = "pinnace_runtime._native")]
#[derive(Debug)]
pub(crate) struct Done;

/// The awaitable of one message.
#[pyclass(frozen, weakref, module = "pinnace_runtime._native")]
#[derive(Debug)]
pub(crate) struct Reply(Mutex<State>);

#[derive(Debug)]
enum State {
    Ready(Py<PyAny>),
    Future(Py<PyAny>),
    Waiting(Py<PyAny>),
    Done,
}

impl Reply {
    /// Done already, with this result.
    pub(crate) fn ready(py: Python<'_>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Self(Mutex::new(State::Ready(value))))?.into_any())
    }

    /// Done when this future is, with its result.
    pub(crate) fn waiting(py: Python<'_>, future: Py<PyAny>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Self(Mutex::new(State::Future(future))))?.into_any())
    }

    fn take(&self) -> State {
        std::mem::replace(&mut *self.0.lock(), State::Done)
    }

    fn step(&self, py: Python<'_>, value: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        let iterator = match self.take() {
            State::Ready(result) => return Err(stop_with(result.bind(py))),
            State::Done => return Err(PyRuntimeError::new_err("cannot reuse an awaited message")),
            State::Future(future) => future.call_method0(py, intern!(py, "__await__"))?,
            State::Waiting(iterator) => iterator,
        };
        let yielded = match value {
            Some(value) if !value.is_none() => iterator.call_method1(py, intern!(py, "send"), (value,)),
            _ => iterator.call_method0(py, intern!(py, "__next__")),
        };
        if yielded.is_ok() {
            *self.0.lock() = State::Waiting(iterator);
        }
        yielded
    }
}

/// The end of an awaitable with this result, which is no tuple and no exception.
fn stop_with(result: &Bound<'_, PyAny>) -> PyErr {
    match result.py().get_type::<PyStopIteration>().call1((result,)) {
        Ok(end) => PyErr::from_value(end),
        Err(error) => error,
    }
}

/// What is thrown into an awaitable: an exception or its class.
fn raised(thrown: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let exception = if thrown.is_instance_of::<pyo3::types::PyType>() { thrown.call0()? } else { thrown.clone() };
    Ok(PyErr::from_value(exception))
}

#[pymethods]
impl Done {
    fn __await__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[expect(clippy::unused_self, reason = "a method of the iterator protocol")]
    fn __next__(&self) -> Option<()> {
        None
    }

    #[expect(clippy::unused_self, reason = "a method of the coroutine protocol")]
    fn send(&self, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyStopIteration::new_err(()))
    }

    #[expect(clippy::unused_self, reason = "a method of the coroutine protocol")]
    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        Err(raised(value.filter(|value| !value.is_none()).unwrap_or(kind))?)
    }

    #[expect(clippy::unused_self, reason = "a method of the coroutine protocol")]
    fn close(&self) {}
}

#[pymethods]
impl Reply {
    fn __await__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.step(py, None)
    }

    fn send(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.step(py, Some(value))
    }

    #[pyo3(signature = (kind, value=None, traceback=None))]
    fn throw(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        if let State::Waiting(iterator) = self.take() {
            // The three-argument form is deprecated since 3.12; an exception carries its traceback anyway.
            let exception = value.filter(|value| !value.is_none()).unwrap_or(kind);
            let yielded = iterator.call_method1(py, intern!(py, "throw"), (exception,));
            if yielded.is_ok() {
                *self.0.lock() = State::Waiting(iterator);
            }
            return yielded;
        }
        let _ = traceback;
        let exception = value.filter(|value| !value.is_none()).unwrap_or(kind);
        Err(raised(exception)?)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if let State::Waiting(iterator) = self.take() {
            iterator.call_method0(py, intern!(py, "close"))?;
        }
        Ok(())
    }
}
