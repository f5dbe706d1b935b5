//! One request to one service: sent, sent again where that is safe, and every way in which it can fail told as a problem.

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version, request};
use hyper::body::Incoming;
use pinnace_http::balance::Turn;
use pinnace_http::client::{Client, ClientErrorKind};
use pinnace_http::upgrade::OnUpgrade;
use pinnace_http::{Body, Connection, RequestBody};
use pinnace_types::{ErrorCode, Problem};
use tokio::time::Instant;

use crate::download::Download;
use crate::table::Route;
use crate::upload::Watch;
use crate::upstream::Upstream;
use crate::{grpc, headers, upgrade};

/// How often a request is sent again to the service's own socket, and how often one that broke.
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
    /// For HTTP/1, or for HTTP/2 where it is a call of gRPC.
    pub(crate) client: &'a Client,
    pub(crate) route: &'a Route,
    pub(crate) upstream: &'a Upstream,
    pub(crate) is_grpc: bool,
    pub(crate) head: request::Parts,
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
    pub(crate) async fn run(mut self, body: RequestBody) -> Result<Response<Body>, Box<Refusal>> {
        let route = self.route;
        // What does not run here may run elsewhere.
        if !route.available && self.upstream.balancer().is_empty() {
            return Err(away(route, "does not run at the moment"));
        }
        let watch = Watch::new(body, self.max_body, is_idempotent(&self.head.method));
        if let Some(limit) = self.max_body
            && watch.announced().is_some_and(|length| length > limit)
        {
            return Err(too_large(route, limit));
        }
        // A call may be silent for as long as its caller likes, who may set a deadline instead.
        let longest = if self.is_grpc { grpc::timeout(&self.head) } else { Some(route.timeout) };
        let (response, turn) = tokio::select! {
            result = self.send(&watch) => result?,
            () = silence(&watch, longest, self.is_grpc) => return Err(late(route, longest.unwrap_or(route.timeout), &watch)),
        };
        let upgrade = self.client_upgrade.take();
        answer(route, response, turn, (self.is_grpc, upgrade), self.connection)
    }

    /// The response of the first attempt that has one.
    ///
    /// What takes no connection got nothing, so any request goes on to the next instance at once; behind them all is the
    /// service's own socket. What breaks the connection may have begun to work: only what may be repeated (RFC 9110 section
    /// 9.2.2), and whose body is small enough to be kept, is sent again, within the budget.
    async fn send(&self, watch: &Watch) -> Result<(Response<Incoming>, Option<Turn>), Box<Refusal>> {
        let (route, upstream) = (self.route, self.upstream);
        let is_idempotent = is_idempotent(&self.head.method);
        upstream.budget.deposit();
        let (mut tried, mut pauses, mut repeats) = (route.leaving.clone(), 0, 0);
        loop {
            let turn = upstream.balancer().choose(&tried);
            let place = match &turn {
                Some(turn) => turn.target().authority.clone(),
                None if upstream.takes_any() => route.authority.clone(),
                None => return Err(away(route, "has no instance with the route's tags that answers")),
            };
            let uri = target(place.clone(), &self.head.uri)?;
            let body = if watch.is_empty() {
                Body::empty()
            } else {
                Body::boxed(watch.upload().ok_or_else(|| broken(route))?)
            };
            let mut request = Request::new(body);
            *request.method_mut() = self.head.method.clone();
            *request.uri_mut() = uri;
            *request.headers_mut() = self.head.headers.clone();
            if self.is_grpc {
                *request.version_mut() = Version::HTTP_2;
            }
            let error = match self.client.send(request).await {
                Ok(response) => {
                    if let Some(turn) = &turn {
                        turn.answered();
                    }
                    return Ok((response, turn));
                }
                Err(error) => error,
            };
            if watch.is_too_large() {
                return Err(too_large(route, self.max_body.unwrap_or(u64::MAX)));
            }
            tracing::debug!(service = %route.service, %place, %error, "no response from the service");
            match (error.kind, &turn) {
                (ClientErrorKind::Connect, Some(turn)) => turn.failed(),
                (ClientErrorKind::Connect, None) if pauses < RETRIES => {
                    tokio::time::sleep(PAUSE * 2_u32.pow(pauses)).await;
                    pauses += 1;
                    continue;
                }
                (ClientErrorKind::Connect, None) => return Err(away(route, "does not accept connections")),
                (ClientErrorKind::Broken, turn) => {
                    if let Some(turn) = turn {
                        turn.failed();
                    }
                    let may_repeat = is_idempotent && watch.is_whole() && repeats < RETRIES;
                    if !may_repeat || !upstream.budget.withdraw() {
                        return Err(broken(route));
                    }
                    repeats += 1;
                }
            }
            if turn.is_some() {
                tried.push(place);
            }
        }
    }
}

/// Whether a request that is sent twice does what it does once.
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// Resolves when neither side has moved for this long; where it is a deadline, whatever has moved.
async fn silence(watch: &Watch, timeout: Option<Duration>, is_deadline: bool) {
    let Some(timeout) = timeout else { return std::future::pending().await };
    if is_deadline {
        return tokio::time::sleep(timeout).await;
    }
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
    turn: Option<Turn>,
    (is_grpc, client_upgrade): (bool, Option<OnUpgrade>),
    connection: Arc<Connection>,
) -> Result<Response<Body>, Box<Refusal>> {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let service_upgrade = switches.then(|| hyper::upgrade::on(&mut response));
    let (mut head, body) = response.into_parts();
    head.version = Version::HTTP_11;
    head.extensions = http::Extensions::new();
    headers::remove_hop_by_hop(&mut head.headers);
    let Some(service_upgrade) = service_upgrade else {
        let is_events = head
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"));
        let timeout = (!is_events && !is_grpc).then_some(route.timeout);
        return Ok(Response::from_parts(head, Body::boxed(Download::new(body, timeout, turn))));
    };
    let Some(client_upgrade) = client_upgrade else { return Err(broken(route)) };
    upgrade::join(client_upgrade, service_upgrade, connection, turn);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Ok(Response::from_parts(head, Body::empty()))
}

fn target(authority: Authority, uri: &Uri) -> Result<Uri, Box<Refusal>> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    parts.path_and_query = uri.path_and_query().cloned();
    let malformed = |_| Refusal::new(Problem::new(ErrorCode::BadRequest, "the request's target is malformed"));
    Uri::from_parts(parts).map_err(malformed)
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

fn late(route: &Route, timeout: Duration, watch: &Watch) -> Box<Refusal> {
    if watch.waits_for_client() {
        return problem(route, ErrorCode::RequestTimeout, "the request's body was not complete in time".to_owned());
    }
    let millis = timeout.as_millis();
    problem(route, ErrorCode::UpstreamTimeout, format!("service `{}` did not answer within {millis} ms", route.service))
}
