//! The face that Consul's clients speak to: paths below `/v1`. docs/discovery.md lists what is served.
//!
//! Errors are plain sentences with the statuses that Consul gives them, because its clients test for those.

mod agent;
mod answers;
mod catalog;
mod checks;
mod fields;
mod filter;
mod health;
mod service;
mod shapes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::Value;

use crate::entry::Face;
use crate::query::{Answered, Query, Refused, bare, segments, typed};
use crate::state::{Scope, State};
use crate::{Caller, Registry};
use answers::Answers;
use fields::parse_duration;

/// The one data center.
const DATACENTER: &str = "dc1";
const DEFAULT_WAIT: Duration = Duration::from_mins(5);
const MAX_WAIT: Duration = Duration::from_mins(10);

/// Answers requests to Consul's paths; clones share the registry.
#[derive(Clone, Debug)]
pub struct Consul {
    registry: Registry,
    answers: Answers,
}

/// One request, taken apart.
struct Asked<'a> {
    caller: &'a Caller,
    query: Query,
    body: Bytes,
}

impl Consul {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, answers: Answers::default() }
    }

    /// Whether a path is one of Consul's.
    pub fn is_asked(path: &str) -> bool {
        path == "/v1" || path.starts_with("/v1/")
    }

    /// Whether a path is answered without a token: those whose answers are always the same, and at which Consul's clients
    /// often send none.
    pub fn is_open(path: &str) -> bool {
        const OPEN: [&str; 5] =
            ["/v1/status/leader", "/v1/status/peers", "/v1/catalog/datacenters", "/v1/agent/self", "/v1/agent/members"];
        OPEN.contains(&path)
    }

    /// How a request without a valid token is refused: clients of Consul expect 403.
    pub fn refuse_unknown() -> Response<Bytes> {
        Refused::new(StatusCode::FORBIDDEN, "ACL not found: send the token as X-Consul-Token").into_response()
    }

    /// How a body is refused that takes too long to arrive.
    pub fn refuse_late() -> Response<Bytes> {
        Refused::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive").into_response()
    }

    /// How a body beyond the bound is refused.
    pub fn refuse_large() -> Response<Bytes> {
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large").into_response()
    }

    /// Answers one request of someone who is known. A blocking query takes as long as it asks for.
    pub async fn answer(&self, caller: &Caller, head: &Parts, body: Bytes) -> Response<Bytes> {
        let query = Query::parse(head.uri.query());
        let path = segments(head.uri.path());
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let asked = Asked { caller, query, body };
        match self.dispatch(&head.method, path.get(1..).unwrap_or_default(), &asked).await {
            Ok(response) => response,
            Err(refused) => refused.into_response(),
        }
    }

    async fn dispatch(&self, method: &Method, path: &[&str], asked: &Asked<'_>) -> Answered {
        check_datacenter(asked.query.value("dc"))?;
        // Old clients write with GET or POST.
        let is_write = *method == Method::PUT || *method == Method::POST;
        let is_read = *method == Method::GET || *method == Method::HEAD;
        let answered = match path {
            ["agent", rest @ ..] => self.agent(rest, is_read, is_write, asked).await?,
            ["catalog", "register"] if is_write => Some(self.catalog_register(asked).await?),
            ["catalog", "deregister"] if is_write => Some(self.catalog_deregister(asked).await?),
            ["catalog" | "health", ..] if is_read => self.read(path, asked).await?,
            ["status", "leader"] if is_read => Some(json(&Value::from(shapes::SERVER_ADDRESS))),
            ["status", "peers"] if is_read => Some(json(&Value::from(vec![shapes::SERVER_ADDRESS]))),
            _ => None,
        };
        answered.ok_or_else(|| not_served(method, path))
    }

    /// Waits as the query asks for it, then shows what there is.
    async fn look(&self, query: &Query, scope: &Scope) -> Result<Arc<State>, Refused> {
        let store = self.registry.store();
        let Some(index) = query.value("index") else { return Ok(store.now()) };
        let index: u64 = index.parse().map_err(|_| Refused::bad("Invalid index"))?;
        let wait = patience(query)?;
        if index == 0 {
            return Ok(store.now());
        }
        let Some(_place) = self.registry.place() else { return Err(crowded()) };
        // Out of patience, the caller gets what there is, with the index that it knows already.
        tokio::select! {
            state = store.beyond_in(scope, index) => Ok(state),
            () = tokio::time::sleep(wait) => Ok(store.now()),
            () = self.registry.released() => Ok(store.now()),
        }
    }
}

