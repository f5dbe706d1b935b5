//! One request to one service: sent, sent again where that is safe, and every way in which it can fail told as a problem.

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, request};
use hyper::body::Incoming;
use pinnace_http::client::{Client, ClientErrorKind};
use pinnace_http::upgrade::OnUpgrade;
use pinnace_http::{Body, Connection, RequestBody};
use pinnace_types::{ErrorCode, Problem};
use tokio::time::Instant;

use crate::download::Download;
use crate::table::Route;
use crate::upload::Watch;
use crate::{headers, upgrade};

/// How often a request is sent again.
const RETRIES: u32 = 2;
/// The pause before another connection is tried, doubled each time: what listens there may be coming back.
const PAUSE: Duration = Duration::from_millis(50);
/// What a client is told to wait when a service is away.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request is answered by the gateway itself.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    pub(crate) retry_after: Option<HeaderValue>,
}

/// A request that is ready for its service.
pub(crate) struct Forward<'a> {
    pub(crate) client: &'a Client,
    pub(crate) route: &'a Route,
    pub(crate) head: request::Parts,
    pub(crate) body: RequestBody,
    pub(crate) max_body: Option<u64>,
    /// The client's half, if it asks for a WebSocket.
    pub(crate) client_upgrade: Option<OnUpgrade>,
    pub(crate) connection: Arc<Connection>,
}

impl Refusal {
    pub(crate) fn new(problem: Problem) -> Box<Self> {
        Box::new(Self { problem, retry_after: None })
    }
}

impl Forward<'_> {
    pub(crate) async fn run(self) -> Result<Response<Body>, Box<Refusal>> {
        let route = self.route;
        if !route.available {
            return Err(away(route, "does not run at the moment"));
        }
        let watch = Watch::new(self.body);
        if let Some(limit) = self.max_body
            && watch.announced().is_some_and(|length| length > limit)
        {
            return Err(too_large(route, limit));
        }
        let Some(uri) = target(route, &self.head.uri) else {
            return Err(Refusal::new(Problem::new(ErrorCode::BadRequest, "the request's target is malformed")));
        };
        let sending = send(self.client, route, &self.head, &uri, &watch, self.max_body);
        let response = tokio::select! {
            result = sending => result?,
            () = silence(&watch, route.timeout) => return Err(late(route, &watch)),
        };
        answer(route, response, self.client_upgrade, self.connection)
    }
}

/// The response of the first attempt that has one.
async fn send(
    client: &Client,
    route: &Route,
    head: &request::Parts,
    uri: &Uri,
    watch: &Watch,
    max_body: Option<u64>,
) -> Result<Response<Incoming>, Box<Refusal>> {
    let repeatable = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS) && watch.is_empty();
    let mut attempt = 0;
    loop {
        let Some(upload) = watch.upload(max_body) else { return Err(broken(route)) };
        let mut request = Request::new(Body::boxed(upload));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = head.headers.clone();
        let error = match client.send(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if watch.is_too_large() {
            return Err(too_large(route, max_body.unwrap_or(u64::MAX)));
        }
        tracing::debug!(service = %route.service, error = %error, attempt, "no response from the service");
        let again = attempt < RETRIES && (error.kind == ClientErrorKind::Connect || repeatable);
        match (error.kind, again) {
            (ClientErrorKind::Connect, true) => tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await,
            (ClientErrorKind::Broken, true) => {}
            (ClientErrorKind::Connect, false) => return Err(away(route, "does not accept connections")),
            (ClientErrorKind::Broken, false) => return Err(broken(route)),
        }
        attempt += 1;
    }
}

/// Resolves when neither side has moved for this long.
async fn silence(watch: &Watch, timeout: Duration) {
    loop {
        let due = watch.moved() + timeout;
        if due <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(due).await;
    }
}

/// The service's response as the client should see it.
fn answer(
    route: &Route,
    mut response: Response<Incoming>,
    client_upgrade: Option<OnUpgrade>,
    connection: Arc<Connection>,
) -> Result<Response<Body>, Box<Refusal>> {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let service_upgrade = switches.then(|| hyper::upgrade::on(&mut response));
    let (mut head, body) = response.into_parts();
    head.version = http::Version::HTTP_11;
    head.extensions = http::Extensions::new();
    headers::remove_hop_by_hop(&mut head.headers);
    let Some(service_upgrade) = service_upgrade else {
        let is_events = head
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"));
        let timeout = (!is_events).then_some(route.timeout);
        return Ok(Response::from_parts(head, Body::boxed(Download::new(body, timeout))));
    };
    let Some(client_upgrade) = client_upgrade else { return Err(broken(route)) };
    upgrade::join(client_upgrade, service_upgrade, connection);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Ok(Response::from_parts(head, Body::empty()))
}

fn target(route: &Route, uri: &Uri) -> Option<Uri> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(Authority::try_from(route.upstream.to_string()).ok()?);
    parts.path_and_query = uri.path_and_query().cloned();
    Uri::from_parts(parts).ok()
}

fn problem(route: &Route, code: ErrorCode, detail: String) -> Box<Refusal> {
    Refusal::new(Problem::new(code, detail).with_service(route.service.as_str()))
}

fn away(route: &Route, what: &str) -> Box<Refusal> {
    let mut refusal = problem(route, ErrorCode::Unavailable, format!("service `{}` {what}", route.service));
    refusal.retry_after = Some(RETRY_AFTER);
    refusal
}

fn broken(route: &Route) -> Box<Refusal> {
    let detail = format!("service `{}` broke the connection before it answered", route.service);
    problem(route, ErrorCode::BadUpstream, detail)
}

fn too_large(route: &Route, limit: u64) -> Box<Refusal> {
    problem(route, ErrorCode::TooLarge, format!("the body is larger than {limit} bytes"))
}

fn late(route: &Route, watch: &Watch) -> Box<Refusal> {
    if watch.waits_for_client() {
        return problem(route, ErrorCode::RequestTimeout, "the request's body was not complete in time".to_owned());
    }
    let millis = route.timeout.as_millis();
    problem(route, ErrorCode::UpstreamTimeout, format!("service `{}` did not answer within {millis} ms", route.service))
}
