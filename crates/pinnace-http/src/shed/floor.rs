//! How long requests take while nothing holds them up: the least of what was measured in the last seconds.

use std::time::Duration;

use tokio::time::Instant;

use super::window::Summary;

/// The seconds that are remembered.
const SECONDS: usize = 10;

/// The least mean time of a window, for each of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Floor {
    slots: [Option<Duration>; SECONDS],
    at: usize,
    since: Option<Instant>,
}

impl Floor {
    /// Takes in what a window has shown.
    pub(super) fn learn(&mut self, now: Instant, seen: &Summary) {
        if seen.finished == 0 {
            return;
        }
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= Duration::from_secs(1) {
            self.since = Some(now);
            self.at = (self.at + 1) % SECONDS;
            self.slots[self.at] = None;
        }
        let slot = &mut self.slots[self.at];
        *slot = Some(slot.map_or(seen.service, |known| known.min(seen.service)));
    }

    /// The floor, where anything is known.
    pub(super) fn value(&self) -> Option<Duration> {
        self.slots.iter().flatten().min().copied()
    }
}
