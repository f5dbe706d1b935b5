//! The handler: what is the gateway's own, what is refused, and what goes to a service; every answer carries the
//! request's id, every problem too.

use std::fmt;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use parking_lot::RwLock;
use pinnace_http::client::{Client, ClientConfig};
use pinnace_http::{Body, Connection, Handler, RequestBody, problem_response};
use pinnace_telemetry::REQUEST_ID_HEADER;
use pinnace_types::worker::LogFormat;
use pinnace_types::{ErrorCode, Problem, RequestId};
use tokio::time::Instant;

use crate::forward::{Forward, Refusal};
use crate::headers;
use crate::record::Record;
use crate::table::{Found, Table};

/// The gateway; clones share the table and the connections to services.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    routing: RwLock<Arc<Routing>>,
    access_log: Option<LogFormat>,
}

/// Where requests go, and the connections on which they go there.
struct Routing {
    table: Table,
    client: Client,
}

impl Gateway {
    /// A gateway with this table; without a format it logs no requests.
    pub fn new(table: Table, access_log: Option<LogFormat>) -> Self {
        Self(Arc::new(Inner { routing: RwLock::new(Arc::new(Routing::new(table))), access_log }))
    }

    /// Takes another table for all requests from now on; those that are on their way keep theirs.
    ///
    /// Connections are made anew too: one that was kept leads to the process that it led to before, and whoever has
    /// just reloaded a service wants to see the new code.
    pub fn replace(&self, table: Table) {
        *self.0.routing.write() = Arc::new(Routing::new(table));
    }

    async fn answer(
        &self,
        mut request: Request<RequestBody>,
        connection: Arc<Connection>,
        id: &RequestId,
    ) -> Result<Response<Body>, Box<Refusal>> {
        match request.uri().path() {
            "/-/health/live" => return Ok(own(StatusCode::OK, "live")),
            "/-/health/ready" if connection.is_draining() => {
                return Ok(own(StatusCode::SERVICE_UNAVAILABLE, "draining"));
            }
            "/-/health/ready" => return Ok(own(StatusCode::OK, "ready")),
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
        let client_upgrade = pinnace_http::upgrade::on(&mut request);
        let (mut head, body) = request.into_parts();
        let websocket = headers::is_websocket(&head);
        headers::prepare(&mut head.headers, &authority, connection.scheme, connection.peer, id);
        if websocket {
            head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            head.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        let forward = Forward {
            client: &routing.client,
            route,
            head,
            body,
            max_body: table.max_body,
            client_upgrade: websocket.then_some(client_upgrade),
            connection,
        };
        forward.run().await
    }
}

impl Routing {
    fn new(table: Table) -> Self {
        Self { table, client: Client::new(ClientConfig::default()) }
    }
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
        let mut response = match Box::pin(self.answer(request, connection, &id)).await {
            Ok(response) => response,
            Err(refusal) => {
                let Refusal { problem, retry_after } = *refusal;
                let mut response = problem_response(&problem.with_request_id(id.clone()));
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
