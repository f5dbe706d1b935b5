//! What came of the operations: counts and latencies of each kind, and every failure by name.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::histogram::Histogram;

/// Failures that are kept with all they say; further ones are counted.
const MOST_FAILURES: usize = 10_000;
/// Facts that operations hand over, such as orders.
const MOST_FACTS: usize = 1_000_000;

/// The end of one operation.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) operation: &'static str,
    /// The requests that it made.
    pub(crate) requests: u64,
    /// What it wants to have remembered, or what went wrong.
    pub(crate) result: Result<Option<Value>, Box<Failure>>,
}

/// One request that was not answered as it should have been.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failure {
    /// Which operation it was part of.
    pub(crate) operation: &'static str,
    /// The `X-Request-Id` that was sent.
    pub(crate) request_id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The status, where there was a response.
    pub(crate) status: Option<u16>,
    /// What was wrong, in words.
    pub(crate) error: String,
    /// The problem document, where the response was one.
    pub(crate) problem: Option<Value>,
    /// When it was sent, and when it was known to have failed.
    pub(crate) sent_at: Timestamp,
    pub(crate) failed_at: Timestamp,
    /// What the operation wanted, where somebody may have to look after it.
    pub(crate) wanted: Option<Value>,
    /// Milliseconds from the beginning of the run to the moment at which the operation was due.
    pub(crate) due_ms: u64,
}

/// Everything that was counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) scheduled: u64,
    pub(crate) overflow: u64,
    pub(crate) panicked: u64,
    pub(crate) most_outstanding: usize,
    /// The longest time by which an operation began later than it was due: the generator's own slowness.
    pub(crate) lag: Duration,
    /// From the first beginning to the last.
    pub(crate) begun_within: Duration,
    /// From the first beginning to the last end.
    pub(crate) length: Duration,
    pub(crate) operations: BTreeMap<&'static str, Counted>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) failures_not_kept: u64,
    pub(crate) facts: Vec<Value>,
}

/// One kind of operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) begun: u64,
    pub(crate) failed: u64,
    pub(crate) requests: u64,
    pub(crate) latency: Histogram,
}

impl Tally {
    /// Counts one operation; failed ones have a latency too.
    pub(crate) fn record(&mut self, outcome: Outcome, latency: Duration, due: Duration) {
        let counted = self.operations.entry(outcome.operation).or_default();
        counted.begun += 1;
        counted.requests += outcome.requests;
        counted.latency.record(latency);
        match outcome.result {
            Ok(fact) => self.facts.extend(fact.filter(|_| self.facts.len() < MOST_FACTS)),
            Err(mut failure) => {
                counted.failed += 1;
                failure.operation = outcome.operation;
                failure.due_ms = u64::try_from(due.as_millis()).unwrap_or(u64::MAX);
                self.keep(*failure);
            }
        }
    }

    pub(crate) fn keep(&mut self, failure: Failure) {
        if self.failures.len() < MOST_FAILURES {
            self.failures.push(failure);
        } else {
            self.failures_not_kept += 1;
        }
    }

    /// Whether everything that was due was begun and answered as it should be.
    pub(crate) fn is_clean(&self) -> bool {
        self.overflow == 0 && self.panicked == 0 && self.operations.values().all(|counted| counted.failed == 0)
    }
}
