//! The report: one JSON document for programs, a few lines for people.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::histogram::{Histogram, Percentiles};
use crate::tally::{Failure, Tally};

/// A measured run and where its report goes.
#[derive(Debug)]
pub(crate) struct Report {
    document: Document,
    clean: bool,
    file: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Document {
    version: &'static str,
    settings: String,
    /// Operations a second that were asked for; absent in a closed loop.
    rate: Option<f64>,
    seconds: f64,
    scheduled: u64,
    overflow: u64,
    /// Operations of the generator that panicked: a defect of its own.
    panicked: u64,
    most_outstanding: usize,
    /// How late the generator began an operation at most, in milliseconds.
    lag_ms: f64,
    operations_per_second: f64,
    requests_per_second: f64,
    all: Row,
    operations: Vec<Row>,
    failures: Vec<Failure>,
    failures_not_kept: u64,
    facts: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct Row {
    operation: &'static str,
    begun: u64,
    failed: u64,
    requests: u64,
    latency_ms: Percentiles,
}

impl Report {
    pub(crate) fn new(settings: String, rate: Option<f64>, tally: Tally, file: Option<PathBuf>) -> Self {
        let clean = tally.is_clean();
        let mut all =
            Row { operation: "all", begun: 0, failed: 0, requests: 0, latency_ms: Histogram::default().percentiles() };
        let mut latency = Histogram::default();
        let mut operations = Vec::new();
        for (operation, counted) in &tally.operations {
            latency.merge(&counted.latency);
            all.begun += counted.begun;
            all.failed += counted.failed;
            all.requests += counted.requests;
            operations.push(Row {
                operation,
                begun: counted.begun,
                failed: counted.failed,
                requests: counted.requests,
                latency_ms: counted.latency.percentiles(),
            });
        }
        all.latency_ms = latency.percentiles();
        let seconds = tally.begun_within.as_secs_f64().max(f64::MIN_POSITIVE);
        let document = Document {
            version: env!("CARGO_PKG_VERSION"),
            settings,
            rate,
            seconds: tally.length.as_secs_f64(),
            scheduled: tally.scheduled,
            overflow: tally.overflow,
            panicked: tally.panicked,
            most_outstanding: tally.most_outstanding,
            lag_ms: tally.lag.as_secs_f64() * 1_000.0,
            operations_per_second: per_second(all.begun, seconds),
            requests_per_second: per_second(all.requests, seconds),
            all,
            operations,
            failures: tally.failures,
            failures_not_kept: tally.failures_not_kept,
            facts: tally.facts,
        };
        Self { document, clean, file }
    }

    /// Writes it; says whether all went well.
    pub(crate) fn publish(&self) -> Result<bool, String> {
        let text = serde_json::to_string_pretty(&self.document).map_err(|error| error.to_string())?;
        match &self.file {
            Some(file) => fs_err::write(file, text).map_err(|error| error.to_string())?,
            None => print(&text),
        }
        tell(&self.document.summary());
        Ok(self.clean)
    }
}

impl Document {
    fn summary(&self) -> String {
        let mut text = format!(
            "{}: {:.0} operations/s, {:.0} requests/s; overflow {}, begun at most {:.1} ms late, at most {} at once\n",
            self.settings,
            self.operations_per_second,
            self.requests_per_second,
            self.overflow,
            self.lag_ms,
            self.most_outstanding
        );
        let _ = writeln!(
            text,
            "{:>10} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9} ms",
            "", "begun", "failed", "p50", "p90", "p99", "p99.9", "max"
        );
        for row in self.operations.iter().chain([&self.all]) {
            let Percentiles { mean: _, p50, p90, p99, p999, max } = row.latency_ms;
            let _ = writeln!(
                text,
                "{:>10} {:>8} {:>7} {p50:>9.2} {p90:>9.2} {p99:>9.2} {p999:>9.2} {max:>9.2}",
                row.operation, row.begun, row.failed
            );
        }
        for failure in self.failures.iter().take(20) {
            let Failure { operation, request_id, method, path, error, failed_at, .. } = failure;
            let _ = writeln!(text, "failed: {failed_at} {operation} {request_id} {method} {path}: {error}");
        }
        text
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

#[expect(clippy::print_stdout, reason = "the report, where no file is named")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a tool for the command line")]
fn tell(text: &str) {
    eprint!("{text}");
}
