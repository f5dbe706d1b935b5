//! What happens to every request before Python hears of it: its id, the management paths, and what is remembered of
//! it afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use pinnace_http::management::{Asked, Management, Readiness, metrics_response};
use pinnace_http::shed::{Refused, Shedder, Ticket};
use pinnace_http::{Body, Connection, RequestBody};
use pinnace_telemetry::{Observation, Observer, answer_request_id, take_request_id};
use pinnace_types::{ErrorCode, Problem, RequestId, TrustedProxies};
use tokio::time::Instant;

use crate::asgi::Asgi;
use crate::body::ResponseBody;
use crate::forwarded::Origin;
use crate::processor;
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
    pub(crate) shedder: Arc<Shedder>,
    pub(crate) ready: AtomicBool,
    /// What every answer of the application gets besides its own fields.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// The place in flight of a request, among its extensions where another thread gives it its turn.
#[derive(Clone, Debug)]
pub(crate) struct Place(pub(crate) Arc<Ticket>);

/// What a client that was refused is told, in seconds.
const RETRY_AFTER: &str = "1";

/// The application by its protocol.
#[derive(Debug)]
pub(crate) enum Application {
    Asgi(Arc<Asgi>),
    Wsgi(Arc<Wsgi>),
}

impl Application {
    /// Waits until no request of it is being worked on, whether its client still waits or has gone.
    pub(crate) async fn idle(&self) {
        match self {
            Self::Asgi(asgi) => asgi.idle().await,
            Self::Wsgi(wsgi) => wsgi.idle().await,
        }
    }
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
        let mut response = match self.shedder.admit(Instant::now(), processor::time) {
            Ok(ticket) => self.called(ticket, request, &connection, origin).await,
            Err(refused) => self.refuse(refused, &id),
        };
        for (name, value) in &self.headers {
            response.headers_mut().append(name.clone(), value.clone());
        }
        answer_request_id(&id, response.headers_mut());
        observation.set_status(response.status());
        let declared = declared_length(response.headers());
        response.body_mut().observe(observation, declared);
        response
    }

    async fn called(
        &self,
        ticket: Ticket,
        mut request: Request<RequestBody>,
        connection: &Arc<Connection>,
        origin: Origin,
    ) -> Response<ResponseBody> {
        match &self.application {
            Application::Asgi(asgi) => {
                // Whatever else the sockets have is read first, then Python runs for all of it, then all is written.
                tokio::task::yield_now().await;
                asgi.turnstile.pass(&asgi.nudge).await;
                ticket.start(Instant::now());
                let response = asgi.call(request, connection, origin).await;
                ticket.answer(Instant::now());
                response
            }
            Application::Wsgi(wsgi) => {
                let place = Place(Arc::new(ticket));
                request.extensions_mut().insert(place.clone());
                let response = wsgi.call(request, connection, origin).await;
                place.0.answer(Instant::now());
                response
            }
        }
    }

    fn refuse(&self, refused: Refused, id: &RequestId) -> Response<ResponseBody> {
        match refused {
            Refused::Overloaded => self.observer.shed(),
            Refused::Full { .. } => self.observer.reject(),
        }
        unavailable(&refused.to_string(), Some(id))
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A refusal that a client may come back from.
pub(crate) fn unavailable(detail: &str, id: Option<&RequestId>) -> Response<ResponseBody> {
    let mut refused = problem(ErrorCode::Unavailable, detail, id);
    refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    refused
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
