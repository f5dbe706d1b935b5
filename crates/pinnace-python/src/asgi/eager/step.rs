//! The first step of a task, by the means of each version of asyncio.

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{ffi, intern};

/// Makes tasks and takes their first step.
#[derive(Debug)]
pub(super) struct FirstStep {
    event_loop: Py<PyAny>,
    task_class: Py<PyAny>,
    manner: Manner,
}

#[derive(Debug)]
enum Manner {
    /// `eager_start=True`.
    Told(Py<PyTuple>),
    /// The step is caught on its way to the loop.
    Caught(Py<PyTuple>, Py<Catcher>),
    /// The loop takes the step.
    Left,
}

/// Stands in front of the loop's `call_soon` while a task is made.
#[pyclass(frozen, module = "pinnace_runtime._native")]
#[derive(Debug)]
struct Catcher {
    event_loop: Py<PyAny>,
    caught: Mutex<Caught>,
}

#[derive(Debug, Default)]
struct Caught {
    context: Option<Py<PyAny>>,
    step: Option<Py<PyAny>>,
}

/// A context that this thread is in until this is dropped.
pub(super) struct Entered<'py>(Bound<'py, PyAny>);

/// Raises what it holds, when the loop calls it.
#[pyclass(frozen, module = "pinnace_runtime._native")]
struct Raiser(Mutex<Option<PyErr>>);

impl FirstStep {
    /// Makes tasks on this loop.
    pub(super) fn new(py: Python<'_>, event_loop: &Py<PyAny>) -> PyResult<Self> {
        let task_class = py.import(intern!(py, "asyncio"))?.getattr(intern!(py, "Task"))?.unbind();
        let version = py.version_info();
        let manner = match (version.major, version.minor) {
            (3, 11) => {
                let catcher = Catcher { event_loop: event_loop.clone_ref(py), caught: Mutex::default() };
                Manner::Caught(PyTuple::new(py, ["loop", "context"])?.unbind(), Py::new(py, catcher)?)
            }
            (3, minor) if minor >= 12 => Manner::Told(PyTuple::new(py, ["loop", "context", "eager_start"])?.unbind()),
            _ => Manner::Left,
        };
        Ok(Self { event_loop: event_loop.clone_ref(py), task_class, manner })
    }

    /// A task for this coroutine in this context, which the thread is in; it has run until it first waited. Nothing, where
    /// the loop itself is to make it.
    pub(super) fn start<'py>(
        &self,
        coroutine: &Bound<'py, PyAny>,
        context: &Entered<'py>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = coroutine.py();
        let event_loop = self.event_loop.bind(py);
        // What makes tasks in its own way is asked for each of them.
        let has_factory = !event_loop.call_method0(intern!(py, "get_task_factory"))?.is_none();
        match &self.manner {
            Manner::Told(names) if !has_factory => {
                let truth = pyo3::types::PyBool::new(py, true);
                let arguments = [coroutine.as_ptr(), event_loop.as_ptr(), context.0.as_ptr(), truth.as_ptr()];
                call_with_names(self.task_class.bind(py), &arguments, names.bind(py)).map(Some)
            }
            Manner::Caught(names, catcher) if !has_factory => {
                let arguments = [coroutine.as_ptr(), event_loop.as_ptr(), context.0.as_ptr()];
                catcher.get().caught.lock().context = Some(context.0.clone().unbind());
                let name = intern!(py, "call_soon");
                event_loop.setattr(name, catcher)?;
                let task = call_with_names(self.task_class.bind(py), &arguments, names.bind(py));
                event_loop.delattr(name)?;
                let step = std::mem::take(&mut *catcher.get().caught.lock()).step;
                let task = task?;
                let step = step.ok_or_else(|| PyRuntimeError::new_err("a task that was made has no first step"))?;
                if let Err(error) = step.bind(py).call0() {
                    // `SystemExit` and `KeyboardInterrupt` end the loop, as they do from any of its callbacks.
                    event_loop.call_method1(name, (Bound::new(py, Raiser(Mutex::new(Some(error))))?,))?;
                }
                Ok(Some(task))
            }
            _ => Ok(None),
        }
    }
}

/// Calls with one positional argument; the others have these names.
fn call_with_names<'py>(
    callable: &Bound<'py, PyAny>,
    arguments: &[*mut ffi::PyObject],
    names: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    debug_assert_eq!(arguments.len(), names.len() + 1, "one positional argument");
    // SAFETY: the arguments are borrowed from objects that outlive the call, there are as many as names and one more, and
    // the thread is attached.
    unsafe {
        let result = ffi::PyObject_Vectorcall(callable.as_ptr(), arguments.as_ptr(), 1, names.as_ptr());
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

#[pymethods]
impl Catcher {
    #[pyo3(signature = (callback, *arguments, context=None))]
    fn __call__(
        &self,
        py: Python<'_>,
        callback: Py<PyAny>,
        arguments: &Bound<'_, PyTuple>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let is_first_step = {
            let caught = self.caught.lock();
            let awaited = caught.step.is_none() && arguments.is_empty();
            awaited && context.as_ref().zip(caught.context.as_ref()).is_some_and(|(given, own)| given.is(own))
        };
        if is_first_step {
            self.caught.lock().step = Some(callback);
            return Ok(None);
        }
        // A finalizer that runs meanwhile, for one.
        let class = self.event_loop.bind(py).get_type();
        let mut all = vec![self.event_loop.clone_ref(py), callback];
        all.extend(arguments.iter().map(Bound::unbind));
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "context"), context)?;
        let handle = class.getattr(intern!(py, "call_soon"))?.call(PyTuple::new(py, all)?, Some(&keywords))?;
        Ok(Some(handle.unbind()))
    }
}

#[pymethods]
impl Raiser {
    fn __call__(&self) -> PyResult<()> {
        match self.0.lock().take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl<'py> Entered<'py> {
    /// A copy of the current context, entered.
    pub(super) fn copy(py: Python<'py>) -> PyResult<Self> {
        // SAFETY: the thread is attached; a fresh copy has been entered by nobody.
        unsafe {
            let context = Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent())?;
            if ffi::PyContext_Enter(context.as_ptr()) != 0 {
                return Err(PyErr::fetch(py));
            }
            Ok(Self(context))
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // SAFETY: it was entered on this thread, which is attached as long as `'py` lasts.
        if unsafe { ffi::PyContext_Exit(self.0.as_ptr()) } != 0 {
            PyErr::fetch(self.0.py()).print(self.0.py());
        }
    }
}
