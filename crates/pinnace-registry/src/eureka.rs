//! The face that Eureka's clients speak to: paths below `/eureka`. docs/discovery.md lists what is served.
//!
//! Statuses are those that clients test for: 204 for a registration, 404 for a heartbeat of an unknown instance (which then
//! registers again), 200 for everything else that worked.

mod document;
mod leases;
mod shapes;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::entry::{Entry, EntryKey, Face, LeaseStatus};
use crate::liveness::lease_key;
use crate::query::{Answered, Query, Refused, bare, segments, typed};
use crate::state::{Action, State};
use crate::{Caller, Registry};
use shapes::{Shown, app_name};

/// Texts of an instance that are kept as they are.
const TEXTS: [&str; 9] = [
    "homePageUrl",
    "statusPageUrl",
    "healthCheckUrl",
    "secureHealthCheckUrl",
    "vipAddress",
    "secureVipAddress",
    "appGroupName",
    "asgName",
    "sid",
];
/// How long a change is told to those who ask for differences.
const DELTA: Duration = Duration::from_mins(3);

/// Answers requests to Eureka's paths; clones share the registry.
#[derive(Clone, Debug)]
pub struct Eureka {
    registry: Registry,
}

/// One request, taken apart.
struct Asked<'a> {
    caller: &'a Caller,
    query: Query,
    headers: &'a HeaderMap,
    body: Bytes,
}

impl Eureka {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// Whether a path is one of Eureka's.
    pub fn is_asked(path: &str) -> bool {
        path == "/eureka" || path.starts_with("/eureka/")
    }

    /// How a request without a valid token is refused.
    pub fn refuse_unknown() -> Response<Bytes> {
        let text = "put the service's name and token into the address: http://NAME:TOKEN@host:port/eureka/";
        let mut response = Refused::new(StatusCode::UNAUTHORIZED, text).into_response();
        let challenge = HeaderValue::from_static("Basic realm=\"eureka\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        response
    }

    /// How a body is refused that takes too long to arrive.
    pub fn refuse_late() -> Response<Bytes> {
        Refused::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive").into_response()
    }

    /// How a body beyond the bound is refused.
    pub fn refuse_large() -> Response<Bytes> {
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large").into_response()
    }

    /// Answers one request of someone who is known.
    pub async fn answer(&self, caller: &Caller, head: &Parts, body: Bytes) -> Response<Bytes> {
        let path = segments(head.uri.path());
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        // `/eureka/v2/apps` is Netflix' own root, `/eureka/apps` Spring's.
        let path = match path.get(1..).unwrap_or_default() {
            ["v2", rest @ ..] | rest => rest,
        };
        let asked = Asked { caller, query: Query::parse(head.uri.query()), headers: &head.headers, body };
        match self.dispatch(&head.method, path, &asked).await {
            Ok(response) => response,
            Err(refused) => refused.into_response(),
        }
    }

    async fn dispatch(&self, method: &Method, path: &[&str], asked: &Asked<'_>) -> Answered {
        let is_read = *method == Method::GET || *method == Method::HEAD;
        match path {
            ["apps", app] if *method == Method::POST => self.register(app, asked).await,
            ["apps", app, id] if *method == Method::PUT => self.renew(app, id, asked),
            ["apps", app, id] if *method == Method::DELETE => self.cancel(app, id, asked).await,
            ["apps", app, id, "status"] if *method == Method::PUT => self.put_status(app, id, asked).await,
            ["apps", app, id, "status"] if *method == Method::DELETE => self.drop_status(app, id, asked).await,
            ["apps", app, id, "metadata"] if *method == Method::PUT => self.put_metadata(app, id, asked).await,
            ["apps"] if is_read => Ok(self.apps(asked)),
            ["apps", "delta"] if is_read => Ok(self.delta(asked)),
            ["apps", app] if is_read => self.app(app, asked),
            ["apps", app, id] if is_read => self.instance(Some(app), id, asked),
            ["instances", id] if is_read => self.instance(None, id, asked),
            ["vips", vip] if is_read => Ok(self.vip("vipAddress", vip, asked)),
            ["svips", vip] if is_read => Ok(self.vip("secureVipAddress", vip, asked)),
            ["peerreplication" | "serverinfo" | "asg" | "lastn" | "status", ..] => {
                let text = format!("This registry does not serve /eureka/{}; it has no peers.", path.join("/"));
                Err(Refused::new(StatusCode::NOT_IMPLEMENTED, text))
            }
            ["apps", ..] | ["instances" | "vips" | "svips", _] => {
                Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} does nothing there")))
            }
            _ => Err(Refused::not_found("there is nothing at this path; Eureka's are below /eureka/apps")),
        }
    }

