//! The threads of a WSGI worker and the bounded queue before them.
//!
//! The threads are Python's own (`threading.Thread`), so that thread-local storage, such as Django's database
//! connections, lives from request to request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::Notify;

use super::answers::Answers;
use super::{Application, Job, respond};

/// For how long a thread leaves the interpreter's lock to one that gets on without it.
const GIVE_WAY: Duration = Duration::from_millis(1);

/// A queue and those who serve it.
#[derive(Debug)]
pub(super) struct Pool {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    rested: Notify,
    capacity: usize,
    threads: usize,
    pub(super) answers: Arc<Answers>,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that run a job.
    busy: usize,
    /// Threads that sleep.
    asleep: usize,
    /// Whether a thread is on its way to the queue: awake, and waiting for the interpreter's lock.
    coming: bool,
    /// Jobs that were done, ever.
    finished: u64,
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
            emptied: Condvar::new(),
            rested: Notify::new(),
            capacity: usize::try_from(queue).unwrap_or(usize::MAX),
            threads: usize::try_from(threads).unwrap_or(usize::MAX),
            answers: Arc::default(),
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
        if state.jobs.len() >= self.capacity + (self.threads - state.busy) {
            return Err(Full);
        }
        state.jobs.push_back(job);
        let wakes = state.calls_another();
        drop(state);
        self.answers.watch();
        if wakes {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits until no job waits or runs: one goes on when its client has gone, and closes its answer behind the last byte.
    pub(super) async fn idle(&self) {
        loop {
            let rested = self.rested.notified();
            {
                let state = self.state.lock();
                if state.busy == 0 && state.jobs.is_empty() {
                    return;
                }
            }
            rested.await;
        }
    }

    /// Ends the threads when they have served what waits.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_all();
    }

    /// Takes a job, if there is one; called with the interpreter's lock held, so that it is run at once.
    fn take(&self) -> Option<Job> {
        let mut state = self.state.lock();
        let job = state.jobs.pop_front()?;
        state.busy += 1;
        let (wakes, is_empty) = (state.calls_another(), state.jobs.is_empty());
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
        if is_empty {
            self.emptied.notify_one();
        }
        Some(job)
    }

    /// The job is done.
    fn done(&self) {
        let goes_on = {
            let mut state = self.state.lock();
            state.busy -= 1;
            state.finished = state.finished.wrapping_add(1);
            !state.jobs.is_empty()
        };
        self.answers.settle(goes_on);
        self.rested.notify_waiters();
    }

    /// Sleeps until there may be a job, and says how many were done by then; nothing at the end. Called without the
    /// interpreter's lock.
    fn sleep(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.asleep += 1;
        while state.jobs.is_empty() && !state.closed {
            state.coming = false;
            self.filled.wait(&mut state);
        }
        state.asleep -= 1;
        state.coming = true;
        (!state.jobs.is_empty()).then_some(state.finished)
    }

    /// A thread that was on its way since so many jobs were done has the interpreter's lock. False where it took that from
    /// one that gets on with its jobs: it has to give the lock back, or both would be in the middle of a job and wait for it.
    fn arrives(&self, since: u64) -> bool {
        let mut state = self.state.lock();
        let gets_on = state.busy > 0 && !state.jobs.is_empty() && state.finished != since;
        state.coming = gets_on;
        !gets_on
    }

    /// The mark for [`Self::arrives`], after the pause of a thread that has given way. Called without the interpreter's lock.
    fn give_way(&self) -> u64 {
        let mut state = self.state.lock();
        if !state.jobs.is_empty() {
            self.emptied.wait_for(&mut state, GIVE_WAY);
        }
        state.finished
    }
}

impl State {
    /// Whether one more thread is to be woken: one at a time, because each waits for the interpreter's lock, and takes its
    /// job only when it has it. A job is never held by a thread that cannot run it, and as soon as one blocks in a call
    /// that gives up the lock, the next is there.
    fn calls_another(&mut self) -> bool {
        let calls = !self.jobs.is_empty() && !self.coming && self.asleep > 0;
        self.coming |= calls;
        calls
    }
}

#[pymethods]
impl PoolThread {
    fn __call__(&self, py: Python<'_>) {
        loop {
            while let Some(job) = self.pool.take() {
                respond::answer(py, &self.application, &self.pool.answers, job);
                self.pool.done();
            }
            let Some(mut since) = py.detach(|| self.pool.sleep()) else { return };
            while !self.pool.arrives(since) {
                since = py.detach(|| self.pool.give_way());
            }
        }
    }
}
