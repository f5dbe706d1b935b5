//! What happened within a short time, and its summary.

use std::time::Duration;

use tokio::time::Instant;

/// What is counted at present.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) since: Instant,
    /// The most requests that were in flight.
    pub(super) peak: u32,
    started: u32,
    waits: Duration,
    least_wait: Duration,
    finished: u32,
    services: Duration,
}

/// What a window has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    pub(super) elapsed: Duration,
    pub(super) peak: u32,
    /// Requests that got their turn.
    pub(super) started: u32,
    pub(super) mean_wait: Duration,
    pub(super) least_wait: Duration,
    pub(super) finished: u32,
    /// The mean time from a turn to an answer.
    pub(super) service: Duration,
    /// Requests that were answered in a second.
    pub(super) rate: f64,
}

impl Window {
    pub(super) const fn new(since: Instant) -> Self {
        Self {
            since,
            peak: 0,
            started: 0,
            waits: Duration::ZERO,
            least_wait: Duration::MAX,
            finished: 0,
            services: Duration::ZERO,
        }
    }

    pub(super) fn count_start(&mut self, wait: Duration) {
        self.started = self.started.saturating_add(1);
        self.waits = self.waits.saturating_add(wait);
        self.least_wait = self.least_wait.min(wait);
    }

    pub(super) fn count_end(&mut self, service: Duration) {
        self.finished = self.finished.saturating_add(1);
        self.services = self.services.saturating_add(service);
    }

    /// Begins the next one.
    pub(super) fn close(&mut self, now: Instant, in_flight: u32) -> Summary {
        let closed = std::mem::replace(self, Self { peak: in_flight, ..Self::new(now) });
        let elapsed = now.saturating_duration_since(closed.since);
        let seconds = elapsed.as_secs_f64();
        Summary {
            elapsed,
            peak: closed.peak,
            started: closed.started,
            mean_wait: closed.waits / closed.started.max(1),
            least_wait: if closed.started == 0 { Duration::ZERO } else { closed.least_wait },
            finished: closed.finished,
            service: closed.services / closed.finished.max(1),
            rate: if seconds > 0.0 { f64::from(closed.finished) / seconds } else { 0.0 },
        }
    }
}
