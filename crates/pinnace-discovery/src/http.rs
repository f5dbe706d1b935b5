//! Calls of a registry's REST API: each with a time limit, each answer with a size limit.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pinnace_http::client::{Client, ClientConfig, ClientErrorKind};
use pinnace_http::{Body, BodyTooLarge, Limited};
use serde_json::Value;
use tokio::time::timeout;

use crate::Endpoint;

/// For a call that does not wait for a change.
pub(crate) const CALL: Duration = Duration::from_secs(5);
/// What an answer may have: 10,000 instances as Eureka describes them.
const LARGEST: u64 = 16 << 20;
/// Of a text that explains a refusal, so much is shown.
const SHOWN: usize = 200;
/// What may stand in a segment of a path as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// One registry, and who one is there.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    endpoint: Endpoint,
    headers: HeaderMap,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why a call did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("no connection to {0}")]
    NoConnection(String),
    #[error("{0} broke the connection")]
    Broken(String),
    #[error("{0} did not answer in time")]
    TooLate(String),
    #[error("{place} answered {}{detail}", status.as_u16())]
    Refused { place: String, status: StatusCode, detail: String },
    #[error("the answer of {place} is not understood: {problem}")]
    Nonsense { place: String, problem: String },
}

impl Http {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("pinnace/", env!("CARGO_PKG_VERSION"))));
        Self { client: Client::new(ClientConfig::default()), endpoint, headers }
    }

    /// Sends this with every call. It is never shown.
    pub(crate) fn with_secret(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self
    }

    /// Calls, and returns what comes back within the time.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> Result<Answer, Trouble> {
        let uri = format!("{}{path}", self.endpoint);
        let mut builder = Request::builder().method(method).uri(uri);
        if let Some(headers) = builder.headers_mut() {
            headers.clone_from(&self.headers);
            if body.is_some() {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
        }
        let body = body.map_or_else(Body::empty, |value| Body::full(value.to_string()));
        let request = builder.body(body).map_err(|error| self.nonsense(error))?;
        timeout(patience, self.exchange(request)).await.map_err(|_| Trouble::TooLate(self.place()))?
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Answer, Trouble> {
        let response = self.client.send(request).await.map_err(|error| match error.kind {
            ClientErrorKind::Connect => Trouble::NoConnection(self.place()),
            ClientErrorKind::Broken => Trouble::Broken(self.place()),
        })?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST).collect().await.map_err(|error| {
            if error.is::<BodyTooLarge>() { self.nonsense(error) } else { Trouble::Broken(self.place()) }
        })?;
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }

    /// The answer as an error.
    pub(crate) fn refused(&self, answer: &Answer) -> Trouble {
        let text = String::from_utf8_lossy(&answer.body);
        let line: String = text.trim().chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let detail = if line.is_empty() { line } else { format!(": {line}") };
        Trouble::Refused { place: self.place(), status: answer.status, detail }
    }

    pub(crate) fn nonsense(&self, problem: impl std::fmt::Display) -> Trouble {
        Trouble::Nonsense { place: self.place(), problem: problem.to_string() }
    }

    /// How the registry is called in messages.
    pub(crate) fn place(&self) -> String {
        self.endpoint.authority()
    }
}

impl Answer {
    /// A header's number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.headers.get(name)?.to_str().ok()?.trim().parse().ok()
    }
}

/// A name as a segment of a path.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}
