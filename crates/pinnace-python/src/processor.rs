//! How much of a processor this process takes, or would take if it were not taken by others.
//!
//! A worker that shares its processor is never seen to use all of one, however overloaded it is. Linux says how long each thread
//! has run and how long it stood in line for a processor; elsewhere the time that it ran has to do.

use std::time::Duration;

const THREADS: &str = "/proc/self/task";

/// The time that all threads have run, or stood in line for a processor.
pub(crate) fn time() -> Duration {
    scheduled().unwrap_or_else(used)
}

fn scheduled() -> Option<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs_err::read_dir(THREADS).ok()? {
        // A thread that has just ended is not there any more.
        let Ok(text) = fs_err::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
        let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
        let (Some(Ok(ran)), Some(Ok(waited))) = (numbers.next(), numbers.next()) else { return None };
        total += Duration::from_nanos(ran.saturating_add(waited));
    }
    (!total.is_zero()).then_some(total)
}

fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock writes into the struct that it is given.
    if unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) } != 0 {
        return Duration::ZERO;
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
