//! The joint between tokio and asyncio: asyncio's selector is this reactor, and its `select` drives tokio.
//!
//! Both loops live on one thread, so that a request never crosses threads. The interpreter's lock is held across a tick
//! and given up only while tokio sleeps. A WSGI worker has no Python on this thread, so it holds the lock never
//! ([`Hold::Never`]) and its pool is not held up.
//!
//! asyncio's own epoll is nested in tokio's. mio watches edges: the readiness of the nested descriptor may be forgotten
//! only after it was found empty ([`Reactor::clear`]), or a wake-up is lost.

use std::cell::Cell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{ffi, intern};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::turnstile::Turnstile;

/// Longest sleep of one turn; asyncio asks again.
const LONGEST_TURN: Duration = Duration::from_hours(1);

/// Drives tokio on asyncio's thread.
#[pyclass(frozen, module = "pinnace_runtime._native")]
#[derive(Debug)]
pub(crate) struct Reactor {
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
    epoll: OnceLock<AsyncFd<OwnedFd>>,
    nudge: Nudge,
    turnstile: Turnstile,
    never_holds: AtomicBool,
}

/// Ends the running turn, because asyncio has something to do.
#[derive(Clone, Debug)]
pub(crate) struct Nudge(Arc<Wanted>);

#[derive(Debug, Default)]
struct Wanted {
    notify: Notify,
    event_loop: OnceLock<Py<PyAny>>,
    /// Timers of asyncio's when the turn began, whose end that depends on them.
    timers: AtomicIsize,
}

/// When the interpreter's lock is held while tokio runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hold {
    /// Across a tick: tasks call Python.
    AcrossTicks,
    /// Not at all: Python runs on other threads.
    Never,
}

thread_local! {
    /// Whether this thread holds the interpreter's lock and gives it up while it is parked.
    static HOLDS: Cell<bool> = const { Cell::new(false) };
    static PARKED: Cell<*mut ffi::PyThreadState> = const { Cell::new(std::ptr::null_mut()) };
    /// Since when this thread is parked, and how long it was since the last turn began.
    static PARKED_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    static SLEPT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

#[pymethods]
impl Reactor {
    #[new]
    fn new() -> PyResult<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(release_lock)
            .on_thread_unpark(retake_lock)
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            epoll: OnceLock::new(),
            nudge: Nudge(Arc::default()),
            turnstile: Turnstile::default(),
            never_holds: AtomicBool::new(false),
        })
    }

    /// Watches asyncio's epoll descriptor.
    fn attach(&self, descriptor: RawFd) -> PyResult<()> {
        let _runtime = self.handle.enter();
        // SAFETY: asyncio's selector is open while it attaches itself.
        let epoll = unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned()?;
        // SAFETY: the descriptor belongs to the `AsyncFd` alone and lives as long as it.
        let watched = unsafe { AsyncFd::register_with_interest(epoll, Interest::READABLE) }.map_err(io::Error::from)?;
        self.epoll.set(watched).map_err(|_| PyRuntimeError::new_err("the reactor is attached already"))
    }

    /// Tells whose selector this is.
    fn belongs_to(&self, event_loop: Py<PyAny>) -> PyResult<()> {
        let set = self.nudge.0.event_loop.set(event_loop);
        set.map_err(|_| PyRuntimeError::new_err("the reactor has its event loop already"))
    }

    /// Runs tokio until asyncio has something to do, or the time is over; `None`: no limit, 0: one tick.
    fn turn(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let Some(guard) = self.runtime.try_lock() else {
            return Err(PyRuntimeError::new_err("the reactor is turning already: event loops cannot be nested"));
        };
        let (Some(runtime), Some(epoll)) = (guard.as_ref(), self.epoll.get()) else {
            return Err(PyRuntimeError::new_err("the reactor is not attached, or closed"));
        };
        self.turnstile.turn(SLEPT.take());
        self.nudge.0.timers.store(self.nudge.0.queued(py).map_or(0, |(_, timers)| timers), Ordering::Relaxed);
        let until_busy = async {
            let Some(timeout) = timeout.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()) else {
                tokio::select! {
                    biased;
                    () = self.nudge.0.notify.notified() => {}
                    ready = epoll.readable() => keep_readiness(ready),
                }
                return;
            };
            if timeout.is_zero() {
                tokio::task::yield_now().await;
                return;
            }
            tokio::select! {
                biased;
                () = self.nudge.0.notify.notified() => {}
                ready = epoll.readable() => keep_readiness(ready),
                () = tokio::time::sleep(timeout.min(LONGEST_TURN)) => {}
            }
        };
        if self.never_holds.load(Ordering::Relaxed) {
            py.detach(|| runtime.block_on(until_busy));
        } else {
            HOLDS.set(true);
            runtime.block_on(until_busy);
            HOLDS.set(false);
        }
        Ok(())
    }

    /// Forgets the readiness of asyncio's descriptor; to be called only when `select(0)` found nothing.
    fn clear(&self) {
        let Some(epoll) = self.epoll.get() else { return };
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(Ok(mut guard)) = epoll.poll_read_ready(&mut context) {
            guard.clear_ready();
        }
    }

    /// Ends tokio: its tasks are dropped, with the lock released because they may wait for other threads.
    fn close(&self, py: Python<'_>) {
        let runtime = self.runtime.lock().take();
        py.detach(|| drop(runtime));
    }
}

