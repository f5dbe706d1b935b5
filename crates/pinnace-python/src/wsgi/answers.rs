//! Whole answers on their way from the threads to the connections.
//!
//! To wake the connections' thread costs more than a small handler, so a thread that goes on to the next request at once
//! lets its answer wait for the next ones: until the queue is empty, or for a moment. Should the next request take long,
//! a clock that ticks as long as requests come delivers what waits.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::body::ResponseBody;

/// Answers that may wait.
const MOST: usize = 16;
/// How long a thread that is busy lets them wait.
const PATIENCE: Duration = Duration::from_micros(500);
/// How often the clock looks for some.
const TICK: Duration = Duration::from_millis(1);
/// How often it finds none before it rests.
const TICKS_IN_VAIN: u32 = 4;

/// One answer and who waits for it.
pub(super) type Answer = (oneshot::Sender<Response<ResponseBody>>, Response<ResponseBody>);

/// The answers that wait.
#[derive(Debug, Default)]
pub(super) struct Answers {
    waiting: Mutex<Waiting>,
    told: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    answers: Vec<Answer>,
    since: Option<Instant>,
    /// Whether the clock ticks.
    watched: bool,
}

impl Answers {
    /// Takes an answer; it is delivered with the next [`Self::settle`] or [`Self::flush`].
    pub(super) fn put(&self, answer: Answer) {
        self.waiting.lock().answers.push(answer);
    }

    /// A thread is done with a request; `goes_on`: with the next one, at once.
    pub(super) fn settle(&self, goes_on: bool) {
        {
            let mut waiting = self.waiting.lock();
            if waiting.answers.is_empty() {
                return;
            }
            if goes_on && waiting.watched && waiting.answers.len() < MOST {
                let now = Instant::now();
                if *waiting.since.get_or_insert(now) + PATIENCE > now {
                    return;
                }
            }
        }
        self.told.notify_one();
    }

    /// Has delivered what waits.
    pub(super) fn flush(&self) {
        self.told.notify_one();
    }

    /// Requests come: the clock ticks. Called on the connections' thread.
    pub(super) fn watch(&self) {
        let watched = std::mem::replace(&mut self.waiting.lock().watched, true);
        if !watched {
            self.told.notify_one();
        }
    }

    /// Delivers, as long as the connections' thread lives.
    pub(super) async fn deliver(self: Arc<Self>) {
        let mut in_vain = 0;
        let mut clock = std::pin::pin!(tokio::time::sleep(TICK));
        loop {
            let watched = self.waiting.lock().watched;
            tokio::select! {
                biased;
                () = self.told.notified() => {
                    self.hand_over();
                    in_vain = 0;
                }
                () = clock.as_mut(), if watched => {
                    in_vain = if self.hand_over() { 0 } else { in_vain + 1 };
                    if in_vain >= TICKS_IN_VAIN {
                        in_vain = 0;
                        self.waiting.lock().watched = false;
                    }
                    clock.as_mut().reset(Instant::now() + TICK);
                }
            }
        }
    }

    fn hand_over(&self) -> bool {
        let answers = {
            let mut waiting = self.waiting.lock();
            waiting.since = None;
            std::mem::take(&mut waiting.answers)
        };
        let some = !answers.is_empty();
        for (to, response) in answers {
            // It fails when the client has gone.
            let _ = to.send(response);
        }
        some
    }
}
