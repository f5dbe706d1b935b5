//! The table of routes: each row is served, documented and tested from this one place.

mod handlers;
mod openapi;
mod shapes;

use std::collections::BTreeMap;

use axum::Router;
use axum::routing::MethodRouter;
use http::Method;
use pinnace_types::ErrorCode;
use pinnace_types::control::{LogLine, ScaleRequest, ServiceView};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::hub::App;
use crate::knowledge::KnownSystem;
use crate::refusal::Refusal;
use handlers as does;
use shapes::{Health, Links, RegistryInstances, RegistryServices, Services};

pub use openapi::openapi;

/// One path and method.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// The method.
    pub(crate) method: Method,
    /// The path as axum and `OpenAPI` both write it.
    pub(crate) path: &'static str,
    /// The operation's id.
    pub(crate) id: &'static str,
    /// What it is for, in a sentence.
    pub(crate) summary: &'static str,
    /// What may stand in the query.
    pub(crate) query: &'static [Parameter],
    /// The body it takes.
    pub(crate) body: Option<SchemaOf>,
    /// What it answers.
    pub(crate) answer: Answer,
    /// How it can refuse, besides what every operation can.
    pub(crate) problems: &'static [ErrorCode],
    /// Whether it is answered without the token.
    pub(crate) access: Access,
    handler: fn() -> MethodRouter<App>,
}

/// A parameter of a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) meaning: &'static str,
    /// Its JSON type.
    pub(crate) kind: &'static str,
}

/// What a success carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Its media type.
    pub(crate) media_type: &'static str,
    /// Its shape, of each item where it is a stream.
    pub(crate) schema: SchemaOf,
}

/// Makes a schema.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Whether a route asks for the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Access {
    /// It does.
    Token,
    /// It shows nothing that needs one.
    Open,
}

impl Answer {
    const fn json(schema: SchemaOf) -> Self {
        Self { media_type: "application/json", schema }
    }
}

impl Route {
    fn open(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        answer: Answer,
        handler: fn() -> MethodRouter<App>,
    ) -> Self {
        Self {
            method: Method::GET,
            path,
            id,
            summary,
            query: &[],
            body: None,
            answer,
            problems: &[],
            access: Access::Open,
            handler,
        }
    }

    fn get(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        answer: Answer,
        handler: fn() -> MethodRouter<App>,
    ) -> Self {
        Self { access: Access::Token, ..Self::open(path, id, summary, answer, handler) }
    }

    fn post(self, body: Option<SchemaOf>) -> Self {
        Self { method: Method::POST, body, ..self }
    }

    fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    fn refuses(self, problems: &'static [ErrorCode]) -> Self {
        Self { problems, ..self }
    }
}

/// Every route, in the order of the documentation.
pub(crate) fn routes() -> Vec<Route> {
    let view = Answer::json(of::<ServiceView>);
    let mut routes = vec![
        Route::get(
            "/api/v1/system",
            "showSystem",
            "The whole system as the supervisor last said it",
            Answer::json(of::<KnownSystem>),
            does::system,
        )
        .refuses(&[ErrorCode::Unavailable]),
        Route::get(
            "/api/v1/services",
            "listServices",
            "All services with their states",
            Answer::json(of::<Services>),
            does::services,
        )
        .refuses(&[ErrorCode::Unavailable]),
        Route::get("/api/v1/services/{name}", "showService", "One service", view, does::service)
            .refuses(&[ErrorCode::NotFound, ErrorCode::Unavailable]),
        Route::get(
            "/api/v1/services/{name}/restart",
            "restartService",
            "Replaces the processes of a service; answers when the new ones are ready",
            view,
            does::restart,
        )
        .post(None)
        .refuses(PROXIED),
        Route::get(
            "/api/v1/services/{name}/scale",
            "scaleService",
            "Changes how many instances a service has; answers when it has them",
            view,
            does::scale,
        )
        .post(Some(of::<ScaleRequest>))
        .refuses(PROXIED_WITH_BODY),
    ];
    routes.extend(streams());
    routes.extend(registry());
    routes.extend(own());
    routes
}

