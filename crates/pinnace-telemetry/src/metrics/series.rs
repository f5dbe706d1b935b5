//! The histograms: one for each method and status, in a fixed place, so that counting needs neither a lock nor a search.
//!
//! A histogram is fifteen buckets and the sum of nanoseconds. One addition to one bucket counts the request; everything
//! else is derived by the reader.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::layout::Block;

/// The methods that have a name; any other is `_OTHER`, as OpenTelemetry's conventions say.
pub(super) const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "_OTHER"];
/// The statuses that HTTP has, 100 to 599.
const STATUSES: usize = 500;
const FIRST_STATUS: usize = 100;
/// Upper bounds in microseconds and as Prometheus prints them: OpenTelemetry's advice for `http.server.request.duration`.
pub(super) const BOUNDS: [(u64, &str); 14] = [
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (75_000, "0.075"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (750_000, "0.75"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (7_500_000, "7.5"),
    (10_000_000, "10"),
];
/// How many histograms there are.
pub(super) const COUNT: usize = STATUSES * METHODS.len();
/// The buckets, with the one above all bounds, and the sum.
pub(super) const WORDS: usize = BOUNDS.len() + 2;
/// Where the sum of nanoseconds is.
pub(super) const SUM: usize = WORDS - 1;

/// Counts one answered request.
pub(super) fn observe(block: Block<'_>, method: &str, status: u16, duration: Duration) {
    let index = index_of(method, status);
    let (map, bit) = (&block.touched()[index / 64], 1 << (index % 64));
    if map.load(Ordering::Relaxed) & bit == 0 {
        map.fetch_or(bit, Ordering::Release);
    }
    let words = block.series(index);
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let bucket = BOUNDS.iter().position(|(micros, _)| nanos <= micros * 1_000).unwrap_or(BOUNDS.len());
    words[SUM].fetch_add(nanos, Ordering::Relaxed);
    words[bucket].fetch_add(1, Ordering::Release);
}

/// Method and status of a histogram.
pub(super) fn name_of(index: usize) -> (&'static str, usize) {
    (METHODS[index % METHODS.len()], FIRST_STATUS + index / METHODS.len())
}

/// The histograms that have counted something, in order.
pub(super) fn touched(block: Block<'_>) -> impl Iterator<Item = usize> {
    block.touched().iter().enumerate().flat_map(|(word, bits)| {
        let mut rest = bits.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(word * 64 + bit)
        })
    })
}

/// How many requests a worker has answered.
pub(super) fn answered(block: Block<'_>) -> u64 {
    touched(block).flat_map(|index| &block.series(index)[..SUM]).map(|bucket| bucket.load(Ordering::Acquire)).sum()
}

fn index_of(method: &str, status: u16) -> usize {
    let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
    let status = usize::from(status).clamp(FIRST_STATUS, FIRST_STATUS + STATUSES - 1);
    (status - FIRST_STATUS) * METHODS.len() + method
}
