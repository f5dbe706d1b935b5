//! What each route does. A handler reads what is known, or asks the supervisor; none keeps state.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use http::{HeaderValue, Method, header};
use http_body_util::BodyExt as _;
use pinnace_http::unix::UnixError;
use pinnace_types::control::{ScaleRequest, ServiceView};
use pinnace_types::{ErrorCode, HumanDuration, ServiceName, VERSION};

use super::openapi;
use super::shapes::{Health, Links, RegistryInstances, RegistryServices, Services};
use crate::events;
use crate::hub::App;
use crate::knowledge::KnownSystem;
use crate::refusal::Refusal;

const MAX_BODY: usize = 16 << 10;
const MAX_TAIL: u32 = 10_000;
const DEFAULT_WAIT: Duration = Duration::from_mins(5);
const MAX_WAIT: Duration = Duration::from_mins(10);

type Answered<T> = Result<T, Refusal>;
type Parameters = Result<Query<HashMap<String, String>>, QueryRejection>;

pub(super) fn system() -> MethodRouter<App> {
    get(async |State(app): State<App>| known(&app).map(|known| Json(KnownSystem::clone(&known))))
}

pub(super) fn services() -> MethodRouter<App> {
    get(async |State(app): State<App>| {
        known(&app).map(|known| Json(Services { stale: known.stale, services: known.system.services.clone() }))
    })
}

pub(super) fn service() -> MethodRouter<App> {
    get(async |State(app): State<App>, Path(name): Path<String>| -> Answered<Json<ServiceView>> {
        let (known, name) = (known(&app)?, service_name(&name)?);
        let services = &known.system.services;
        let found = services.iter().find(|service| service.name == name).cloned();
        found.map(Json).ok_or_else(|| {
            let names: Vec<_> = services.iter().map(|service| service.name.as_str()).collect();
            Refusal::new(ErrorCode::NotFound, format!("there is no service `{name}`"))
                .with_hint(format!("the services are {}", names.join(", ")))
        })
    })
}

pub(super) fn restart() -> MethodRouter<App> {
    post(async |State(app): State<App>, Path(name): Path<String>| -> Answered<Json<ServiceView>> {
        let name = service_name(&name)?;
        Ok(Json(app.control.post(&format!("/v1/services/{name}/restart"), &()).await?))
    })
}

