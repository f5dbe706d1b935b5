//! What happens to every request around the author's routes: its id, the management paths, the limit of its body, and
//! what is remembered of it.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::Limited;
use hyper::body::Incoming;
use pinnace_http::management::{Asked, Management, Readiness, metrics_response};
use pinnace_http::{Body, BoxError, Connection, problem_response};
use pinnace_telemetry::{Observation, Observer, answer_request_id, take_request_id, within_request};
use pinnace_types::{ErrorCode, Problem};
use tower::ServiceExt as _;

use crate::observed::observe;
use crate::unread::lend;

/// How long a probe of the author's may take; what does not answer is not ready.
const LONGEST_PROBE: Duration = Duration::from_secs(5);

/// Answers the requests of a service.
#[derive(Clone, Debug)]
pub(crate) struct Border(pub(crate) Arc<Hosted>);

/// The author's routes and what stands around them.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) routes: Router,
    pub(crate) management: Management,
    pub(crate) observer: Arc<Observer>,
    pub(crate) body_limit: usize,
    pub(crate) probe: Option<Probe>,
    pub(crate) is_stopping: AtomicBool,
}

/// Asks the author whether the service is ready.
pub(crate) struct Probe {
    ask: Box<dyn Fn() -> ProbeFuture + Send + Sync>,
    /// So that a change is told, and not every answer.
    was_ready: AtomicBool,
}

type ProbeFuture = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

impl pinnace_http::Handler for Border {
    async fn call(&self, request: Request<Incoming>, connection: Arc<Connection>) -> Response<Body> {
        let hosted = &*self.0;
        match hosted.management.asked(&request, connection.peer) {
            None => hosted.answer(request, &connection).await,
            Some(Asked::Answered(response)) => response,
            Some(Asked::Readiness) => hosted.readiness().await.response(),
            Some(Asked::Metrics) => metrics_response(hosted.observer.render()),
        }
    }
}

impl Hosted {
    async fn answer(&self, mut request: Request<Incoming>, connection: &Connection) -> Response<Body> {
        let id = take_request_id(request.headers_mut());
        request.extensions_mut().insert(id.clone());
        let peer = connection.peer.address();
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        let method = request.method().clone();
        let observation = Observation::begin(&self.observer, id.clone(), method.clone(), request.uri().path(), peer);
        let (head, body) = request.into_parts();
        let (body, rest) = lend(body, head.version, &head.headers);
        let request = Request::from_parts(head, axum::body::Body::new(Limited::new(body, self.body_limit)));
        // A router is no state that a panic could leave in pieces: each request has a copy of it.
        let work = AssertUnwindSafe(self.routes.clone().oneshot(request)).catch_unwind();
        let mut response = match within_request(id.clone(), work).await {
            Ok(Ok(response)) => response.map(Body::boxed),
            Err(panic) => {
                tracing::error!(request_id = %id, panic = words_of(&*panic), "a handler panicked");
                let problem = Problem::new(ErrorCode::Internal, "the service failed; its log has the details");
                problem_response(&problem.with_request_id(id.clone()))
            }
        };
        answer_request_id(&id, response.headers_mut());
        rest.settle(&mut response).await;
        observe(response, &method, observation)
    }

    async fn readiness(&self) -> Readiness {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Readiness::Stopping;
        }
        match &self.probe {
            Some(probe) => probe.readiness().await,
            None => Readiness::Ready,
        }
    }
}

impl Probe {
    pub(crate) fn new<F, R>(ask: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self { ask: Box::new(move || Box::pin(ask())), was_ready: AtomicBool::new(true) }
    }

    async fn readiness(&self) -> Readiness {
        // A probe that panics is one that fails.
        let asked = AssertUnwindSafe((self.ask)()).catch_unwind();
        let reason = match tokio::time::timeout(LONGEST_PROBE, asked).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(error.to_string()),
            Ok(Err(panic)) => Some(words_of(&*panic).to_owned()),
            Err(_) => Some(format!("no answer within {} s", LONGEST_PROBE.as_secs())),
        };
        let was_ready = self.was_ready.swap(reason.is_none(), Ordering::Relaxed);
        match reason {
            None => Readiness::Ready,
            Some(reason) => {
                if was_ready {
                    tracing::warn!(reason, "not ready");
                }
                Readiness::Unready
            }
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Probe").field("was_ready", &self.was_ready).finish_non_exhaustive()
    }
}

/// What a panic says.
fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}
