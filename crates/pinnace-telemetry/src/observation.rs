//! What is remembered of one request: its place in the shared metrics, its line in the access log.
//!
//! An observation that is dropped before it is finished was answered by nobody: the client went away.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, StatusCode};
use jiff::Timestamp;
use parking_lot::Mutex;
use pinnace_types::worker::LogFormat;
use pinnace_types::{GrpcCode, RequestId};
use tokio::time::Instant;

use crate::{AccessLog, InFlight, WorkerMetrics};

/// The status that stands in the log for a client who went away before the answer (nginx's convention).
const CLIENT_CLOSED: u16 = 499;

/// Where observations go.
#[derive(Debug)]
pub struct Observer {
    service: String,
    access_log: Option<LogFormat>,
    metrics: WorkerMetrics,
    /// The buffer of a line.
    line: Mutex<String>,
}

/// One request that is being answered.
#[derive(Debug)]
pub struct Observation {
    observer: Arc<Observer>,
    in_flight: Option<InFlight>,
    request_id: RequestId,
    method: Method,
    path: String,
    peer: Option<SocketAddr>,
    status: Option<StatusCode>,
    grpc: Option<GrpcCode>,
    bytes: u64,
    began: Instant,
}

impl Observer {
    /// Counts into these metrics, and writes each request to standard error in this form, or not at all.
    pub fn new(service: impl Into<String>, access_log: Option<LogFormat>, metrics: WorkerMetrics) -> Self {
        Self { service: service.into(), access_log, metrics, line: Mutex::default() }
    }

    /// The metrics of the whole service in Prometheus' text format.
    pub fn render(&self) -> String {
        self.metrics.render_prometheus(&self.service)
    }

    /// Says that this worker is alive.
    pub fn beat(&self) {
        self.metrics.beat();
    }

    /// Counts a request that was refused in an overload.
    pub fn shed(&self) {
        self.metrics.shed();
    }

    /// Counts a request that found no place.
    pub fn reject(&self) {
        self.metrics.reject();
    }
}

impl Observation {
    /// Begins one; a peer without an address is on a Unix socket.
    pub fn begin(
        observer: &Arc<Observer>,
        request_id: RequestId,
        method: Method,
        path: &str,
        peer: Option<SocketAddr>,
    ) -> Self {
        Self {
            in_flight: Some(observer.metrics.begin(&request_id)),
            observer: Arc::clone(observer),
            request_id,
            method,
            path: if observer.access_log.is_some() { path.to_owned() } else { String::new() },
            peer,
            status: None,
            grpc: None,
            bytes: 0,
            began: Instant::now(),
        }
    }

    /// The id of the request.
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// Takes down what the answer's head says.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Takes down how a gRPC call ended.
    pub fn set_grpc(&mut self, code: GrpcCode) {
        self.grpc = Some(code);
    }

    /// Adds to the bytes of the answer's body.
    pub fn add_bytes(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The answer's last bytes are about to be written.
    pub fn finish(mut self) {
        let status = self.status.map_or(CLIENT_CLOSED, |status| status.as_u16());
        self.conclude(status);
    }

    fn conclude(&mut self, status: u16) {
        let Some(in_flight) = self.in_flight.take() else { return };
        let duration = self.began.elapsed();
        if status != CLIENT_CLOSED {
            if let Some(grpc) = self.grpc {
                in_flight.count_grpc(grpc);
            }
            in_flight.finish(self.method.as_str(), status, duration);
        }
        let Some(format) = self.observer.access_log else { return };
        let peer = self.peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
        let record = AccessLog {
            method: self.method.as_str(),
            path: &self.path,
            status,
            grpc: self.grpc,
            duration,
            request_id: &self.request_id,
            peer: &peer,
            bytes: self.bytes,
        };
        let mut line = self.observer.line.lock();
        line.clear();
        record.render(format, Timestamp::now(), &self.observer.service, &mut line);
        // A log that nobody reads is no reason to fail a request.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.conclude(CLIENT_CLOSED);
    }
}
