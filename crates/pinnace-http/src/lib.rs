//! The HTTP server and client that workers, the gateway, the hub and the supervisor share.
//!
//! The server keeps the promise that a reload loses no request: see [`Drain`]. Its HTTP/1 is strict: what can be read in
//! two ways is refused. HTTP/2 follows hyper, within the limits of [`ServerConfig`]. It runs on a current-thread runtime
//! (a Python worker) and on a multi-threaded one alike.
//!
//! Where to read next: `server.rs` for accepting and limits, `server/lifetime.rs` for how one connection ends,
//! `http1.rs` for the codec.

#![forbid(unsafe_code)]

pub mod balance;
mod body;
pub mod client;
mod connection;
mod drain;
mod field_order;
mod http1;
mod interim;
mod limited;
pub mod management;
pub mod pace;
mod problem;
mod request_body;
mod server;
pub mod shed;
pub mod unix;
pub mod upgrade;
pub mod websocket;

pub use body::{Body, BodyClosed, BodySender, BoxError};
pub use connection::{Connection, Peer};
pub use drain::Drain;
pub use field_order::FieldOrder;
pub use hyper::ext::ReasonPhrase;
pub use interim::Interim;
pub use limited::{BodyTooLarge, Limited};
pub use problem::problem_response;
pub use request_body::{RequestBody, RequestBodyError};
pub use server::{Handler, Listener, Server, ServerConfig, ServerCounters, Upgrades};
