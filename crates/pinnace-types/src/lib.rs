//! The vocabulary of Pinnace: names, ids, durations, states and the shapes that processes of one system exchange.
//!
//! Every other crate depends on this one, so it does no I/O, starts nothing and knows no engine. A value that exists is
//! valid: each newtype has one fallible constructor, and `serde` goes through it.
//!
//! Where to read next: [`control`] for what `pinnace ps` shows, [`worker`] for what a `serve` parent and its workers say
//! to each other, [`ExitCode`] for how a command ends.

#![forbid(unsafe_code)]

mod byte_size;
pub mod control;
pub mod environment;
mod error_code;
mod exit_code;
pub mod gateway;
mod grpc_code;
mod human_duration;
mod name;
mod problem;
mod request_id;
mod secret;
mod service_token;
pub mod status;
mod trusted_proxies;
pub mod worker;

pub use byte_size::{ByteSize, InvalidByteSize};
pub use error_code::ErrorCode;
pub use exit_code::{ExitCode, ExitCodeRow};
pub use grpc_code::GrpcCode;
pub use human_duration::{HumanDuration, InvalidHumanDuration};
pub use name::{ContextName, InvalidName, ServiceName, SystemName, Topic};
pub use problem::Problem;
pub use request_id::{InvalidRequestId, RequestId};
pub use secret::Secret;
pub use service_token::{service_of_token, service_token};
pub use trusted_proxies::{InvalidTrustedProxies, TrustedProxies};

/// The version of every part of this build; parent and worker refuse to work with any other.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
