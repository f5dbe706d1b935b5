//! Latencies, counted in buckets of less than one percent of their value: a fixed size for any number of requests.

use std::time::Duration;

use serde::Serialize;

/// Buckets between a power of two and the next.
const STEPS: u64 = 128;
/// Nothing that is measured here takes longer than 2^36 microseconds (19 hours); what does is counted as that.
const LONGEST: u64 = (1 << 36) - 1;

/// How often which latency was measured.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
    sum: u64,
}

/// What a report says of a histogram, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; bucket(LONGEST) + 1], total: 0, max: 0, sum: 0 }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST).min(LONGEST);
        if let Some(count) = self.counts.get_mut(bucket(micros)) {
            *count += 1;
        }
        self.total += 1;
        self.sum += micros;
        self.max = self.max.max(micros);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        #[expect(clippy::cast_precision_loss, reason = "sums of microseconds are far below 2^53")]
        let mean = self.sum as f64 / self.total.max(1) as f64;
        Percentiles {
            mean: (mean).round() / 1_000.0,
            p50: self.quantile(500),
            p90: self.quantile(900),
            p99: self.quantile(990),
            p999: self.quantile(999),
            max: millis(self.max),
        }
    }

    /// The latency within which so many of a thousand were answered: never less than the true one, at most 1 % more.
    fn quantile(&self, of_thousand: u64) -> f64 {
        let wanted = (self.total * of_thousand).div_ceil(1_000);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                return millis(upper_edge(index as u64).min(self.max));
            }
        }
        0.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 2^36")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

/// One bucket for each microsecond below 256, then 128 for each power of two.
fn bucket(micros: u64) -> usize {
    let shift = u64::from(micros.max(1).ilog2()).saturating_sub(STEPS.ilog2().into());
    let index = if micros < 2 * STEPS { micros } else { shift * STEPS + (micros >> shift) };
    usize::try_from(index).unwrap_or_default()
}

const fn upper_edge(index: u64) -> u64 {
    if index < 2 * STEPS {
        return index;
    }
    let shift = index / STEPS - 1;
    ((index % STEPS + STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Histogram, LONGEST, bucket, upper_edge};

    #[test]
    fn every_latency_is_in_a_bucket_that_is_at_most_one_percent_wide() {
        let mut last = 0;
        for exponent in 0..36 {
            for micros in [1_u64 << exponent, (1 << exponent) + (1 << exponent) / 3, (2 << exponent) - 1] {
                let index = bucket(micros);
                assert!(index >= last, "{micros} stands before a shorter one");
                last = index;
                let edge = upper_edge(index as u64);
                assert!(edge >= micros && edge - micros <= micros / 100, "{micros} is told as {edge}");
            }
        }
        assert_eq!(upper_edge(bucket(LONGEST) as u64), LONGEST);
    }

    #[test]
    fn percentiles_are_those_of_the_numbers() {
        let mut histogram = Histogram::default();
        for millis in 1..=1_000 {
            histogram.record(Duration::from_millis(millis));
        }
        let told = histogram.percentiles();
        for (value, expected) in
            [(told.p50, 500.0), (told.p90, 900.0), (told.p99, 990.0), (told.p999, 999.0), (told.mean, 500.5)]
        {
            assert!((expected..=expected * 1.01).contains(&value), "{value} is not {expected}");
        }
        assert!((told.max - 1_000.0).abs() < f64::EPSILON);
    }

    #[test]
    fn merged_is_as_if_recorded_in_one() {
        let (mut one, mut two, mut both) = (Histogram::default(), Histogram::default(), Histogram::default());
        for (index, micros) in [3, 70, 900, 12_000, 500_000].into_iter().enumerate() {
            let latency = Duration::from_micros(micros);
            both.record(latency);
            if index % 2 == 0 { one.record(latency) } else { two.record(latency) }
        }
        one.merge(&two);
        assert_eq!(one.percentiles(), both.percentiles());
    }

    #[test]
    fn what_takes_for_ever_is_counted_too() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        assert!(histogram.percentiles().max > 60_000_000.0);
    }
}