pub(super) fn scale() -> MethodRouter<App> {
    post(async |State(app): State<App>, Path(name): Path<String>, body: Body| -> Answered<Json<ServiceView>> {
        let name = service_name(&name)?;
        let request: ScaleRequest = serde_json::from_slice(&read(body).await?).map_err(|error| {
            Refusal::new(ErrorCode::BadRequest, format!("the body is not understood: {error}"))
                .with_hint(r#"send {"instances": 2}"#)
        })?;
        Ok(Json(app.control.post(&format!("/v1/services/{name}/scale"), &request).await?))
    })
}

pub(super) fn logs() -> MethodRouter<App> {
    get(async |State(app): State<App>, query: Parameters| -> Answered<Response> {
        let parameters = parameters(query, &["service", "tail", "follow"])?;
        let tail = parsed(&parameters, "tail")?.unwrap_or(100).min(MAX_TAIL);
        let follow: bool = parsed(&parameters, "follow")?.unwrap_or(false);
        let mut path = format!("/v1/logs?tail={tail}&follow={follow}");
        if let Some(service) = parameters.get("service") {
            path.push_str("&service=");
            path.push_str(service_name(service)?.as_str());
        }
        let answer = app.control.send(Method::GET, &path, pinnace_http::Body::empty()).await?;
        if !answer.status().is_success() {
            let bytes = read(Body::new(answer.into_body())).await?;
            let problem = serde_json::from_slice(&bytes).map(|problem| Refusal(Box::new(problem)));
            return Err(problem.unwrap_or_else(|error| UnixError::Answer(error.to_string()).into()));
        }
        Ok(typed(Body::new(answer.into_body()), "application/x-ndjson"))
    })
}

pub(super) fn events() -> MethodRouter<App> {
    get(async |State(app): State<App>| events::subscribe(&app).map(|body| typed(Body::new(body), "text/event-stream")))
}

pub(super) fn registry_services() -> MethodRouter<App> {
    get(async |State(app): State<App>, query: Parameters| -> Answered<Json<RegistryServices>> {
        wait(&app, query).await?;
        let (index, instances) = app.knowledge.store().instances();
        let mut services = BTreeMap::new();
        for instance in instances {
            *services.entry(instance.registration.service.into()).or_default() += 1;
        }
        Ok(Json(RegistryServices { index, services }))
    })
}

pub(super) fn registry_instances() -> MethodRouter<App> {
    get(
        async |State(app): State<App>,
               Path(name): Path<String>,
               query: Parameters|
               -> Answered<Json<RegistryInstances>> {
            let name = service_name(&name)?;
            wait(&app, query).await?;
            let (index, instances) = app.knowledge.store().instances_of(&name);
            Ok(Json(RegistryInstances { index, instances }))
        },
    )
}

pub(super) fn links() -> MethodRouter<App> {
    get(async |State(app): State<App>| {
        let known = app.knowledge.current();
        let of = |text: fn(&KnownSystem) -> &String| known.as_deref().map(text).cloned();
        Json(Links {
            name: "Pinnace hub",
            version: VERSION,
            system: of(|known| &known.system.name),
            gateway: of(|known| &known.system.gateway_url),
            paths: BTreeMap::from([
                ("openapi", "/api/openapi.json"),
                ("system", "/api/v1/system"),
                ("services", "/api/v1/services"),
                ("events", "/api/v1/events"),
                ("logs", "/api/v1/logs"),
                ("registry", "/api/v1/registry/services"),
            ]),
        })
    })
}

pub(super) fn document() -> MethodRouter<App> {
    get(async || Json(openapi()))
}

pub(super) fn live() -> MethodRouter<App> {
    get(async || Json(Health { status: "ok" }))
}

pub(super) fn ready() -> MethodRouter<App> {
    live()
}

pub(super) fn metrics() -> MethodRouter<App> {
    get(async |State(app): State<App>| {
        let text = app.metrics.render_prometheus("hub") + &events::render_metrics(&app);
        typed(Body::from(text), "text/plain; version=0.0.4; charset=utf-8")
    })
}

fn known(app: &App) -> Answered<Arc<KnownSystem>> {
    app.knowledge.current().ok_or_else(|| {
        Refusal::new(ErrorCode::Unavailable, "nothing is known of the system yet")
            .with_hint("the supervisor has not spoken; ask again in a moment")
    })
}

fn service_name(text: &str) -> Answered<ServiceName> {
    ServiceName::try_new(text).map_err(|error| Refusal::new(ErrorCode::NotFound, error.to_string()))
}

/// Waits as the query asks; returns at once where it does not.
async fn wait(app: &App, query: Parameters) -> Answered<()> {
    let parameters = parameters(query, &["index", "wait"])?;
    let patience =
        parsed::<HumanDuration>(&parameters, "wait")?.map_or(DEFAULT_WAIT, HumanDuration::as_duration).min(MAX_WAIT);
    if let Some(index) = parsed(&parameters, "index")? {
        // Out of patience, the caller gets what there is, with the index that it knows already.
        tokio::select! {
            _ = tokio::time::timeout(patience, app.knowledge.store().beyond(index)) => {}
            () = app.drain.begun() => {}
        }
    }
    Ok(())
}

fn parameters(query: Parameters, known: &[&str]) -> Answered<HashMap<String, String>> {
    let Ok(Query(parameters)) = query else {
        return Err(Refusal::new(ErrorCode::BadRequest, "the query is not understood"));
    };
    match parameters.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Refusal::new(ErrorCode::BadRequest, format!("there is no parameter `{name}`"))
            .with_hint(format!("the parameters are {}", known.join(", ")))),
        None => Ok(parameters),
    }
}

fn parsed<T: std::str::FromStr>(parameters: &HashMap<String, String>, name: &str) -> Answered<Option<T>> {
    let value = parameters.get(name).map(|text| text.parse());
    value
        .transpose()
        .map_err(|_| Refusal::new(ErrorCode::BadRequest, format!("the value of `{name}` is not understood")))
}

async fn read(body: Body) -> Answered<bytes::Bytes> {
    let collected = http_body_util::Limited::new(body, MAX_BODY).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            Refusal::new(ErrorCode::TooLarge, "the body has more than 16 KiB")
        } else {
            Refusal::new(ErrorCode::BadRequest, "the body broke off")
        }
    })
}

fn typed(body: Body, media_type: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, body).into_response()
}