    fn apps(&self, asked: &Asked<'_>) -> Response<Bytes> {
        let state = self.registry.store().now();
        self.applications(state.shown(), asked)
    }

    /// What changed within the last minutes, and the hash code of everything: whoever holds something else asks for all.
    fn delta(&self, asked: &Asked<'_>) -> Response<Bytes> {
        let state = self.registry.store().now();
        let since = jiff::Timestamp::now().as_millisecond() - i64::try_from(DELTA.as_millis()).unwrap_or(i64::MAX);
        let recent = state.recent.iter().rev().take_while(|recent| recent.at.as_millisecond() >= since);
        let (mut changed, mut seen) = (Vec::new(), HashSet::new());
        for recent in recent {
            // The last change of an instance is the one that holds, and one that another entry hides is gone.
            let key = recent.entry.key();
            let is_hidden = recent.action != Action::Deleted && !is_shown(&state, &key);
            if seen.insert(key) {
                let action = if is_hidden { Action::Deleted } else { recent.action };
                changed.push(self.shown(&recent.entry, action));
            }
        }
        changed.reverse();
        let hash = shapes::hash_code(state.shown().map(|entry| LeaseStatus::of(entry)));
        let version = state.recent_total.to_string();
        self.answer_with("applications", &shapes::applications(changed, &version, &hash), asked)
    }

    fn app(&self, app: &str, asked: &Asked<'_>) -> Answered {
        let state = self.registry.store().now();
        let shown: Vec<_> = state.shown_of(app).map(|entry| self.shown(entry, Action::Added)).collect();
        let value = shapes::by_app(shown).into_iter().next().ok_or_else(nothing)?;
        Ok(self.answer_with("application", &value, asked))
    }

    fn instance(&self, app: Option<&str>, id: &str, asked: &Asked<'_>) -> Answered {
        let state = self.registry.store().now();
        let mut shown: Box<dyn Iterator<Item = &Arc<Entry>>> = match app {
            Some(app) => Box::new(state.shown_of(app)),
            None => Box::new(state.shown()),
        };
        let entry = shown.find(|entry| entry.id == id).ok_or_else(nothing)?;
        Ok(self.answer_with("instance", &self.shown(entry, Action::Added).instance, asked))
    }

    fn vip(&self, member: &str, vip: &str, asked: &Asked<'_>) -> Response<Bytes> {
        let state = self.registry.store().now();
        let has = |entry: &&Arc<Entry>| {
            let own = match &entry.lease {
                Some(lease) => lease.texts.get(member).map_or("", String::as_str),
                None => &entry.service,
            };
            own.split(',').any(|own| own.trim() == vip)
        };
        // An address that nobody has is no error: there are no applications behind it.
        self.applications(state.shown().filter(has), asked)
    }

    fn applications<'a>(&self, entries: impl Iterator<Item = &'a Arc<Entry>>, asked: &Asked<'_>) -> Response<Bytes> {
        let shown: Vec<_> = entries.map(|entry| self.shown(entry, Action::Added)).collect();
        let hash = shapes::hash_code(shown.iter().map(|shown| shown.status));
        self.answer_with("applications", &shapes::applications(shown, "1", &hash), asked)
    }

    fn shown(&self, entry: &Entry, action: Action) -> Shown {
        let now = jiff::Timestamp::now().as_millisecond();
        let renewed = match entry.face {
            Face::Eureka => {
                let since = Instant::now().duration_since(self.registry.beats().last(&lease_key(entry)));
                now - i64::try_from(since.as_millis()).unwrap_or(0)
            }
            Face::System | Face::Consul => now,
        };
        shapes::shown(entry, action, renewed)
    }

    /// JSON for those who ask for it, XML for all others, as Eureka does.
    #[expect(clippy::unused_self, reason = "it reads as the other answers do")]
    fn answer_with(&self, root: &str, value: &Value, asked: &Asked<'_>) -> Response<Bytes> {
        let accept = asked.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        if accept.contains("json") {
            return typed(StatusCode::OK, "application/json", json!({ root: value }).to_string());
        }
        typed(StatusCode::OK, "application/xml", shapes::xml(root, value))
    }
}

impl Asked<'_> {
    fn check_write(&self, app: &str) -> Result<(), Refused> {
        if self.caller.may_write(app) {
            return Ok(());
        }
        let text = format!("the token may not register or change `{}`", app_name(app));
        Err(Refused::new(StatusCode::FORBIDDEN, text))
    }
}

fn is_shown(state: &State, key: &EntryKey) -> bool {
    state.shown_of(&key.service).any(|shown| shown.id == key.id && shown.face == key.face && shown.node == key.node)
}

fn nothing() -> Refused {
    Refused::not_found("there is no such application or instance")
}

fn done() -> Response<Bytes> {
    bare(StatusCode::OK)
}
