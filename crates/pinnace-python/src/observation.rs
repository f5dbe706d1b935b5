//! What is remembered of one request: its id, its place in the shared metrics, its line in the access log.
//!
//! An observation that is dropped before it is finished was answered by nobody: the client went away.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, StatusCode};
use pinnace_types::RequestId;
use pinnace_types::worker::{LogFormat, WorkerConfig};
use tokio::time::Instant;

/// Where observations go.
#[derive(Debug)]
pub(crate) struct Observer {
    access_log: bool,
    format: LogFormat,
}

/// One request that is being answered.
#[derive(Debug)]
pub(crate) struct Observation {
    observer: Arc<Observer>,
    request_id: RequestId,
    method: Method,
    path: String,
    peer: Option<SocketAddr>,
    status: StatusCode,
    bytes: u64,
    began: Instant,
    finished: bool,
}

/// The status that stands for a client who went away before the answer (nginx's convention).
const CLIENT_CLOSED: u16 = 499;

/// An id for a request that came without one.
pub(crate) fn new_request_id() -> RequestId {
    let mut bits = [0; 16];
    // The system's randomness does not fail once it has been seeded, which was long before.
    let _ = getrandom::fill(&mut bits);
    RequestId::from_random(u128::from_ne_bytes(bits))
}

impl Observer {
    pub(crate) fn attach(config: &WorkerConfig) -> std::io::Result<Self> {
        Ok(Self { access_log: config.access_log, format: config.log_format })
    }

    /// The metrics of the whole service in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        String::new()
    }
}

impl Observation {
    pub(crate) fn begin(
        observer: Arc<Observer>,
        request_id: RequestId,
        method: Method,
        path: String,
        peer: Option<SocketAddr>,
    ) -> Self {
        let status = StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::BAD_REQUEST);
        let began = Instant::now();
        Self { observer, request_id, method, path, peer, status, bytes: 0, began, finished: false }
    }

    pub(crate) fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }

    pub(crate) fn add_bytes(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The answer's last bytes are about to be written.
    pub(crate) fn finish(mut self) {
        self.conclude();
    }

    fn conclude(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if !self.observer.access_log {
            return;
        }
        let micros = self.began.elapsed().as_micros();
        let line = match self.observer.format {
            LogFormat::Json => format!(
                "{}\n",
                serde_json::json!({
                    "level": "info", "message": "request", "method": self.method.as_str(), "path": self.path,
                    "status": self.status.as_u16(), "duration_us": micros, "bytes": self.bytes,
                    "request_id": self.request_id.as_str(), "peer": self.peer,
                })
            ),
            LogFormat::Text => format!(
                "{} {} {} {micros}us {}B {}\n",
                self.method,
                self.path,
                self.status.as_u16(),
                self.bytes,
                self.request_id
            ),
        };
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.conclude();
    }
}
