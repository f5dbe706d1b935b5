//! The control API: what `pinnace ps`, the other commands and the hub ask, answered on the supervisor's Unix socket.
//!
//! The shapes and the table of paths are in [`pinnace_types::control`]. This module only translates; it decides nothing
//! and keeps nothing. Who may open the socket may do everything, so that [`bind`] gives it to its owner alone.
//!
//! Where to read next: `stream` for the two answers that have no end.

mod stream;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Query;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use pinnace_http::{Body, Connection, Drain, Handler, Listener, RequestBody, Server, ServerConfig, problem_response};
use pinnace_types::control::{ScaleRequest, SystemView};
use pinnace_types::{ErrorCode, Problem, ServiceName};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use super::Logs;
use super::handle::{Handle, Refusal};

/// Connections at a time: the hub, and commands.
const MAX_CONNECTIONS: usize = 256;
/// A request has a number in it and no more.
const MAX_BODY: usize = 16 << 10;
/// What one request for logs may ask for.
const MAX_TAIL: usize = 10_000;
const DEFAULT_TAIL: usize = 100;
/// As `scale` allows.
const MAX_INSTANCES: u32 = 64;

type Answered = Result<Response<Body>, Box<Problem>>;

/// What answers.
#[derive(Clone)]
struct Control {
    handle: Handle,
    logs: Logs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    service: Option<ServiceName>,
    tail: Option<usize>,
    #[serde(default)]
    follow: bool,
}

/// Listens on a socket that its owner alone may open.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    // Its folder is closed to others, so that nobody comes in between.
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until it is dropped, which cuts every connection.
pub(crate) async fn serve(listener: UnixListener, handle: Handle, logs: Logs) {
    let config = ServerConfig {
        max_connections: MAX_CONNECTIONS,
        max_body_bytes: Some(MAX_BODY as u64),
        idle_timeout: Duration::from_secs(30),
        ..ServerConfig::default()
    };
    Server::new(config, Control { handle, logs }).serve(vec![Listener::Unix(listener)], Drain::new()).await;
}

impl Handler for Control {
    async fn call(&self, request: Request<RequestBody>, _: Arc<Connection>) -> Response<Body> {
        self.answer(request).await.unwrap_or_else(|problem| problem_response(&problem))
    }
}

impl Control {
    async fn answer(&self, request: Request<RequestBody>) -> Answered {
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let allowed = match segments[..] {
            ["v1", "system" | "events" | "logs"] => Method::GET,
            ["v1", "services", _, "restart" | "scale"] => Method::POST,
            _ => return Err(problem(ErrorCode::NotFound, format!("the supervisor knows no {path}"))),
        };
        if *request.method() != allowed {
            return Err(problem(ErrorCode::MethodNotAllowed, format!("{path} is asked for with {allowed}")));
        }
        match segments[..] {
            ["v1", "system"] => Ok(json(&*self.handle.view().borrow())),
            ["v1", "events"] => Ok(typed(stream::events(self.handle.view()), "text/event-stream")),
            ["v1", "logs"] => self.logs(&request),
            [_, _, name, "restart"] => self.restart(name).await,
            [_, _, name, _] => self.scale(name, request.into_body()).await,
            _ => Err(problem(ErrorCode::NotFound, format!("the supervisor knows no {path}"))),
        }
    }

    async fn restart(&self, name: &str) -> Answered {
        let view = self.handle.restart(service_name(name)?).await.map_err(refused)?;
        Ok(json(&view))
    }

    async fn scale(&self, name: &str, body: RequestBody) -> Answered {
        let name = service_name(name)?;
        let request: ScaleRequest = serde_json::from_slice(&read(body).await?).map_err(|error| {
            hinted(ErrorCode::BadRequest, format!("the body is not understood: {error}"), r#"send {"instances": 2}"#)
        })?;
        if !(1..=MAX_INSTANCES).contains(&request.instances) {
            let detail = format!("a service has 1 to {MAX_INSTANCES} instances, not {}", request.instances);
            return Err(problem(ErrorCode::BadRequest, detail));
        }
        let view = self.handle.scale(name, request.instances).await.map_err(refused)?;
        Ok(json(&view))
    }

    fn logs(&self, request: &Request<RequestBody>) -> Answered {
        let Query(query) = Query::<LogQuery>::try_from_uri(request.uri()).map_err(|error| {
            let hint = "the parameters are service=NAME, tail=NUMBER and follow=true";
            hinted(ErrorCode::BadRequest, format!("the query is not understood: {}", error.body_text()), hint)
        })?;
        if let Some(name) = &query.service {
            check_known(name, &self.handle.view().borrow())?;
        }
        let tail = query.tail.unwrap_or(DEFAULT_TAIL).min(MAX_TAIL);
        let body = if query.follow {
            let (lines, more) = self.logs.follow(query.service.as_ref(), tail);
            stream::lines(lines, Some(more), query.service)
        } else {
            stream::lines(self.logs.tail(query.service.as_ref(), tail), None, query.service)
        };
        Ok(typed(body, "application/x-ndjson"))
    }
}

fn check_known(name: &ServiceName, system: &SystemView) -> Result<(), Box<Problem>> {
    if system.services.iter().any(|service| service.name == *name) {
        return Ok(());
    }
    let names: Vec<&str> = system.services.iter().map(|service| service.name.as_str()).collect();
    let hint = format!("the services are {}", names.join(", "));
    Err(hinted(ErrorCode::NotFound, format!("there is no service `{name}`"), &hint))
}

fn refused(refusal: Refusal) -> Box<Problem> {
    let detail = refusal.to_string();
    match refusal {
        Refusal::Unknown { nearest: Some(nearest), .. } => {
            hinted(ErrorCode::NotFound, detail, &format!("did you mean `{nearest}`?"))
        }
        Refusal::Unknown { name: _, nearest: None } => {
            hinted(ErrorCode::NotFound, detail, "`pinnace ps` lists the services")
        }
        Refusal::NotScalable { .. } => problem(ErrorCode::Conflict, detail),
        Refusal::Failed { name, reason: _ } => {
            hinted(ErrorCode::Unavailable, detail, &format!("`pinnace logs {name}` has what it wrote"))
        }
        Refusal::Stopping => problem(ErrorCode::Unavailable, detail),
    }
}

fn service_name(text: &str) -> Result<ServiceName, Box<Problem>> {
    ServiceName::try_new(text).map_err(|error| problem(ErrorCode::NotFound, error.to_string()))
}

async fn read(body: RequestBody) -> Result<Bytes, Box<Problem>> {
    let collected = http_body_util::Limited::new(body, MAX_BODY).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            problem(ErrorCode::TooLarge, "the body has more than 16 KiB".to_owned())
        } else {
            problem(ErrorCode::BadRequest, "the body broke off".to_owned())
        }
    })
}

fn json(value: &impl Serialize) -> Response<Body> {
    // Views are flat structures of texts and numbers, which always serialise.
    typed(Body::full(serde_json::to_vec(value).unwrap_or_default()), "application/json")
}

fn typed(body: Body, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn problem(code: ErrorCode, detail: String) -> Box<Problem> {
    Box::new(Problem::new(code, detail))
}

fn hinted(code: ErrorCode, detail: String, hint: &str) -> Box<Problem> {
    Box::new(Problem::new(code, detail).with_hint(hint))
}

#[cfg(test)]
mod tests;
