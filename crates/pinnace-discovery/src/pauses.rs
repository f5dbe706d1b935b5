//! How long to wait before a registry is asked again.
//!
//! All instances of a system lose their registry in the same moment. What they do after it is spread by chance, so that
//! they do not all come back in the same moment too.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles from 100 ms to 5 s; each pause is cut by chance, by up to its half.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) const fn new() -> Self {
        Self(FIRST)
    }

    /// The next pause.
    pub(crate) fn after_failure(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause.mul_f64(1.0 - chance() / 2.0)
    }

    /// Begins again with the shortest.
    pub(crate) const fn reset(&mut self) {
        self.0 = FIRST;
    }
}

/// A regular pause, a little shorter or longer by chance.
pub(crate) fn about(pause: Duration) -> Duration {
    pause.mul_f64(0.9 + chance() / 5.0)
}

/// Between 0 and 1. Where the system has no random numbers, everyone waits for the same time.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Pauses, about};
    use std::time::Duration;

    #[test]
    fn pauses_double_up_to_five_seconds_and_are_spread_by_chance() {
        let mut pauses = Pauses::new();
        for longest in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let pause = pauses.after_failure().as_millis();
            assert!((longest / 2..=longest).contains(&pause), "{pause} of {longest}");
        }
        pauses.reset();
        assert!(pauses.after_failure() <= Duration::from_millis(100));
        let spread: std::collections::BTreeSet<_> = (0..50).map(|_| about(Duration::from_secs(5))).collect();
        assert!(spread.len() > 10, "{spread:?}");
        let (first, last) = (spread.first().unwrap(), spread.last().unwrap());
        assert!(*first >= Duration::from_millis(4_500) && *last <= Duration::from_millis(5_500), "{spread:?}");
    }
}
