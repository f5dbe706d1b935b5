//! Why another service gave no answer that can be used. As a response it is a problem document, as the end of a gRPC call a
//! status.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use pinnace_http::problem_response;
use pinnace_telemetry::current_request_id;
use pinnace_types::{ErrorCode, InvalidName, Problem};
use tonic::Status;

use crate::grpc;

/// A call that failed.
///
/// A handler may return it: the caller gets a problem document with 502, 503 or 504 that names the service, and the log
/// gets the reason. A gRPC handler may return it too: as a status it is `UNAVAILABLE`, `DEADLINE_EXCEEDED` or `INTERNAL`.
#[derive(Debug, thiserror::Error)]
#[error("{peer}: {kind}")]
pub struct PeerError {
    /// The name of the service that was called.
    pub peer: String,
    /// What happened.
    pub kind: PeerErrorKind,
}

/// The kinds of [`PeerError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerErrorKind {
    /// The name cannot be a service's.
    #[error(transparent)]
    Name(InvalidName),
    /// Its address is not in the environment.
    #[error("{variable} is not set; `calls = [\"{}\"]` in pinnace.toml sets it", called(variable))]
    Unset {
        /// The variable.
        variable: String,
    },
    /// Its address cannot be used.
    #[error("its address cannot be used: {reason}")]
    Address {
        /// Why.
        reason: &'static str,
    },
    /// The request cannot be sent as it is.
    #[error("the request cannot be sent: {reason}")]
    Request {
        /// Why.
        reason: String,
    },
    /// No connection: the request was not sent.
    #[error("no connection")]
    Unreachable,
    /// The connection broke; the request may have been read.
    #[error("the connection broke before all of the answer was there")]
    Broken,
    /// No answer in time; the request may have been read.
    #[error("no answer within {} ms", after.as_millis())]
    TimedOut {
        /// The time that it had.
        after: Duration,
    },
    /// The answer is larger than its limit.
    #[error("its answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The status is not 2xx.
    #[error("it answered {}: {detail}", status.as_u16())]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it says about it.
        detail: String,
    },
    /// The answer is not the document that was expected.
    #[error("its answer is not what was expected: {0}")]
    Unreadable(serde_json::Error),
}

impl PeerError {
    pub(super) fn new(peer: &str, kind: PeerErrorKind) -> Self {
        Self { peer: peer.to_owned(), kind }
    }

    /// How it looks to whoever called this service.
    pub fn code(&self) -> ErrorCode {
        match self.kind {
            PeerErrorKind::Unreachable => ErrorCode::Unavailable,
            PeerErrorKind::TimedOut { .. } => ErrorCode::UpstreamTimeout,
            PeerErrorKind::Broken
            | PeerErrorKind::TooLarge { .. }
            | PeerErrorKind::Refused { .. }
            | PeerErrorKind::Unreadable(_) => ErrorCode::BadUpstream,
            PeerErrorKind::Name(_)
            | PeerErrorKind::Unset { .. }
            | PeerErrorKind::Address { .. }
            | PeerErrorKind::Request { .. } => ErrorCode::Internal,
        }
    }

    fn tell(&self) {
        tracing::warn!(peer = self.peer, error = %self.kind, "a call failed");
    }

    /// What the caller may know: which service, not why.
    fn detail(&self) -> String {
        let peer = &self.peer;
        match self.code() {
            ErrorCode::Unavailable => format!("`{peer}` cannot be reached"),
            ErrorCode::UpstreamTimeout => format!("`{peer}` did not answer in time"),
            ErrorCode::BadUpstream => format!("`{peer}` gave no answer that can be used"),
            _ => format!("`{peer}` could not be called"),
        }
    }
}

impl IntoResponse for PeerError {
    fn into_response(self) -> Response {
        self.tell();
        let mut problem = Problem::new(self.code(), self.detail()).with_service(&self.peer);
        if let Some(id) = current_request_id() {
            problem = problem.with_request_id(id);
        }
        problem_response(&problem).map(axum::body::Body::new)
    }
}

impl From<PeerError> for Status {
    fn from(error: PeerError) -> Self {
        error.tell();
        grpc::status(error.code().grpc_code(), error.detail())
    }
}

/// The service whose address a variable holds.
fn called(variable: &str) -> String {
    variable.trim_end_matches("_URL").to_ascii_lowercase().replace('_', "-")
}
