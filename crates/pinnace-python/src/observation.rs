//! What is remembered of one request: its place in the shared metrics, its line in the access log.
//!
//! An observation that is dropped before it is finished was answered by nobody: the client went away.

use std::io::Write as _;
use std::sync::Arc;

use http::{Method, StatusCode};
use jiff::Timestamp;
use parking_lot::Mutex;
use pinnace_http::Peer;
use pinnace_telemetry::{AccessLog, InFlight, MetricsError, ServiceMetrics, WorkerMetrics};
use pinnace_types::RequestId;
use pinnace_types::worker::{LogFormat, WorkerConfig};
use tokio::time::Instant;

/// The status that stands in the log for a client who went away before the answer (nginx's convention).
const CLIENT_CLOSED: u16 = 499;

/// Where observations go.
#[derive(Debug)]
pub(crate) struct Observer {
    service: String,
    access_log: bool,
    format: LogFormat,
    metrics: WorkerMetrics,
    /// The buffer of a line.
    line: Mutex<String>,
}

/// One request that is being answered.
#[derive(Debug)]
pub(crate) struct Observation {
    observer: Arc<Observer>,
    in_flight: Option<InFlight>,
    request_id: RequestId,
    method: Method,
    path: String,
    peer: Peer,
    status: Option<StatusCode>,
    bytes: u64,
    began: Instant,
}

impl Observer {
    /// Attaches to the metrics that the parent shares; without a descriptor the worker counts for itself.
    pub(crate) fn attach(config: &WorkerConfig) -> Result<Self, MetricsError> {
        let metrics = if config.metrics_fd < 0 {
            ServiceMetrics::create(1, Timestamp::now())?.0.worker(0)?
        } else {
            WorkerMetrics::inherit(config.metrics_fd, config.index)?
        };
        Ok(Self {
            service: config.service.clone(),
            access_log: config.access_log,
            format: config.log_format,
            metrics,
            line: Mutex::default(),
        })
    }

    /// The metrics of the whole service in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        self.metrics.render_prometheus(&self.service)
    }

    /// Counts a request that found no place.
    pub(crate) fn reject(&self) {
        self.metrics.reject();
    }
}

impl Observation {
    pub(crate) fn begin(
        observer: &Arc<Observer>,
        request_id: RequestId,
        method: Method,
        path: &str,
        peer: Peer,
    ) -> Self {
        Self {
            in_flight: Some(observer.metrics.begin(&request_id)),
            observer: Arc::clone(observer),
            request_id,
            method,
            path: if observer.access_log { path.to_owned() } else { String::new() },
            peer,
            status: None,
            bytes: 0,
            began: Instant::now(),
        }
    }

    pub(crate) fn set_status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    pub(crate) fn add_bytes(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The answer's last bytes are about to be written.
    pub(crate) fn finish(mut self) {
        let status = self.status.map_or(CLIENT_CLOSED, |status| status.as_u16());
        self.conclude(status);
    }

    fn conclude(&mut self, status: u16) {
        let Some(in_flight) = self.in_flight.take() else { return };
        let duration = self.began.elapsed();
        if status != CLIENT_CLOSED {
            in_flight.finish(self.method.as_str(), status, duration);
        }
        if !self.observer.access_log {
            return;
        }
        let record = AccessLog {
            method: self.method.as_str(),
            path: &self.path,
            status,
            duration,
            request_id: &self.request_id,
            peer: &self.peer.to_string(),
            bytes: self.bytes,
        };
        let mut line = self.observer.line.lock();
        line.clear();
        record.render(self.observer.format, Timestamp::now(), &self.observer.service, &mut line);
        // A log that nobody reads is no reason to fail a request.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.conclude(CLIENT_CLOSED);
    }
}
