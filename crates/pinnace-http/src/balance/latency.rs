//! The time in which a target answers: an average that rises at once to each peak and sinks slowly, so that a target that
//! stalls is avoided with its first slow answer and earns its trust back.

use std::time::Duration;

use tokio::time::Instant;

/// After this long an answer's weight has sunk to a third.
const DECAY: Duration = Duration::from_secs(10);
/// What is expected of a target that has been asked and has not answered yet.
const UNKNOWN: f64 = 1.0;
/// Differences below this are the machine's moods: a single answer that waited for a core must not overrule weights.
const GRAIN: f64 = 0.005;

/// The moving average of one target, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latency {
    average: f64,
    observed: Option<Instant>,
}

impl Latency {
    /// Takes the time of one answer.
    pub(super) fn observe(&mut self, time: Duration, now: Instant) {
        let time = time.as_secs_f64();
        let average = self.sunk(now);
        self.average = match self.observed {
            Some(last) if time < average => {
                let old = (-now.duration_since(last).as_secs_f64() / DECAY.as_secs_f64()).exp();
                // Answers that come at once after another still count a little.
                let old = old.min(0.95);
                average * old + time * (1.0 - old)
            }
            Some(_) | None => time,
        };
        self.observed = Some(now);
    }

    /// Takes the time for which an answer was waited for in vain; one that was short says nothing.
    pub(super) fn at_least(&mut self, time: Duration, now: Instant) {
        if time.as_secs_f64() > self.sunk(now) {
            self.observe(time, now);
        }
    }

    /// What the next answer is expected to take. One of which nothing is known is tried first, and by one request only.
    pub(super) fn expected(self, now: Instant, is_asked: bool) -> f64 {
        match self.observed {
            Some(_) => self.sunk(now).max(GRAIN),
            None if is_asked => UNKNOWN,
            None => GRAIN,
        }
    }

    pub(super) fn average(self) -> Option<Duration> {
        self.observed.map(|_| Duration::from_secs_f64(self.average))
    }

    /// What is old says little: a target that was slow long ago gets another chance.
    fn sunk(self, now: Instant) -> f64 {
        match self.observed {
            Some(last) => {
                let idle = now.duration_since(last).as_secs_f64();
                self.average * (-idle / DECAY.as_secs_f64()).exp()
            }
            None => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{GRAIN, Latency};

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_slowly() {
        let (mut latency, mut now) = (Latency::default(), Instant::now());
        latency.observe(Duration::from_millis(10), now);
        latency.observe(Duration::from_secs(1), now);
        assert!((latency.expected(now, false) - 1.0).abs() < 1e-9);
        latency.observe(Duration::from_millis(10), now);
        assert!(latency.expected(now, false) > 0.9, "one good answer does not make up for it");
        for _ in 0..100 {
            now += Duration::from_millis(10);
            latency.observe(Duration::from_millis(10), now);
        }
        assert!(latency.expected(now, false) < 0.05, "many do");
    }

    #[test]
    fn who_was_slow_long_ago_and_who_is_unknown_get_a_chance() {
        let (mut latency, now) = (Latency::default(), Instant::now());
        assert!(latency.expected(now, false) < latency.expected(now, true), "one request tries it, the others wait");
        latency.observe(Duration::from_secs(1), now);
        assert!(latency.expected(now + Duration::from_mins(2), false) <= GRAIN);
    }
}
