//! How all of it ends: the registry first, then the workers, and the sockets with the last who accepts.

use std::time::Duration;

use super::super::worker::{Leaves, Stage, Worker};
use super::Pool;

/// An instance that has left its registry still answers for this long those who do not know it yet, at a stop.
const LAST_CALL: Duration = Duration::from_secs(2);

/// Whether and how all of it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    None,
    /// Another instance has taken over: idle connections are still answered for the linger.
    Retiring,
    Stopping,
}

impl Pool {
    pub(super) fn stop(&mut self) {
        let has_left = self.is_ending();
        self.ending = Ending::Stopping;
        self.report.stopping();
        if has_left {
            self.drain(|_| true, Duration::ZERO, Leaves::Workers);
            self.close_sockets();
        } else {
            self.leave();
        }
    }

    pub(super) fn retire(&mut self) {
        if !self.is_ending() {
            self.ending = Ending::Retiring;
            self.leave();
        }
    }

    /// The registry comes first: whoever asks it from now on is sent elsewhere, while all workers still answer.
    pub(super) fn leave(&mut self) {
        let events = self.events.0.clone();
        if !self.announcer.as_ref().is_some_and(|announcer| announcer.leave(events)) {
            self.let_go();
        }
    }

    /// The workers drain. Those who have just chosen this instance from a registry are still answered.
    pub(super) fn let_go(&mut self) {
        match self.ending {
            Ending::None => return,
            Ending::Retiring => self.drain(|_| true, self.config.linger, Leaves::Instance),
            Ending::Stopping if self.announcer.is_some() => self.drain(|_| true, LAST_CALL, Leaves::Instance),
            Ending::Stopping => self.drain(|_| true, Duration::ZERO, Leaves::Workers),
        }
        self.close_sockets();
    }

    /// No worker is started any more: once the last one accepts no more, callers are refused rather than kept waiting.
    pub(super) fn close_sockets(&mut self) {
        self.sockets.clear();
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending != Ending::None
    }

    pub(super) fn drain(&mut self, which: impl Fn(&Worker) -> bool, linger: Duration, leaves: Leaves) {
        let grace = self.config.grace;
        // One that drains already is told again only to hurry: a second drain can only bring the end closer.
        let hurry = linger.is_zero();
        let may_drain = |worker: &&mut Worker| match worker.stage {
            Stage::Starting | Stage::Ready => which(worker),
            Stage::Draining => hurry,
        };
        for worker in self.workers.iter_mut().filter(may_drain) {
            worker.drain(linger, grace, leaves);
        }
    }
}
