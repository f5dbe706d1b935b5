//! A request that was let in.

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use super::Shedder;

/// Counts a request as in flight until it is dropped. It may be shared with the thread that gives the request its turn.
#[derive(Debug)]
pub struct Ticket {
    shedder: Arc<Shedder>,
    admitted: Instant,
    started: OnceLock<Instant>,
    answered: OnceLock<Instant>,
}

impl Ticket {
    pub(super) const fn new(shedder: Arc<Shedder>, admitted: Instant) -> Self {
        Self { shedder, admitted, started: OnceLock::new(), answered: OnceLock::new() }
    }

    /// The request has its turn from now on; a second time says nothing.
    pub fn start(&self, now: Instant) {
        if self.started.set(now).is_ok() {
            self.shedder.started(now.saturating_duration_since(self.admitted));
        }
    }

    /// The request was answered: how long that took is remembered. A request that is dropped without this was abandoned.
    pub fn answer(&self, now: Instant) {
        // A second answer says nothing.
        let _ = self.answered.set(now);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let service = match (self.started.get(), self.answered.get()) {
            (Some(started), Some(answered)) => Some(answered.saturating_duration_since(*started)),
            _ => None,
        };
        self.shedder.left(service);
    }
}
