//! The threads of a WSGI worker and the bounded queue before them.
//!
//! The threads are Python's own (`threading.Thread`), so that thread-local storage, such as Django's database
//! connections, lives from request to request.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Application, Job, respond};

/// A queue and those who serve it.
#[derive(Debug)]
pub(super) struct Pool {
    state: Mutex<State>,
    filled: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

/// Every thread is busy and the queue is full.
#[derive(Debug)]
pub(super) struct Full;

/// What a thread runs.
#[pyclass(frozen, module = "pinnace_runtime._native")]
struct PoolThread {
    pool: Arc<Pool>,
    application: Arc<Application>,
}

impl Pool {
    /// Starts so many threads, before which so many requests may wait.
    pub(super) fn start(py: Python<'_>, application: Application, threads: u32, queue: u32) -> PyResult<Arc<Self>> {
        let pool = Arc::new(Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            capacity: usize::try_from(queue).unwrap_or(usize::MAX),
        });
        let application = Arc::new(application);
        let thread_class = py.import("threading")?.getattr("Thread")?;
        for index in 0..threads {
            let keywords = PyDict::new(py);
            let run = PoolThread { pool: Arc::clone(&pool), application: Arc::clone(&application) };
            keywords.set_item("target", Bound::new(py, run)?)?;
            keywords.set_item("name", format!("pinnace-wsgi-{index}"))?;
            keywords.set_item("daemon", true)?;
            thread_class.call((), Some(&keywords))?.call_method0(intern!(py, "start"))?;
        }
        Ok(pool)
    }

    /// Puts a job before the threads, unless more wait than may.
    pub(super) fn submit(&self, job: Job) -> Result<(), Full> {
        let mut state = self.state.lock();
        if state.jobs.len() >= self.capacity + state.idle {
            return Err(Full);
        }
        state.jobs.push_back(job);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Ends the threads when they have served what waits.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_all();
    }

    fn take(&self) -> Option<Job> {
        let mut state = self.state.lock();
        state.idle += 1;
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.idle -= 1;
                return Some(job);
            }
            if state.closed {
                state.idle -= 1;
                return None;
            }
            self.filled.wait(&mut state);
        }
    }
}

#[pymethods]
impl PoolThread {
    fn __call__(&self, py: Python<'_>) {
        while let Some(job) = py.detach(|| self.pool.take()) {
            respond::answer(py, &self.application, job);
        }
    }
}
