//! Whether a worker still answers: its event loop gives a sign of life in the shared metrics whenever it has its turn.
//!
//! Silence is counted by looks and not by a clock: a machine that slept, or a parent that had no turn itself, holds nothing
//! against anyone.

use std::time::Duration;

use fs_err as fs;

/// Looks, and signs of life, within the time that a worker may be silent.
const LOOKS: u32 = 8;
/// What a look may cost at rest bounds how often there is one.
const LONGEST: Duration = Duration::from_secs(5);

/// What was seen of a worker at the last look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pulse {
    beats: u64,
    silent_looks: u32,
}

/// Between two looks, and between two signs of life.
pub(super) fn period(patience: Duration) -> Duration {
    (patience / LOOKS).clamp(Duration::from_millis(1), LONGEST)
}

impl Pulse {
    /// Looks again; says whether the worker has been silent for longer than it may.
    pub(super) fn is_lost(&mut self, beats: u64, patience: Duration) -> bool {
        if beats != self.beats {
            *self = Self { beats, silent_looks: 0 };
            return false;
        }
        self.silent_looks = self.silent_looks.saturating_add(1);
        period(patience) * self.silent_looks > patience
    }

    /// Begins to count anew.
    pub(super) fn forgive(&mut self) {
        self.silent_looks = 0;
    }
}

/// Whether a debugger holds a process: then it is silent for a good reason.
pub(super) fn is_traced(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pulse, is_traced, period};

    #[test]
    fn silence_is_held_against_a_worker_only_when_it_lasts() {
        let patience = Duration::from_secs(8);
        let mut pulse = Pulse::default();
        assert!(!pulse.is_lost(1, patience));
        for _ in 0..8 {
            assert!(!pulse.is_lost(1, patience));
        }
        assert!(!pulse.clone().is_lost(2, patience), "it speaks at the last moment");
        assert!(pulse.is_lost(1, patience));
        pulse.forgive();
        assert!(!pulse.is_lost(1, patience));
    }

    #[test]
    fn a_worker_speaks_often_enough_and_not_more() {
        assert_eq!(period(Duration::from_mins(1)), Duration::from_secs(5));
        assert_eq!(period(Duration::from_secs(2)), Duration::from_millis(250));
        assert_eq!(period(Duration::from_millis(1)), Duration::from_millis(1));
    }

    #[test]
    fn nobody_traces_this_test() {
        assert!(!is_traced(std::process::id()));
        assert!(!is_traced(u32::MAX), "who is gone is not traced");
    }
}
