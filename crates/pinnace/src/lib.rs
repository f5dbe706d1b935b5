//! What the author of a Rust service imports. An axum router becomes a service that is as much at home in a system as a
//! Python one:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use pinnace::axum::Router;
//! use pinnace::axum::routing::get;
//!
//! #[tokio::main]
//! async fn main() -> ExitCode {
//!     let routes = Router::new().route("/rates", get(|| async { "12.50" }));
//!     pinnace::Service::new("shipping").routes(routes).run().await
//! }
//! ```
//!
//! Nothing else is needed for
//!
//! * **an address**: the sockets that the process inherits (`LISTEN_FDS`), else `PORT`, else 127.0.0.1:8000;
//! * **the management paths** `/-/health/live`, `/-/health/ready`, `/-/info` and `/-/metrics`, word for word as a Python
//!   service has them; see [`Service::ready`] for a readiness of your own;
//! * **request ids**: `X-Request-Id` is taken over or made, stands in every log line that is written for the request, is
//!   passed on by a [`Peer`], and comes back with the answer;
//! * **gRPC** on the same address: see [`Service::grpc`];
//! * **a place in a registry**, Consul or Eureka, where `PINNACE_REGISTRY` names one: see [`Service::registry`];
//! * **logs**: a line for each request, and what you write with `tracing`, as text or as JSON;
//! * **an end that loses nothing**: at SIGTERM no more connections are accepted and begun requests are finished; see
//!   [`Service`] for all of the signals.
//!
//! # Calling other services
//!
//! The addresses of services that the manifest names in `calls` stand in the environment. A [`Peer`] is made of one, with a
//! timeout, and an error that is a response: a handler may pass it on with `?`.
//!
//! ```
//! use pinnace::axum::Router;
//! use pinnace::axum::extract::{Path, State};
//! use pinnace::axum::routing::get;
//! use pinnace::{Peer, PeerError, Service};
//!
//! async fn weight(State(catalog): State<Peer>, Path(sku): Path<String>) -> Result<String, PeerError> {
//!     let product: serde_json::Value = catalog.get(&format!("/products/{sku}")).await?.json()?;
//!     Ok(product["weight"].to_string())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), pinnace::BoxError> {
//! # // Two services in one process; each of them in a process of its own is what they are for.
//! let product = Router::new().route("/products/{sku}", get(|| async { r#"{"sku": "anchor", "weight": 12}"# }));
//! # let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let catalog_url = format!("http://{}", socket.local_addr()?);
//! # tokio::spawn(Service::new("catalog").routes(product).listener(socket).serve());
//! // In a service this is `Peer::from_environment("catalog")?`.
//! let catalog = Peer::new("catalog", &catalog_url)?;
//! let routes = Router::new().route("/weights/{sku}", get(weight)).with_state(catalog);
//! # let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let shipping = Peer::new("shipping", &format!("http://{}", socket.local_addr()?))?;
//! # tokio::spawn(Service::new("shipping").routes(routes).listener(socket).serve());
//! assert_eq!(shipping.get("/weights/anchor").await?.text(), "12");
//! # Ok(())
//! # }
//! ```
//!
//! # In a system
//!
//! A Rust service is a `command` service of `pinnace.toml`:
//!
//! ```toml
//! [service.shipping]
//! command = ["./target/release/shipping"]
//! health = "/-/health/ready"
//! route = "/shipments"
//! calls = ["catalog"]
//! ```
//!
//! `examples/shipping.rs` is a whole one. Where to read next: `service.rs` for how a service lives, `handler.rs` for what
//! happens to a request, `peer.rs` for the way to other services.

#![forbid(unsafe_code)]

mod condition;
mod error;
mod grpc;
mod handler;
mod listening;
mod observed;
mod peer;
mod registration;
mod service;
mod signals;

pub use axum;
pub use condition::Stopping;
pub use error::ServiceError;
pub use peer::{Answer, GrpcChannel, Peer, PeerError, PeerErrorKind};
pub use pinnace_http::{Body, BoxError, problem_response};
pub use pinnace_telemetry::{current_request_id, within_request};
pub use pinnace_types::worker::LogFormat;
pub use pinnace_types::{ErrorCode, Problem, RequestId};
pub use service::Service;
pub use tonic;

/// The chapter of the handbook, so that its examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/hosting/rust.md")]
struct Handbook;
