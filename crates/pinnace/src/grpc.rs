//! gRPC calls: what distinguishes them from other requests on the same sockets, their deadline, their failures, and the
//! health that every gRPC client can ask for.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

mod health;

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use pinnace_types::GrpcCode;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};

use crate::condition::Condition;
use crate::handler::words_of;
use health::Health;

/// How long the caller is willing to wait, and how the call ended.
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const HEALTH: &str = "grpc.health.v1.Health";

/// The author's gRPC services.
#[derive(Clone, Default)]
pub(crate) struct Services {
    routes: Routes,
    names: Vec<&'static str>,
}

/// The same while they are served, with the health of all of them.
#[derive(Debug)]
pub(crate) struct Calls {
    services: Router,
    /// Nothing where the author has a health service himself.
    health: Option<Router>,
}

// ---- before they are served ----

impl Services {
    pub(crate) fn add<S>(&mut self, service: S)
    where
        S: Service<Request<tonic::body::Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes = std::mem::take(&mut self.routes).add_service(service);
    }

    /// Nothing where there is none: a gRPC call is then a request like any other, for a path that does not exist.
    pub(crate) fn into_calls(self, condition: &Arc<Condition>) -> Option<Calls> {
        if self.names.is_empty() {
            return None;
        }
        let has_own = self.names.contains(&HEALTH);
        let health = (!has_own).then(|| Health::new(self.names, Arc::clone(condition)).into_routes());
        Some(Calls {
            services: self.routes.prepare().into_axum_router(),
            health: health.map(|routes| routes.prepare().into_axum_router()),
        })
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.names).finish()
    }
}

// ---- while they are ----

impl Calls {
    /// The health service, where a request is for it: it is a management path, so it is neither counted nor logged.
    pub(crate) fn health<B>(&self, request: &Request<B>) -> Option<Router> {
        let asks = request.uri().path().strip_prefix('/').and_then(|path| path.strip_prefix(HEALTH));
        if asks.is_some_and(|rest| rest.starts_with('/')) { self.health.clone() } else { None }
    }

    /// Answers a call with the service that it is for, within the time that its caller has.
    pub(crate) async fn answer(&self, request: Request<axum::body::Body>) -> Response<axum::body::Body> {
        let patience = patience(request.headers());
        // A router is no state that a panic could leave in pieces: each call has a copy of it.
        let work = AssertUnwindSafe(self.services.clone().oneshot(request)).catch_unwind();
        let answered = match patience {
            Some(patience) => tokio::time::timeout(patience, work).await,
            None => Ok(work.await),
        };
        let status = match answered {
            Ok(Ok(Ok(response))) => return response,
            Ok(Err(panic)) => failure_of(&*panic),
            Err(_) => Status::deadline_exceeded("the time that the caller gave it is over"),
        };
        status.into_http()
    }
}

/// Whether the headers are those of a gRPC message. gRPC-Web is HTTP to us.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = media_type.and_then(|media_type| media_type.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// How the call ended, if these headers or trailers say so.
pub(crate) fn outcome(headers: &HeaderMap) -> Option<GrpcCode> {
    headers.get(STATUS).map(|value| GrpcCode::from_trailer(value.as_bytes()))
}

/// The caller's patience: at most eight digits and a unit.
pub(crate) fn patience(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// A status of ours as tonic's.
pub(crate) fn status(code: GrpcCode, message: impl Into<String>) -> Status {
    Status::new(Code::from_i32(code.number().into()), message)
}

/// What a caller is told about a panic; its words are for the log.
fn failure_of(panic: &(dyn Any + Send)) -> Status {
    tracing::error!(panic = words_of(panic), "a handler panicked");
    Status::internal("the service failed; its log has the details")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, header};

    use super::{TIMEOUT, is_grpc, patience};

    #[test]
    fn a_call_is_told_by_its_content_type_and_web_is_none() {
        for (media_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, media_type.parse().unwrap())]);
            assert_eq!(is_grpc(&headers), expected, "{media_type}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn a_callers_patience_is_digits_and_a_unit_and_nonsense_is_none() {
        for (text, expected) in [
            ("1H", Some(Duration::from_hours(1))),
            ("2M", Some(Duration::from_mins(2))),
            ("3S", Some(Duration::from_secs(3))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("100000000m", None),
            ("m", None),
            ("", None),
            ("-1S", None),
            ("+1S", None),
            ("1s", None),
            ("1ü", None),
        ] {
            let headers = HeaderMap::from_iter([(TIMEOUT, text.parse().unwrap())]);
            assert_eq!(patience(&headers), expected, "{text}");
        }
    }
}
