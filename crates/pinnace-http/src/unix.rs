//! A client for HTTP on a Unix socket: how commands and the hub talk to a supervisor.

use std::io;
use std::path::{Path, PathBuf};

use http::{Method, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use pinnace_types::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::Body;

/// Answers that are read whole are at most this long.
const MAX_ANSWER: usize = 16 << 20;

/// Speaks to one socket; a connection for each request.
#[derive(Clone, Debug)]
pub struct UnixClient {
    path: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnixError {
    /// Nobody listens there.
    #[error("nobody listens on `{}`", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Http(#[from] hyper::Error),
    /// It answered with a problem.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// It answered with something that was not expected.
    #[error("the answer is not what was expected: {0}")]
    Answer(String),
}

impl UnixClient {
    /// A client for the socket at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks for a JSON document.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, UnixError> {
        self.json(Method::GET, path, Body::empty()).await
    }

    /// Sends a JSON document and reads another.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, UnixError> {
        let text = serde_json::to_vec(body).map_err(|error| UnixError::Answer(error.to_string()))?;
        self.json(Method::POST, path, Body::full(text)).await
    }

    /// Asks for a stream; a status that is no success is an error.
    pub async fn stream(&self, path: &str) -> Result<Incoming, UnixError> {
        let response = self.send(Method::GET, path, Body::empty()).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(Self::problem(&Self::read(response.into_body()).await?))
    }

    /// Sends a request as it is, for a proxy.
    pub async fn send(&self, method: Method, path: &str, body: Body) -> Result<Response<Incoming>, UnixError> {
        let stream = UnixStream::connect(&self.path)
            .await
            .map_err(|source| UnixError::Connect { path: self.path.clone(), source })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the answer's body, or when the answer is dropped.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| UnixError::Answer(error.to_string()))?;
        Ok(sender.send_request(request).await?)
    }

    async fn json<T: DeserializeOwned>(&self, method: Method, path: &str, body: Body) -> Result<T, UnixError> {
        let response = self.send(method, path, body).await?;
        let success = response.status().is_success();
        let bytes = Self::read(response.into_body()).await?;
        if !success {
            return Err(Self::problem(&bytes));
        }
        serde_json::from_slice(&bytes).map_err(|error| UnixError::Answer(error.to_string()))
    }

    async fn read(body: Incoming) -> Result<bytes::Bytes, UnixError> {
        http_body_util::Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .map_err(|error| UnixError::Answer(error.to_string()))
    }

    fn problem(bytes: &[u8]) -> UnixError {
        match serde_json::from_slice::<Problem>(bytes) {
            Ok(problem) => UnixError::Problem(Box::new(problem)),
            Err(error) => UnixError::Answer(error.to_string()),
        }
    }
}
