//! One request and its answer, or the failure by name.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use pinnace_http::Body;
use pinnace_http::client::{Client, ClientConfig};
use serde_json::Value;

use crate::tally::Failure;

/// Bytes that an answer may have.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Sends requests to one address over a pool of connections.
#[derive(Debug)]
pub(crate) struct Caller {
    client: Client,
    origin: String,
    path: String,
    name: String,
    timeout: Duration,
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A response with all of its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    asked: Asked,
}

/// What is known of a request when its answer is judged.
#[derive(Clone, Debug)]
struct Asked {
    request_id: String,
    method: String,
    path: String,
    sent_at: Timestamp,
}

impl Caller {
    /// For requests to the host of a URL; their ids begin with a name.
    pub(crate) fn new(url: &str, name: &str, timeout: Duration) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(format!("{url} does not begin with http:// and a host"));
        };
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let client = Client::new(ClientConfig { max_idle: 4_096, ..ClientConfig::default() });
        Ok(Self { client, origin: format!("http://{authority}"), path, name: name.to_owned(), timeout })
    }

    /// The path of the URL.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Sends it as the request of this number; a failure is one of the connection, or the time that it took.
    pub(crate) async fn send(&self, call: Call, number: &str) -> Result<Answer, Box<Failure>> {
        let asked = Asked {
            request_id: format!("{}-{number}", self.name),
            method: call.method.to_string(),
            path: call.path.clone(),
            sent_at: Timestamp::now(),
        };
        let request = match self.request(call, &asked.request_id) {
            Ok(request) => request,
            Err(error) => return Err(asked.failure(error.to_string())),
        };
        let exchange = async {
            let response = self.client.send(request).await.map_err(|error| chain(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MOST_BYTES).collect().await.map_err(|error| format!("body: {error}"))?;
            Ok::<_, String>((head, body.to_bytes()))
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok((head, body))) => Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, asked }),
            Ok(Err(error)) => Err(asked.failure(error)),
            Err(_) => Err(asked.failure(format!("no answer within {:?}", self.timeout))),
        }
    }

    fn request(&self, call: Call, id: &str) -> Result<Request<Body>, http::Error> {
        let mut request = Request::builder().method(call.method).uri(format!("{}{}", self.origin, call.path));
        if let Some(headers) = request.headers_mut() {
            *headers = call.headers;
        }
        request.header("x-request-id", id).body(Body::full(call.body))
    }
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(crate) fn plain(method: &str, path: &str) -> Result<Self, String> {
        let method = method.parse().map_err(|_| format!("{method} is no method"))?;
        Ok(Self { method, ..Self::get(path) })
    }

    pub(crate) fn with_headers(mut self, headers: &[String]) -> Result<Self, String> {
        for line in headers {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("{line:?} is not like `Name: value`"))?;
            let name: HeaderName = name.trim().parse().map_err(|error| format!("{line}: {error}"))?;
            let value = HeaderValue::from_str(value.trim()).map_err(|error| format!("{line}: {error}"))?;
            self.headers.append(name, value);
        }
        Ok(self)
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    /// The failure of a call that went out without an id.
    pub(crate) fn failed(&self, error: String) -> Box<Failure> {
        let (method, path) = (self.method.to_string(), self.path.clone());
        Asked { request_id: String::new(), method, path, sent_at: Timestamp::now() }.failure(error)
    }

    pub(crate) fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

impl Answer {
    /// The answer, if its status says success.
    pub(crate) fn success(self) -> Result<Self, Box<Failure>> {
        self.with_status(|status| (200..300).contains(&status))
    }

    /// The answer, if its status is as it should be.
    pub(crate) fn with_status(self, expected: impl Fn(u16) -> bool) -> Result<Self, Box<Failure>> {
        if expected(self.status) { Ok(self) } else { Err(self.unexpected()) }
    }

    /// The failure of an answer whose status is not as it should be.
    pub(crate) fn unexpected(&self) -> Box<Failure> {
        let problem: Option<Value> = serde_json::from_slice(&self.body).ok().filter(Value::is_object);
        let detail = match &problem {
            Some(problem) => problem["detail"].as_str().unwrap_or_default().to_owned(),
            None => String::from_utf8_lossy(&self.body).split_whitespace().take(12).collect::<Vec<_>>().join(" "),
        };
        let mut failure = self.wrong(format!("status {}: {detail}", self.status));
        failure.problem = problem;
        failure
    }

    /// A failure: the answer is not what it should be.
    pub(crate) fn wrong(&self, error: impl Into<String>) -> Box<Failure> {
        let mut failure = self.asked.failure(error.into());
        failure.status = Some(self.status);
        failure
    }

    pub(crate) fn json(&self) -> Result<Value, Box<Failure>> {
        serde_json::from_slice(&self.body).map_err(|error| self.wrong(format!("no JSON: {error}")))
    }

    pub(crate) fn text(&self) -> Result<&str, Box<Failure>> {
        std::str::from_utf8(&self.body).map_err(|error| self.wrong(format!("no text: {error}")))
    }
}

impl Asked {
    fn failure(&self, error: String) -> Box<Failure> {
        Box::new(Failure {
            operation: "",
            request_id: self.request_id.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            status: None,
            error,
            problem: None,
            sent_at: self.sent_at,
            failed_at: Timestamp::now(),
            wanted: None,
            due_ms: 0,
        })
    }
}

/// An error with all of its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