impl Reactor {
    /// Where tasks are spawned from.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What ends a turn.
    pub(crate) fn nudge(&self) -> Nudge {
        self.nudge.clone()
    }

    /// Where requests wait for their turn.
    pub(crate) fn turnstile(&self) -> Turnstile {
        self.turnstile.clone()
    }

    /// Says when the interpreter's lock is held from now on.
    pub(crate) fn hold(&self, hold: Hold) {
        self.never_holds.store(hold == Hold::Never, Ordering::Relaxed);
    }
}

impl Nudge {
    /// asyncio runs again as soon as the tasks that are ready now have run.
    pub(crate) fn now(&self) {
        self.0.notify.notify_one();
    }

    /// The same, where Python that has just run has left asyncio something to do, or another timer.
    pub(crate) fn if_wanted(&self, py: Python<'_>) {
        let known = self.0.timers.load(Ordering::Relaxed);
        if self.0.queued(py).is_none_or(|(ready, timers)| ready > 0 || timers != known) {
            self.now();
        }
    }
}

impl Wanted {
    /// How much asyncio has to do at once, and how many timers; nothing where this loop keeps them elsewhere.
    fn queued(&self, py: Python<'_>) -> Option<(isize, isize)> {
        let event_loop = self.event_loop.get()?.bind(py);
        let length = |name| event_loop.getattr(name).and_then(|queue| queue.len()).ok();
        let (ready, timers) = (length(intern!(py, "_ready"))?, length(intern!(py, "_scheduled"))?);
        Some((isize::try_from(ready).ok()?, isize::try_from(timers).ok()?))
    }
}

fn keep_readiness(ready: io::Result<tokio::io::unix::AsyncFdReadyGuard<'_, OwnedFd>>) {
    if let Ok(mut guard) = ready {
        guard.retain_ready();
    }
}

fn release_lock() {
    PARKED_SINCE.set(Some(Instant::now()));
    if HOLDS.get() {
        // SAFETY: `HOLDS` is set only around a `block_on` on a thread that is attached to the interpreter, tokio calls
        // the hooks on that thread in pairs, and nothing between them touches Python.
        PARKED.set(unsafe { ffi::PyEval_SaveThread() });
    }
}

fn retake_lock() {
    if let Some(since) = PARKED_SINCE.take() {
        SLEPT.set(SLEPT.get() + since.elapsed());
    }
    let parked = PARKED.replace(std::ptr::null_mut());
    if !parked.is_null() {
        // SAFETY: the thread state is what `release_lock` saved on this very thread.
        unsafe { ffi::PyEval_RestoreThread(parked) };
    }
}
