//! The handler: what is the gateway's own, what is refused, and what goes to a service; every answer carries the
//! request's id, every problem too.

use std::fmt;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use parking_lot::RwLock;
use pinnace_discovery::Registry;
use pinnace_http::balance::TargetView;
use pinnace_http::client::{Client, ClientConfig};
use pinnace_http::{Body, Connection, Handler, RequestBody, problem_response};
use pinnace_telemetry::REQUEST_ID_HEADER;
use pinnace_types::gateway::{Explanation, GatewayView, RouteView, UpstreamView};
use pinnace_types::worker::LogFormat;
use pinnace_types::{ErrorCode, Problem, RequestId};
use tokio::time::Instant;

use crate::forward::{Forward, Refusal, is_idempotent};
use crate::record::Record;
use crate::table::{Found, Route, Table};
use crate::upstream::{Place, Upstream};
use crate::{grpc, headers};

/// The gateway's own paths.
const LIVE: &str = "/-/health/live";
const READY: &str = "/-/health/ready";

/// The gateway; clones share the table and the connections to services.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

/// Where the gateway learns of instances.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The registry that is followed.
    pub registry: Arc<dyn Registry>,
    /// Its address, without a password, for those who ask.
    pub address: String,
}

struct Inner {
    routing: RwLock<Arc<Routing>>,
    discovery: Option<Discovery>,
    access_log: Option<LogFormat>,
}

/// Where requests go, and the connections on which they go there.
struct Routing {
    table: Table,
    /// For each of the table's places, in its order.
    upstreams: Vec<Arc<Upstream>>,
    client: Client,
    /// For calls of gRPC.
    http2: Client,
}

impl Gateway {
    /// A gateway with this table; without a format it logs no requests.
    ///
    /// With a registry, which needs a Tokio runtime, requests are balanced over the instances that it knows; without one,
    /// and while it knows none, they go to the service's own socket.
    pub fn new(table: Table, discovery: Option<Discovery>, access_log: Option<LogFormat>) -> Self {
        let registry = discovery.as_ref().map(|discovery| discovery.registry.as_ref());
        let routing = RwLock::new(Arc::new(Routing::new(table, registry, &[])));
        Self(Arc::new(Inner { routing, discovery, access_log }))
    }

    /// Takes another table for all requests from now on; those that are on their way keep theirs.
    ///
    /// Connections are made anew too: one that was kept leads to the process that it led to before, and whoever has
    /// just reloaded a service wants to see the new code.
    pub fn replace(&self, table: Table) {
        let mut routing = self.0.routing.write();
        let registry = self.0.discovery.as_ref().map(|discovery| discovery.registry.as_ref());
        *routing = Arc::new(Routing::new(table, registry, &routing.upstreams));
    }

    /// What it knows of every route.
    pub fn view(&self) -> GatewayView {
        let routing = Arc::clone(&self.0.routing.read());
        let registry = self.0.discovery.as_ref().map(|discovery| discovery.address.clone());
        let routes = routing.table.routes().map(|(host, route)| routing.view(host, route)).collect();
        GatewayView { system: routing.table.system.clone(), registry, routes }
    }

    /// What it would do with a request, without sending it.
    pub fn explain(&self, method: &Method, host: &str, path: &str) -> Explanation {
        let routing = Arc::clone(&self.0.routing.read());
        let host = headers::host_without_port(host);
        let (refusal, route) = match own_answer(method, path) {
            Some(answer) => (Some(answer), None),
            None => match routing.table.find(&host, path) {
                Found::Route(route) => {
                    let view = routing.table.routes().find(|(_, other)| std::ptr::eq(*other, route));
                    let view = view.map(|(host, route)| routing.view(host, route));
                    let away = view.as_ref().is_some_and(|view| !view.available && view.instances.is_empty());
                    (away.then(|| (503, format!("service `{}` does not run at the moment", route.service))), view)
                }
                Found::Refused(refusal) => (Some((400, refusal.to_string())), None),
                Found::Inside => (Some((404, "the management paths of services are not routed".to_owned())), None),
                Found::Nothing => (Some((404, "no route has a prefix of this path".to_owned())), None),
            },
        };
        let (method, repeatable) = (method.to_string(), is_idempotent(method));
        Explanation { method, host, path: path.to_owned(), refusal, route, repeatable }
    }

