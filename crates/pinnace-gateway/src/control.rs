//! What a person may ask a running gateway, over its own Unix socket: `pinnace ps --gateway` does.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/routes` | [`pinnace_types::gateway::GatewayView`] |
//! | `GET /v1/explain?method=GET&host=HOST&path=PATH` | [`pinnace_types::gateway::Explanation`] |
//!
//! It is not the address of the gateway itself, where anybody may ask.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, header};
use percent_encoding::percent_decode_str;
use pinnace_http::{Body, Connection, Drain, Handler, Listener, RequestBody, Server, ServerConfig, problem_response};
use pinnace_types::{ErrorCode, Problem};
use serde::Serialize;
use tokio::net::UnixListener;

use crate::Gateway;

/// Questions at the same time.
const MAX_CONNECTIONS: usize = 16;

/// Answers about a gateway.
#[derive(Clone, Debug)]
struct Control(Gateway);

/// Opens the socket, for its owner alone, and answers until this is dropped. One that is there belongs to a predecessor, and
/// is replaced.
pub async fn control_task(gateway: Gateway, path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Its folder is closed to others, so that nobody comes in between.
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    let config = ServerConfig {
        max_connections: MAX_CONNECTIONS,
        max_body_bytes: Some(0),
        idle_timeout: Duration::from_secs(30),
        ..ServerConfig::default()
    };
    Server::new(config, Control(gateway)).serve(vec![Listener::Unix(listener)], Drain::new()).await;
    Ok(())
}

impl Handler for Control {
    async fn call(&self, request: Request<RequestBody>, _: Arc<Connection>) -> Response<Body> {
        self.answer(request.uri()).unwrap_or_else(|problem| problem_response(&problem))
    }
}

impl Control {
    fn answer(&self, uri: &http::Uri) -> Result<Response<Body>, Box<Problem>> {
        match uri.path() {
            "/v1/routes" => Ok(json(&self.0.view())),
            "/v1/explain" => {
                let asked = parameters(uri.query().unwrap_or_default());
                let given = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
                let wrong = |what: &str| refuse(ErrorCode::BadRequest, format!("`{}` is no {what}", given(what)));
                let method = Method::from_bytes(given("method").as_bytes()).map_err(|_| wrong("method"))?;
                let path: http::Uri = given("path").parse().map_err(|_| wrong("path"))?;
                Ok(json(&self.0.explain(&method, given("host"), path.path())))
            }
            path => Err(refuse(ErrorCode::NotFound, format!("there is no `{path}`"))),
        }
    }
}

fn refuse(code: ErrorCode, detail: String) -> Box<Problem> {
    Box::new(Problem::new(code, detail))
}

fn parameters(query: &str) -> HashMap<String, String> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn json(document: &impl Serialize) -> Response<Body> {
    // These types always serialise.
    let mut response = Response::new(Body::from(serde_json::to_string(document).unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
