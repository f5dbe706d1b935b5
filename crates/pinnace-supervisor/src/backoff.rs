//! How long to wait before a process that has ended by itself is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// A client waits this long without giving up.
const SHORT: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);
/// A process that lived this long has earned a fresh start.
const GOOD_LIFE: Duration = Duration::from_secs(30);

/// Doubles from 100 ms to 10 s; a life of 30 s resets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self(FIRST)
    }

    /// The pause after a process that lived so long.
    pub(crate) fn after(&mut self, life: Duration) -> Duration {
        if life >= GOOD_LIFE {
            self.0 = FIRST;
        }
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause
    }

    /// Whether the next pause is one that a waiting client hardly notices.
    pub(crate) fn is_short(&self) -> bool {
        self.0 <= SHORT
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use std::time::Duration;

    #[test]
    fn it_doubles_up_to_ten_seconds_and_a_good_life_resets_it() {
        let mut backoff = Backoff::new();
        let pauses: Vec<u128> = (0..9).map(|_| backoff.after(Duration::from_secs(1)).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(backoff.after(Duration::from_secs(31)), Duration::from_millis(100));
        assert_eq!(backoff.after(Duration::ZERO), Duration::from_millis(200));
    }
}