impl Asked<'_> {
    /// Refuses whoever may not register this service.
    fn check_write(&self, service: &str) -> Result<(), Refused> {
        if self.caller.may_write(service) {
            return Ok(());
        }
        Err(denied(&format!("the token may not register or change `{service}`")))
    }

    /// Refuses everyone but the holder of the hub's own token.
    fn check_operator(&self) -> Result<(), Refused> {
        if self.caller.is_operator() {
            return Ok(());
        }
        Err(denied("the token may not change nodes"))
    }

    /// Applies `?filter=` to a list.
    fn filtered(&self, items: Vec<Value>) -> Result<Vec<Value>, Refused> {
        match self.query.value("filter") {
            None => Ok(items),
            Some(text) => filter::Filter::parse(text)?.retain(items),
        }
    }
}

/// There is one, and who asks for another is told so with Consul's status.
fn check_datacenter(named: Option<&str>) -> Result<(), Refused> {
    match named {
        Some(other) if other != DATACENTER => {
            Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, format!("No path to datacenter: {other}")))
        }
        _ => Ok(()),
    }
}

/// How long a blocking query waits.
fn patience(query: &Query) -> Result<Duration, Refused> {
    let wait = query.value("wait").map(|text| parse_duration(text).ok_or_else(|| Refused::bad("Invalid wait time")));
    let wait = wait.transpose()?.filter(|wait| !wait.is_zero());
    Ok(wait.unwrap_or(DEFAULT_WAIT).min(MAX_WAIT))
}

fn crowded() -> Refused {
    Refused::new(StatusCode::TOO_MANY_REQUESTS, "too many wait for a change already")
}

fn json(value: &Value) -> Response<Bytes> {
    typed(StatusCode::OK, "application/json", value.to_string())
}

/// An answer of a read that can be waited for.
fn indexed(body: Bytes, index: u64) -> Response<Bytes> {
    let mut response = typed(StatusCode::OK, "application/json", body);
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-consul-index"), HeaderValue::from(index.max(1)));
    headers.insert(HeaderName::from_static("x-consul-knownleader"), HeaderValue::from_static("true"));
    headers.insert(HeaderName::from_static("x-consul-lastcontact"), HeaderValue::from_static("0"));
    headers.insert(HeaderName::from_static("x-consul-effective-consistency"), HeaderValue::from_static("leader"));
    response
}

fn done() -> Response<Bytes> {
    bare(StatusCode::OK)
}

fn denied(reason: &str) -> Refused {
    Refused::new(StatusCode::FORBIDDEN, format!("Permission denied: {reason}"))
}

/// What Consul has and this registry has not says so; what neither has is not found.
fn not_served(method: &Method, path: &[&str]) -> Refused {
    const ABSENT: [(&str, &str); 15] = [
        ("kv", "the key-value store"),
        ("session", "sessions"),
        ("event", "events"),
        ("acl", "access control lists; a service's token lets it register itself"),
        ("txn", "transactions"),
        ("query", "prepared queries"),
        ("connect", "the service mesh"),
        ("config", "configuration entries"),
        ("discovery-chain", "the service mesh"),
        ("intentions", "the service mesh"),
        ("operator", "the operator's API"),
        ("snapshot", "snapshots"),
        ("coordinate", "coordinates"),
        ("peering", "peering"),
        ("internal", "internal paths"),
    ];
    let first = path.first().copied().unwrap_or_default();
    if let Some((_, what)) = ABSENT.iter().find(|(name, _)| *name == first) {
        return Refused::new(StatusCode::NOT_IMPLEMENTED, format!("This registry does not serve {what}."));
    }
    if matches!(first, "agent" | "catalog" | "health" | "status") && path.len() > 1 {
        let path = path.join("/");
        let text = format!("This registry does not serve {method} /v1/{path}; docs/discovery.md lists what it serves.");
        return Refused::new(StatusCode::NOT_IMPLEMENTED, text);
    }
    Refused::not_found("Invalid URL path: not a recognized HTTP API endpoint")
}

/// The face's own entry before any other of the same id.
fn own_entry(state: &State, node: &str, id: &str) -> Option<Arc<crate::entry::Entry>> {
    state.of_face(Face::Consul, node, id).cloned()
}
