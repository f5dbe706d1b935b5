//! The Prometheus text format 0.0.4 of a service's metrics, written into one string.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use pinnace_types::GrpcCode;

use super::layout::{Header, Worker};
use super::series::{self, BOUNDS, SUM, WORDS};
use super::{SLOTS, Table};

const DURATION: &str = "http_server_request_duration_seconds";

pub(super) fn render(table: &Table, service: &str) -> String {
    let mut histograms: BTreeMap<usize, [u64; WORDS]> = BTreeMap::new();
    for block in table.blocks() {
        for index in series::touched(block) {
            let sums = histograms.entry(index).or_insert([0; WORDS]);
            for (sum, word) in sums.iter_mut().zip(block.series(index)) {
                *sum = sum.wrapping_add(word.load(Ordering::Acquire));
            }
        }
    }
    let service = escape(service);
    let mut text = String::with_capacity(4_096 + histograms.len() * 2_560);
    render_histograms(&mut text, &service, &histograms);
    render_grpc(&mut text, table, &service);
    for (name, kind, help, value) in simple_metrics(table) {
        let _ =
            write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{service_name=\"{service}\"}} {value}\n");
    }
    let started = table.header(Header::StartedAtMillis).load(Ordering::Relaxed);
    let name = "process_start_time_seconds";
    let _ = write!(
        text,
        "# HELP {name} When the service's parent process started, in seconds since the epoch.\n# TYPE {name} gauge\n\
         {name}{{service_name=\"{service}\"}} {}.{:03}\n",
        started / 1_000,
        started % 1_000
    );
    text
}

fn render_histograms(text: &mut String, service: &str, histograms: &BTreeMap<usize, [u64; WORDS]>) {
    let _ = write!(
        text,
        "# HELP {DURATION} Time from a request's head to the end of its response.\n# TYPE {DURATION} histogram\n"
    );
    for (index, words) in histograms {
        let (method, status) = series::name_of(*index);
        let labels = format!(
            "service_name=\"{service}\",http_request_method=\"{method}\",http_response_status_code=\"{status}\""
        );
        let mut count = 0;
        let bounds = BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
        for (bound, bucket) in bounds.zip(&words[..SUM]) {
            count += bucket;
            let _ = writeln!(text, "{DURATION}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let (seconds, nanos) = (words[SUM] / 1_000_000_000, words[SUM] % 1_000_000_000);
        let _ = writeln!(text, "{DURATION}_sum{{{labels}}} {seconds}.{nanos:09}");
        let _ = writeln!(text, "{DURATION}_count{{{labels}}} {count}");
    }
}

/// Says nothing about a service that answers no gRPC calls.
fn render_grpc(text: &mut String, table: &Table, service: &str) {
    let count = |code: GrpcCode| {
        let counters = table.blocks().map(|block| &block.grpc()[usize::from(code.number())]);
        counters.map(|counter| counter.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    };
    let counted: Vec<_> = GrpcCode::ALL.map(|code| (code, count(code))).into_iter().filter(|(_, n)| *n > 0).collect();
    if counted.is_empty() {
        return;
    }
    let name = "grpc_server_handled_total";
    let _ = write!(text, "# HELP {name} gRPC calls that were answered, by their status.\n# TYPE {name} counter\n");
    for (code, count) in counted {
        let _ = writeln!(text, "{name}{{service_name=\"{service}\",grpc_code=\"{code}\"}} {count}");
    }
}

fn simple_metrics(table: &Table) -> [(&'static str, &'static str, &'static str, u64); 12] {
    let header = |word| table.header(word).load(Ordering::Relaxed);
    let sum = |word| table.sum(word);
    [
        ("http_server_active_requests", "gauge", "Requests that are being answered.", sum(Worker::Active)),
        ("pinnace_connections", "gauge", "Open connections.", sum(Worker::Connections)),
        (
            "pinnace_connections_accepted_total",
            "counter",
            "Connections that were accepted.",
            sum(Worker::ConnectionsAccepted),
        ),
        (
            "pinnace_requests_rejected_total",
            "counter",
            "Requests answered with 503 because the service was full.",
            sum(Worker::Rejected),
        ),
        (
            "pinnace_requests_shed_total",
            "counter",
            "Requests answered with 503 because a worker was overloaded.",
            sum(Worker::Shed),
        ),
        (
            "pinnace_requests_abandoned_total",
            "counter",
            "Requests whose client went away before the answer.",
            sum(Worker::Abandoned),
        ),
        ("pinnace_requests_lost_total", "counter", "Requests that died with their worker.", header(Header::Lost)),
        (
            "pinnace_requests_unnamed_total",
            "counter",
            "Requests beyond the slots for ids of requests in flight; a crash cannot name them.",
            sum(Worker::SlotOverflow),
        ),
        ("pinnace_request_slots", "gauge", "Slots for ids of requests in flight, for each worker.", u64::from(SLOTS)),
        ("pinnace_workers", "gauge", "Workers that answer.", header(Header::ReadyWorkers)),
        ("pinnace_worker_slots", "gauge", "Workers that the metrics have room for.", u64::from(table.workers)),
        (
            "pinnace_worker_restarts_total",
            "counter",
            "Workers that were started again after a crash.",
            header(Header::Restarts),
        ),
    ]
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