fn streams() -> [Route; 2] {
    let lines = Answer { media_type: "application/x-ndjson", schema: of::<LogLine> };
    let events = Answer { media_type: "text/event-stream", schema: of::<KnownSystem> };
    [
        Route::get("/api/v1/logs", "readLogs", "What the services wrote, one JSON object a line", lines, does::logs)
            .query(LOG_QUERY)
            .refuses(&[ErrorCode::BadRequest, ErrorCode::NotFound, ErrorCode::BadUpstream, ErrorCode::Unavailable]),
        Route::get("/api/v1/events", "followEvents", "Server-sent events: `system` at once and after every change; a slow reader skips states, a stuck one is dropped", events, does::events)
            .refuses(&[ErrorCode::Unavailable]),
    ]
}

fn registry() -> [Route; 2] {
    let query = REGISTRY_QUERY;
    [
        Route::get(
            "/api/v1/registry/services",
            "listRegistry",
            "The registry's services and how many instances each has",
            Answer::json(of::<RegistryServices>),
            does::registry_services,
        )
        .query(query)
        .refuses(&[ErrorCode::BadRequest]),
        Route::get(
            "/api/v1/registry/services/{name}",
            "listInstances",
            "The registered instances of a service; none where it is unknown",
            Answer::json(of::<RegistryInstances>),
            does::registry_instances,
        )
        .query(query)
        .refuses(&[ErrorCode::BadRequest]),
    ]
}

fn own() -> [Route; 5] {
    let text = Answer { media_type: "text/plain", schema: of::<String> };
    let document = Answer::json(of::<BTreeMap<String, serde_json::Value>>);
    [
        Route::open("/", "showLinks", "Where to go from here", Answer::json(of::<Links>), does::links),
        Route::open("/api/openapi.json", "showOpenApi", "This description", document, does::document),
        Route::open("/-/health/live", "isLive", "Whether the hub runs", Answer::json(of::<Health>), does::live),
        Route::open("/-/health/ready", "isReady", "Whether the hub answers", Answer::json(of::<Health>), does::ready),
        Route::open(
            "/-/metrics",
            "readMetrics",
            "The hub's own metrics, Prometheus text format 0.0.4",
            text,
            does::metrics,
        ),
    ]
}

/// The router of all routes; what is in none of them is refused with a problem.
pub(crate) fn router(app: App) -> Router {
    let table = routes().into_iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    table
        .method_not_allowed_fallback(|method: Method| async move {
            Refusal::new(ErrorCode::MethodNotAllowed, format!("the path exists, but {method} does nothing there"))
        })
        .fallback(|| async {
            Refusal::new(ErrorCode::NotFound, "there is nothing at this path")
                .with_hint("/api/openapi.json lists every path")
        })
        .with_state(app)
}

/// Which paths are answered without the token: those of the table, and nothing else.
pub(crate) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const OPEN: [&str; 5] = ["/", "/api/openapi.json", "/-/health/live", "/-/health/ready", "/-/metrics"];
const PROXIED: &[ErrorCode] =
    &[ErrorCode::NotFound, ErrorCode::Conflict, ErrorCode::BadUpstream, ErrorCode::Unavailable];
const PROXIED_WITH_BODY: &[ErrorCode] = &[
    ErrorCode::BadRequest,
    ErrorCode::NotFound,
    ErrorCode::Conflict,
    ErrorCode::TooLarge,
    ErrorCode::BadUpstream,
    ErrorCode::Unavailable,
];
const LOG_QUERY: &[Parameter] = &[
    Parameter { name: "service", meaning: "only this service", kind: "string" },
    Parameter { name: "tail", meaning: "how many lines of the past, at most 10000; default 100", kind: "integer" },
    Parameter { name: "follow", meaning: "whether to go on with new lines; default false", kind: "boolean" },
];
const REGISTRY_QUERY: &[Parameter] = &[
    Parameter { name: "index", meaning: "answer once the registry's index is beyond this one", kind: "integer" },
    Parameter {
        name: "wait",
        meaning: "how long to wait for that, such as `30s`, at most 10m; default 5m",
        kind: "string",
    },
];

#[cfg(test)]
mod tests {
    use super::{Access, is_open, routes};

    #[test]
    fn the_table_and_the_guard_agree_on_what_is_open() {
        for route in routes() {
            assert_eq!(is_open(route.path), route.access == Access::Open, "{}", route.path);
        }
    }

    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let mut ids: Vec<_> = routes().iter().map(|route| route.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), routes().len());
    }
}
