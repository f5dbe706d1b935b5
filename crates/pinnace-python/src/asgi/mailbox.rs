//! Messages on their way to `receive()`: they wait for it, or it waits for them.
//!
//! A waiting `receive()` may be cancelled (`asyncio.wait_for`), so a message is handed to the first future that is still
//! open, and is kept where there is none: no message is lost with a cancelled wait.

use std::collections::VecDeque;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use tokio::sync::Notify;

use super::Asgi;

/// Messages that may wait before the sender has to.
const ROOM: usize = 16;

/// What can be turned into an ASGI event.
pub(crate) trait Message: Clone + Send {
    fn event(&self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

/// The letters and those who wait for one.
#[derive(Debug)]
pub(crate) struct Mailbox<M> {
    state: Mutex<State<M>>,
    taken: Notify,
}

#[derive(Debug)]
struct State<M> {
    letters: VecDeque<M>,
    waiting: VecDeque<Py<PyAny>>,
    /// Given to everyone who asks after the last letter.
    last: Option<M>,
}

/// What `receive()` finds.
pub(crate) enum Found {
    Event(Py<PyAny>),
    Wait(Py<PyAny>),
}

impl<M: Message> Mailbox<M> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State { letters: VecDeque::new(), waiting: VecDeque::new(), last: None }),
            taken: Notify::new(),
        }
    }

    /// Puts a letter in, or hands it over.
    pub(crate) fn post(&self, py: Python<'_>, asgi: &Asgi, message: M) -> PyResult<()> {
        self.state.lock().letters.push_back(message);
        self.deliver(py, asgi)
    }

    /// Says that this is all there will ever be; the first to say it is believed.
    pub(crate) fn end(&self, py: Python<'_>, asgi: &Asgi, message: M) -> PyResult<()> {
        self.state.lock().last.get_or_insert(message);
        self.deliver(py, asgi)
    }

    /// The next letter, or a future that will have it.
    pub(crate) fn receive(&self, py: Python<'_>, asgi: &Asgi) -> PyResult<Found> {
        let next = {
            let mut state = self.state.lock();
            if state.waiting.is_empty() { state.next() } else { None }
        };
        if let Some(message) = next {
            self.taken.notify_one();
            return Ok(Found::Event(message.event(py)?));
        }
        let future = asgi.event_loop.call_method0(py, intern!(py, "create_future"))?;
        self.state.lock().waiting.push_back(future.clone_ref(py));
        Ok(Found::Wait(future))
    }

    /// Whether the end was said.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.lock().last.is_some()
    }

    /// Waits until there is room for another letter.
    pub(crate) async fn room(&self) {
        while self.state.lock().letters.len() >= ROOM {
            self.taken.notified().await;
        }
    }

    fn deliver(&self, py: Python<'_>, asgi: &Asgi) -> PyResult<()> {
        loop {
            let (future, message) = {
                let mut state = self.state.lock();
                let Some(future) = state.waiting.pop_front() else { return Ok(()) };
                if future.call_method0(py, intern!(py, "done"))?.is_truthy(py)? {
                    continue;
                }
                let Some(message) = state.next() else {
                    state.waiting.push_front(future);
                    return Ok(());
                };
                (future, message)
            };
            self.taken.notify_one();
            future.call_method1(py, intern!(py, "set_result"), (message.event(py)?,))?;
            asgi.nudge.now();
        }
    }
}

impl<M: Clone> State<M> {
    fn next(&mut self) -> Option<M> {
        self.letters.pop_front().or_else(|| self.last.clone())
    }
}
