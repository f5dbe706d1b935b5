//! The way out: a pool of connections to services.
//!
//! Idle connections are closed after 4 s, sooner than a draining server of ours closes them (6 s), so that a request is
//! never written to a connection that is just being closed.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::Body;

/// Settings of a [`Client`].
///
/// Defaults: 2 s to connect, idle connections kept for 4 s, 256 of them for each address.
#[derive(Clone, Copy, Debug)]
pub struct ClientConfig {
    /// For a connection to be made.
    pub connect_timeout: Duration,
    /// For how long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Idle connections that are kept for each address.
    pub max_idle: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(2), idle_timeout: Duration::from_secs(4), max_idle: 256 }
    }
}

/// How often the other side of a busy HTTP/2 connection is asked whether it lives, and how long it may take to say so:
/// calls on it may be silent for as long as they like.
const HTTP2_PING: Duration = Duration::from_secs(20);
const HTTP2_PONG: Duration = Duration::from_secs(10);

/// What is spoken on a pool's connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Protocol {
    Http1,
    Http2,
}

/// A pool of connections; clones share it.
#[derive(Clone, Debug)]
pub struct Client(legacy::Client<HttpConnector, Body>);

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct ClientError {
    /// Whose turn it was.
    pub kind: ClientErrorKind,
    /// What hyper said.
    #[source]
    source: legacy::Error,
}

/// The kinds of [`ClientError`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClientErrorKind {
    /// No connection: the request was not sent.
    #[error("no connection")]
    Connect,
    /// The connection broke before a response came; the request may have been read.
    #[error("the connection broke before a response came")]
    Broken,
}

impl Client {
    /// A pool with these settings, for plain HTTP/1.
    pub fn new(config: ClientConfig) -> Self {
        Self::speaking(config, Protocol::Http1)
    }

    /// A pool with these settings, for HTTP/2 without TLS and without a question beforehand ("prior knowledge", RFC 9113
    /// section 3.3), as gRPC speaks it. Requests to one address share a connection.
    pub fn http2(config: ClientConfig) -> Self {
        Self::speaking(config, Protocol::Http2)
    }

    fn speaking(config: ClientConfig, protocol: Protocol) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(config.connect_timeout));
        connector.set_nodelay(true);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_timeout)
            .pool_max_idle_per_host(config.max_idle)
            .retry_canceled_requests(true)
            .http2_only(protocol == Protocol::Http2)
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(HTTP2_PING)
            .http2_keep_alive_timeout(HTTP2_PONG)
            .build(connector);
        Self(client)
    }

    /// Sends a request with an absolute URI. One that found its pooled connection closed before a byte of it was
    /// written is sent again on another.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        self.0.request(request).await.map_err(|source| ClientError {
            kind: if source.is_connect() { ClientErrorKind::Connect } else { ClientErrorKind::Broken },
            source,
        })
    }
}
