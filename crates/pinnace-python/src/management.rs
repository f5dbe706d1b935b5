//! The paths of a service that are ours: health, information, metrics. They are answered without Python, so they answer
//! also while every thread of the application is busy.

use std::sync::atomic::Ordering;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use pinnace_http::Connection;
use pinnace_types::ErrorCode;

use crate::body::ResponseBody;
use crate::handler::{Hosted, problem};

/// The management paths below their prefix.
#[derive(Debug)]
pub(crate) struct Management {
    prefix: String,
    /// The document of `/info`.
    information: String,
}

impl Management {
    pub(crate) fn new(prefix: String, information: &serde_json::Value) -> Self {
        Self { prefix, information: information.to_string() }
    }

    /// The answer, where the path is exactly one of ours.
    pub(crate) fn answer(
        &self,
        request: &Request<Incoming>,
        connection: &Connection,
        hosted: &Hosted,
    ) -> Option<Response<ResponseBody>> {
        let path = request.uri().path().strip_prefix(self.prefix.as_str())?;
        let private = matches!(path, "/info" | "/metrics");
        if !private && !matches!(path, "/health/live" | "/health/ready") {
            return None;
        }
        if private && !connection.peer.is_local() {
            return Some(problem(ErrorCode::NotFound, "there is nothing here", None));
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut refused = problem(ErrorCode::MethodNotAllowed, "management paths are read with GET", None);
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(refused);
        }
        Some(match path {
            "/info" => document(StatusCode::OK, "application/json", self.information.clone()),
            "/metrics" => {
                document(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", hosted.observer.render())
            }
            "/health/ready" if !hosted.ready.load(Ordering::Relaxed) => {
                document(StatusCode::SERVICE_UNAVAILABLE, "application/json", r#"{"status":"stopping"}"#.to_owned())
            }
            _ => document(StatusCode::OK, "application/json", r#"{"status":"ok"}"#.to_owned()),
        })
    }
}

fn document(status: StatusCode, media_type: &'static str, text: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
