//! Problem documents (RFC 9457) as responses.

use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use pinnace_types::Problem;

use crate::Body;

/// The response for a problem: its status, `application/problem+json`, never cached.
pub fn problem_response(problem: &Problem) -> Response<Body> {
    // A problem is a flat structure of texts and numbers; the empty body stands for a failure that cannot happen.
    let mut response = Response::new(Body::full(serde_json::to_vec(problem).unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
