//! What happens to every request around the author's routes and gRPC services: its id, the management paths, the limit of
//! its body, and what is remembered of it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::ConnectInfo;
use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use http_body_util::Limited;
use pinnace_http::management::{Asked, Management, metrics_response};
use pinnace_http::{Body, Connection, RequestBody, Upgrades, problem_response};
use pinnace_telemetry::{Observation, Observer, answer_request_id, take_request_id, within_request};
use pinnace_types::{ErrorCode, Problem, RequestId};
use tower::ServiceExt as _;

use crate::Stopping;
use crate::condition::Condition;
use crate::grpc::{Calls, is_grpc};
use crate::observed::observe;

/// Answers the requests of a service.
#[derive(Clone, Debug)]
pub(crate) struct Border(pub(crate) Arc<Hosted>);

/// The author's routes and what stands around them.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) routes: Router,
    pub(crate) calls: Option<Calls>,
    pub(crate) management: Management,
    pub(crate) observer: Arc<Observer>,
    pub(crate) body_limit: usize,
    pub(crate) condition: Arc<Condition>,
}

impl pinnace_http::Handler for Border {
    async fn call(&self, request: Request<RequestBody>, connection: Arc<Connection>) -> Response<Body> {
        let hosted = &*self.0;
        match hosted.management.asked(&request, connection.peer) {
            None => match hosted.calls_for(request.headers()).and_then(|calls| calls.health(&request)) {
                Some(health) => {
                    let Ok(response) = health.oneshot(request.map(axum::body::Body::new)).await;
                    response.map(Body::boxed)
                }
                None => hosted.answer(request, &connection).await,
            },
            Some(Asked::Answered(response)) => response,
            Some(Asked::Readiness) => hosted.condition.readiness().await.response(),
            Some(Asked::Metrics) => metrics_response(hosted.observer.render()),
        }
    }

    fn upgrades(&self) -> Upgrades {
        // axum knows no other.
        Upgrades::Hyper
    }
}

impl Hosted {
    async fn answer(&self, mut request: Request<RequestBody>, connection: &Connection) -> Response<Body> {
        let id = take_request_id(request.headers_mut());
        let peer = connection.peer.address();
        let extensions = request.extensions_mut();
        extensions.insert(id.clone());
        extensions.insert(Stopping(self.condition.drain.clone()));
        if let Some(peer) = peer {
            extensions.insert(ConnectInfo(peer));
        }
        let method = request.method().clone();
        let observation = Observation::begin(&self.observer, id.clone(), method.clone(), request.uri().path(), peer);
        let mut response = match self.calls_for(request.headers()) {
            // Each message of a call has a limit of its own; a stream of them has none.
            Some(calls) => {
                let request = request.map(axum::body::Body::new);
                within_request(id.clone(), calls.answer(request)).await.map(Body::boxed)
            }
            None => within_request(id.clone(), self.route(request, &id)).await,
        };
        answer_request_id(&id, response.headers_mut());
        observe(response, &method, observation)
    }

    /// The author's routes answer, within the limit of a body.
    async fn route(&self, request: Request<RequestBody>, id: &RequestId) -> Response<Body> {
        if let Some(announced) = request.body().size_hint().exact().filter(|bytes| *bytes > self.body_limit as u64) {
            let detail = format!("the body has {announced} bytes, the limit is {}", self.body_limit);
            return problem_response(&Problem::new(ErrorCode::TooLarge, detail).with_request_id(id.clone()));
        }
        let request = request.map(|body| axum::body::Body::new(Limited::new(body, self.body_limit)));
        // A router is no state that a panic could leave in pieces: each request has a copy of it.
        let work = AssertUnwindSafe(self.routes.clone().oneshot(request)).catch_unwind();
        match work.await {
            Ok(Ok(response)) => response.map(Body::boxed),
            Err(panic) => {
                tracing::error!(panic = words_of(&*panic), "a handler panicked");
                let problem = Problem::new(ErrorCode::Internal, "the service failed; its log has the details");
                problem_response(&problem.with_request_id(id.clone()))
            }
        }
    }

    fn calls_for(&self, headers: &HeaderMap) -> Option<&Calls> {
        self.calls.as_ref().filter(|_| is_grpc(headers))
    }
}

/// What a panic says.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}