    async fn answer(
        &self,
        mut request: Request<RequestBody>,
        connection: Arc<Connection>,
        id: &RequestId,
    ) -> Result<Response<Body>, Box<Refusal>> {
        match request.uri().path() {
            LIVE => return Ok(own(StatusCode::OK, "live")),
            READY if connection.is_draining() => {
                return Ok(own(StatusCode::SERVICE_UNAVAILABLE, "draining"));
            }
            READY => return Ok(own(StatusCode::OK, "ready")),
            _ => {}
        }
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            let detail = format!("the gateway does not pass {} on", request.method());
            return Err(Refusal::new(Problem::new(ErrorCode::MethodNotAllowed, detail)));
        }
        let Some(authority) = headers::authority(&request) else {
            return Err(Refusal::new(Problem::new(ErrorCode::BadRequest, "the request must name one host")));
        };
        let routing = Arc::clone(&self.0.routing.read());
        let table = &routing.table;
        let route = match table.find(&headers::host_without_port(&authority), request.uri().path()) {
            Found::Route(route) => route,
            Found::Refused(refusal) => {
                return Err(Refusal::new(Problem::new(ErrorCode::BadRequest, refusal.to_string())));
            }
            Found::Nothing | Found::Inside => {
                let detail = format!("system `{}` has no route for this path", table.system);
                return Err(Refusal::new(Problem::new(ErrorCode::NotFound, detail)));
            }
        };
        let is_grpc = grpc::is_call(request.version(), request.headers());
        let client_upgrade = pinnace_http::upgrade::on(&mut request);
        let (mut head, body) = request.into_parts();
        let websocket = headers::is_websocket(&head);
        headers::prepare(&mut head.headers, &authority, connection.scheme, connection.peer, id);
        if websocket {
            head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            head.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        if is_grpc {
            grpc::prepare(&mut head.headers);
        }
        let forward = Forward {
            client: if is_grpc { &routing.http2 } else { &routing.client },
            route,
            upstream: &routing.upstreams[route.place],
            is_grpc,
            head,
            max_body: table.max_body,
            client_upgrade: websocket.then_some(client_upgrade),
            connection,
        };
        forward.run(body).await
    }
}

impl Routing {
    /// What was followed before and is still wanted goes on.
    fn new(table: Table, registry: Option<&dyn Registry>, before: &[Arc<Upstream>]) -> Self {
        let upstream = |place: &Place| match before.iter().find(|upstream| upstream.is_for(place)) {
            Some(upstream) => Arc::clone(upstream),
            None => Arc::new(Upstream::new(place.clone(), registry)),
        };
        let upstreams = table.places.iter().map(upstream).collect();
        let config = ClientConfig::default();
        Self { table, upstreams, client: Client::new(config), http2: Client::http2(config) }
    }

    fn view(&self, host: Option<&str>, route: &Route) -> RouteView {
        RouteView {
            host: host.map(str::to_owned),
            path: route.prefix.clone(),
            service: route.service.clone(),
            tags: self.table.places[route.place].tags.clone(),
            upstream: route.upstream,
            available: route.available,
            timeout_ms: u64::try_from(route.timeout.as_millis()).unwrap_or(u64::MAX),
            instances: self.upstreams[route.place].view().into_iter().map(upstream_view).collect(),
        }
    }
}

fn upstream_view(view: TargetView) -> UpstreamView {
    UpstreamView {
        id: view.target.id,
        address: view.target.authority.to_string(),
        weight: view.target.weight,
        in_flight: view.in_flight,
        latency_ms: view.latency.map(|latency| latency.as_secs_f64() * 1_000.0),
        sent: view.sent,
        failed: view.failed,
        out_for_ms: view.out_for.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// What the gateway answers without a route.
fn own_answer(method: &Method, path: &str) -> Option<(u16, String)> {
    if matches!(path, LIVE | READY) {
        return Some((200, "the gateway's own health".to_owned()));
    }
    let passed = !matches!(*method, Method::CONNECT | Method::TRACE);
    (!passed).then(|| (405, format!("the gateway does not pass {method} on")))
}

impl Handler for Gateway {
    async fn call(&self, request: Request<RequestBody>, connection: Arc<Connection>) -> Response<Body> {
        let id = headers::request_id(request.headers());
        let record = Record {
            format: self.0.access_log,
            method: request.method().as_str().to_owned(),
            path: request.uri().path().to_owned(),
            peer: connection.peer.to_string(),
            request_id: id.clone(),
            begun: Instant::now(),
            status: None,
            bytes: 0,
        };
        let is_http1 = request.version() != Version::HTTP_2;
        let is_grpc = grpc::is_call(request.version(), request.headers());
        let mut response = match Box::pin(self.answer(request, connection, &id)).await {
            Ok(response) => response,
            Err(refusal) => {
                let Refusal { problem, retry_after } = *refusal;
                let problem = problem.with_request_id(id.clone());
                let mut response = if is_grpc { grpc::refuse(&problem) } else { problem_response(&problem) };
                response.headers_mut().extend(retry_after.map(|seconds| (header::RETRY_AFTER, seconds)));
                response
            }
        };
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(REQUEST_ID_HEADER, value);
        }
        // What is left of such a body is not worth reading.
        if is_http1 && matches!(response.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        record.follow(response)
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gateway").field("table", &self.0.routing.read().table).finish_non_exhaustive()
    }
}

fn own(status: StatusCode, word: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{{\"status\":\"{word}\"}}")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
