//! What happens to every request before Python hears of it: its id, the management paths, and what is remembered of
//! it afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use pinnace_http::management::{Asked, Management, Readiness, metrics_response};
use pinnace_http::{Body, Connection, RequestBody};
use pinnace_telemetry::{Observation, Observer, answer_request_id, take_request_id};
use pinnace_types::{ErrorCode, Problem, RequestId, TrustedProxies};

use crate::asgi::Asgi;
use crate::body::ResponseBody;
use crate::forwarded::Origin;
use crate::wsgi::Wsgi;

/// Answers the requests of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Handler(pub(crate) Arc<Hosted>);

/// An application and what stands around it.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) application: Application,
    pub(crate) management: Management,
    pub(crate) forwarded_allow: TrustedProxies,
    pub(crate) observer: Arc<Observer>,
    pub(crate) ready: AtomicBool,
}

/// The application by its protocol.
#[derive(Debug)]
pub(crate) enum Application {
    Asgi(Arc<Asgi>),
    Wsgi(Arc<Wsgi>),
}

/// The id of a request, among its extensions.
#[derive(Clone, Debug)]
pub(crate) struct RequestIdentity(pub(crate) RequestId);

impl pinnace_http::Handler for Handler {
    fn call(
        &self,
        request: Request<RequestBody>,
        connection: Arc<Connection>,
    ) -> impl Future<Output = Response<Body>> + Send {
        let hosted = Arc::clone(&self.0);
        async move {
            match hosted.management.asked(&request, connection.peer) {
                None => hosted.answer(request, connection).await.map(Body::from),
                Some(Asked::Answered(response)) => response,
                Some(Asked::Readiness) => hosted.readiness().response(),
                Some(Asked::Metrics) => metrics_response(hosted.observer.render()),
            }
        }
    }
}

impl Hosted {
    fn readiness(&self) -> Readiness {
        if self.ready.load(Ordering::Relaxed) { Readiness::Ready } else { Readiness::Stopping }
    }

    async fn answer(&self, mut request: Request<RequestBody>, connection: Arc<Connection>) -> Response<ResponseBody> {
        let id = take_request_id(request.headers_mut());
        request.extensions_mut().insert(RequestIdentity(id.clone()));
        let origin = Origin::of(&connection, request.headers(), &self.forwarded_allow);
        let method = request.method().clone();
        let mut observation =
            Observation::begin(&self.observer, id.clone(), method, request.uri().path(), origin.client);
        let mut response = match &self.application {
            Application::Asgi(asgi) => asgi.call(request, &connection, origin).await,
            Application::Wsgi(wsgi) => wsgi.call(request, &connection, origin).await,
        };
        answer_request_id(&id, response.headers_mut());
        observation.set_status(response.status());
        let declared = declared_length(response.headers());
        response.body_mut().observe(observation, declared);
        response
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// An answer of ours, as `application/problem+json`.
pub(crate) fn problem(code: ErrorCode, detail: &str, id: Option<&RequestId>) -> Response<ResponseBody> {
    let mut problem = Problem::new(code, detail);
    if let Some(id) = id {
        problem = problem.with_request_id(id.clone());
    }
    let document = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(ResponseBody::full(document));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
    response
}
