//! The paths of a service that are Pinnace's: health, information, metrics. They are answered before the application hears
//! of them, so they answer also while it is busy. Python workers and Rust services share this.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use pinnace_types::{ErrorCode, Problem};

use crate::{Body, Peer, problem_response};

/// The management paths below their prefix: `/health/live`, `/health/ready`, `/info`, `/metrics`.
#[derive(Debug)]
pub struct Management {
    prefix: String,
    /// The document of `/info`.
    information: String,
}

/// What a request to one of the paths leads to.
#[derive(Debug)]
pub enum Asked {
    /// The answer is known.
    Answered(Response<Body>),
    /// Whether the service is ready: [`Readiness::response`].
    Readiness,
    /// The service's metrics: [`metrics_response`].
    Metrics,
}

/// Whether a service wants requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// Something that it needs is missing.
    Unready,
    /// It finishes what was begun.
    Stopping,
}

impl Management {
    /// Paths below a prefix such as `/-`, and what `/info` answers.
    pub fn new(prefix: impl Into<String>, information: &serde_json::Value) -> Self {
        Self { prefix: prefix.into(), information: information.to_string() }
    }

    /// What is asked, where the path is exactly one of ours. Information and metrics are for this machine alone.
    pub fn asked<B>(&self, request: &Request<B>, peer: Peer) -> Option<Asked> {
        let path = request.uri().path().strip_prefix(self.prefix.as_str())?;
        let private = matches!(path, "/info" | "/metrics");
        if !private && !matches!(path, "/health/live" | "/health/ready") {
            return None;
        }
        if private && !peer.is_local() {
            let nothing = Problem::new(ErrorCode::NotFound, "there is nothing here");
            return Some(Asked::Answered(problem_response(&nothing)));
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let refusal = Problem::new(ErrorCode::MethodNotAllowed, "management paths are read with GET");
            let mut refused = problem_response(&refusal);
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(Asked::Answered(refused));
        }
        Some(match path {
            "/info" => Asked::Answered(document(StatusCode::OK, JSON, self.information.clone())),
            "/metrics" => Asked::Metrics,
            "/health/ready" => Asked::Readiness,
            _ => Asked::Answered(Readiness::Ready.response()),
        })
    }
}

const JSON: &str = "application/json";

impl Readiness {
    /// The answer of `/health/ready`.
    pub fn response(self) -> Response<Body> {
        let (status, text) = match self {
            Self::Ready => (StatusCode::OK, r#"{"status":"ok"}"#),
            Self::Unready => (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"unready"}"#),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"stopping"}"#),
        };
        document(status, JSON, text.to_owned())
    }
}

/// The answer of `/metrics`: text in Prometheus' format.
pub fn metrics_response(text: String) -> Response<Body> {
    document(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

fn document(status: StatusCode, media_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
