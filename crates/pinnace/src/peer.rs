//! Another service, as this one calls it: by name, with a timeout, passing on the request's id.

mod answer;
mod error;
mod grpc;

use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use pinnace_http::Body;
use pinnace_http::client::{Client, ClientConfig, ClientError, ClientErrorKind};
use pinnace_telemetry::{REQUEST_ID_HEADER, current_request_id, new_request_id};
use pinnace_types::{ServiceName, environment};
use serde::Serialize;

pub use answer::Answer;
pub use error::{PeerError, PeerErrorKind};
pub use grpc::GrpcChannel;

/// Another service. Clones share its connections.
///
/// Defaults: 2 s to connect, 10 s for the whole answer, 16 MiB of it. Nothing is sent twice, except where not a byte of it
/// was written. Plain HTTP/1.1 is spoken, and HTTP/2 where it is [`grpc`](Self::grpc).
#[derive(Clone, Debug)]
pub struct Peer {
    name: ServiceName,
    authority: Authority,
    /// What stands before every path; without a slash at its end.
    base: String,
    timeout: Duration,
    answer_limit: usize,
    client: Client,
    /// For gRPC, which needs HTTP/2.
    calls: Client,
}

impl Peer {
    /// A service that the manifest names in this one's `calls`: its address stands in `<SERVICE>_URL`.
    ///
    /// ```
    /// let error = pinnace::Peer::from_environment("catalog").unwrap_err();
    /// assert_eq!(error.to_string(), "catalog: CATALOG_URL is not set; `calls = [\"catalog\"]` in pinnace.toml sets it");
    /// ```
    pub fn from_environment(name: &str) -> Result<Self, PeerError> {
        let service = parse_name(name)?;
        let variable = environment::service_url(&service);
        match std::env::var(&variable) {
            Ok(url) if !url.is_empty() => Self::new(name, &url),
            _ => Err(PeerError::new(name, PeerErrorKind::Unset { variable })),
        }
    }

    /// A service at this address, such as `http://127.0.0.1:41231`.
    pub fn new(name: &str, url: &str) -> Result<Self, PeerError> {
        let refused = |reason| PeerError::new(name, PeerErrorKind::Address { reason });
        let parts = url.parse::<Uri>().map_err(|_| refused("it is no URL"))?.into_parts();
        if parts.scheme.as_ref() != Some(&Scheme::HTTP) {
            return Err(refused("it does not begin with http://"));
        }
        let authority = parts.authority.ok_or_else(|| refused("it names no host"))?;
        // What the address says is not shown: it may be a password.
        if authority.as_str().contains('@') {
            return Err(refused("it holds a user name, which is not passed on"));
        }
        let base = parts.path_and_query.as_ref().map_or("", |path| path.path()).trim_end_matches('/').to_owned();
        Ok(Self {
            name: parse_name(name)?,
            authority,
            base,
            timeout: Duration::from_secs(10),
            answer_limit: 16 << 20,
            client: Client::new(ClientConfig::default()),
            calls: Client::http2(ClientConfig::default()),
        })
    }

    /// From the request to the last byte of its answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Bytes that the body of an answer may have.
    #[must_use]
    pub fn answer_limit(mut self, bytes: usize) -> Self {
        self.answer_limit = bytes;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Asks for a path, which may have a query.
    pub async fn get(&self, path: &str) -> Result<Answer, PeerError> {
        self.send(self.request(Method::GET, path, Body::empty())?).await
    }

    /// Sends a document as JSON.
    pub async fn post<T: Serialize + Sync + ?Sized>(&self, path: &str, document: &T) -> Result<Answer, PeerError> {
        self.send(self.json(Method::POST, path, document)?).await
    }

    /// Puts a document as JSON.
    pub async fn put<T: Serialize + Sync + ?Sized>(&self, path: &str, document: &T) -> Result<Answer, PeerError> {
        self.send(self.json(Method::PUT, path, document)?).await
    }

    /// Deletes what is at a path.
    pub async fn delete(&self, path: &str) -> Result<Answer, PeerError> {
        self.send(self.request(Method::DELETE, path, Body::empty())?).await
    }

    /// Sends any request. Its URI is a path, perhaps with a query; the id of the request that is being answered goes with
    /// it unless it has one itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), pinnace::BoxError> {
    /// use pinnace::axum::{Router, http::Request, routing::patch};
    /// use pinnace::{Body, Peer, Service};
    ///
    /// let routes = Router::new().route("/parcels/{id}", patch(|body: String| async move { body.to_uppercase() }));
    /// # let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let shipping = Peer::new("shipping", &format!("http://{}", socket.local_addr()?))?;
    /// # tokio::spawn(Service::new("shipping").routes(routes).listener(socket).serve());
    /// let request = Request::patch("/parcels/7").header("content-type", "text/plain").body(Body::from("fragile"))?;
    /// assert_eq!(shipping.send(request).await?.text(), "FRAGILE");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send(&self, request: Request<Body>) -> Result<Answer, PeerError> {
        let request = self.addressed(request)?;
        let answered = tokio::time::timeout(self.timeout, self.exchange(request)).await;
        answered.unwrap_or_else(|_| Err(self.error(PeerErrorKind::TimedOut { after: self.timeout })))
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Answer, PeerError> {
        let response = self.client.send(request).await.map_err(|error| self.lost(&error))?;
        let (head, body) = response.into_parts();
        let collected = Limited::new(body, self.answer_limit).collect().await.map_err(|error| {
            let is_too_large = error.is::<http_body_util::LengthLimitError>();
            let too_large = PeerErrorKind::TooLarge { limit: self.answer_limit };
            self.error(if is_too_large { too_large } else { PeerErrorKind::Broken })
        })?;
        Ok(Answer::new(self.name.clone(), head, collected.to_bytes()))
    }

    fn json<T: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        document: &T,
    ) -> Result<Request<Body>, PeerError> {
        let bytes = serde_json::to_vec(document)
            .map_err(|error| self.error(PeerErrorKind::Request { reason: error.to_string() }))?;
        let mut request = self.request(method, path, Body::full(Bytes::from(bytes)))?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Result<Request<Body>, PeerError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| self.error(no_path(path)))?;
        Ok(request)
    }

    /// Gives a request its whole address and its id.
    fn addressed(&self, mut request: Request<Body>) -> Result<Request<Body>, PeerError> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        if request.uri().authority().is_some() || !path.starts_with('/') {
            return Err(self.error(no_path(&request.uri().to_string())));
        }
        let whole = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}", self.base));
        *request.uri_mut() = whole.build().map_err(|_| self.error(no_path(path)))?;
        let id = current_request_id().unwrap_or_else(new_request_id);
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            request.headers_mut().entry(REQUEST_ID_HEADER).or_insert(value);
        }
        Ok(request)
    }

    /// Why there is no response.
    fn lost(&self, error: &ClientError) -> PeerError {
        self.error(match error.kind {
            ClientErrorKind::Connect => PeerErrorKind::Unreachable,
            ClientErrorKind::Broken => PeerErrorKind::Broken,
        })
    }

    fn error(&self, kind: PeerErrorKind) -> PeerError {
        PeerError::new(self.name.as_str(), kind)
    }
}

fn parse_name(name: &str) -> Result<ServiceName, PeerError> {
    ServiceName::try_new(name).map_err(|error| PeerError::new(name, PeerErrorKind::Name(error)))
}

fn no_path(path: &str) -> PeerErrorKind {
    PeerErrorKind::Request { reason: format!("`{path}` is no path: it begins with `/`") }
}
