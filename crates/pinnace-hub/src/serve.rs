//! The border: gives each request an id, checks who asks, hands it to the router, and writes problems.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Collected, Limited};
use pinnace_http::{Body, Connection, Handler, RequestBody, problem_response};
use pinnace_registry::{Caller, Consul, Eureka};
use pinnace_telemetry::{REQUEST_ID_HEADER, new_request_id};
use pinnace_types::{ErrorCode, RequestId};
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;

use crate::api;
use crate::guard::{caller, check_origin, check_token};
use crate::hub::App;
use crate::refusal::Refusal;

/// The bytes of a registration.
const MAX_REGISTRATION: usize = 256 << 10;
/// How long one may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers all requests of the hub.
#[derive(Clone, Debug)]
pub(crate) struct Border {
    app: App,
    router: Router,
    consul: Consul,
    eureka: Eureka,
}

impl Border {
    pub(crate) fn new(app: App) -> Self {
        let (consul, eureka) = (app.registry.consul(), app.registry.eureka());
        Self { router: api::router(app.clone()), consul, eureka, app }
    }

    /// Answers on the paths of Consul and Eureka, with the errors that their clients expect.
    async fn registry(&self, request: Request<RequestBody>) -> Response<Bytes> {
        let is_consul = Consul::is_asked(request.uri().path());
        let known = caller(request.uri(), request.headers(), &self.app.token);
        let open = Consul::is_open(request.uri().path()).then_some(Caller::Anyone);
        let Some(caller) = known.or(open) else {
            return if is_consul { Consul::refuse_unknown() } else { Eureka::refuse_unknown() };
        };
        let (head, body) = request.into_parts();
        let whole = Limited::new(body, MAX_REGISTRATION).collect();
        let Ok(whole) = timeout(PATIENCE, whole).await else {
            return if is_consul { Consul::refuse_late() } else { Eureka::refuse_late() };
        };
        let body = match whole.map(Collected::to_bytes) {
            Ok(body) => body,
            Err(_) if is_consul => return Consul::refuse_large(),
            Err(_) => return Eureka::refuse_large(),
        };
        if is_consul {
            self.consul.answer(&caller, &head, body).await
        } else {
            self.eureka.answer(&caller, &head, body).await
        }
    }

    async fn answer(&self, request: Request<RequestBody>, connection: &Connection) -> Result<Response<Body>, Refusal> {
        check_origin(request.uri(), request.headers())?;
        let path = request.uri().path();
        if Consul::is_asked(path) || Eureka::is_asked(path) {
            return Ok(self.registry(request).await.map(Body::full));
        }
        if !api::is_open(path) {
            check_token(request.headers(), &self.app.token)?;
        }
        if path == "/-/metrics" && !connection.peer.is_local() {
            return Err(Refusal::new(ErrorCode::NotFound, "metrics answer on this machine alone"));
        }
        let Ok(response) = self.router.clone().oneshot(request.map(axum::body::Body::new)).await;
        match response.extensions().get::<Refusal>() {
            Some(refusal) => Err(refusal.clone()),
            // The router's own refusals, such as a path that is no text, are plain; nothing else answers with an error.
            None if response.status().is_client_error() => {
                Err(Refusal::new(ErrorCode::BadRequest, "the path is not understood"))
            }
            None if response.status().is_server_error() => {
                Err(Refusal::new(ErrorCode::Internal, "the hub could not answer; its log says why"))
            }
            None => Ok(response.map(Body::boxed)),
        }
    }
}

impl Handler for Border {
    async fn call(&self, request: Request<RequestBody>, connection: Arc<Connection>) -> Response<Body> {
        let started = Instant::now();
        let id = request_id(&request);
        let in_flight = self.app.metrics_of_worker.begin(&id);
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let mut response = match self.answer(request, &connection).await {
            Ok(response) => response,
            Err(Refusal(problem)) => problem_response(&problem.with_request_id(id.clone())),
        };
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(REQUEST_ID_HEADER, value);
        }
        response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        let status = response.status().as_u16();
        tracing::debug!(%method, path, status, request_id = %id, "request");
        // A stream is counted when it begins: its length says nothing about the hub.
        in_flight.finish(method.as_str(), status, started.elapsed());
        response
    }
}

fn request_id(request: &Request<RequestBody>) -> RequestId {
    let given = request.headers().get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok());
    given.and_then(|id| RequestId::try_new(id).ok()).unwrap_or_else(new_request_id)
}
