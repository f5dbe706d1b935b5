//! The engine that knows which instances of which services there are.
//!
//! [`Store`] keeps them in memory and in one `SQLite` file; every change has a number, the index, which grows and never goes
//! back: not over a restart, not over `kill -9`, and not when a damaged file had to be put aside. Whoever has seen an index can
//! wait for a later one. [`Registry`] adds liveness: what does not say that it lives, or does not answer, is told to all who
//! watch. Its faces, [`Registry::consul`] and [`Registry::eureka`], are built upon that and hold no state of their own.
//!
//! Where to read next: `draft` is how every change comes about, `state` what readers see, `liveness` who decides what lives.

#![forbid(unsafe_code)]

mod caller;
mod consul;
mod database;
mod dns;
mod draft;
mod entry;
mod eureka;
mod instance;
mod liveness;
mod probe;
mod query;
mod registry;
mod state;
mod store;

pub use caller::Caller;
pub use consul::Consul;
pub use database::StoreError;
pub use dns::Names;
pub use eureka::Eureka;
pub use instance::{Instance, InvalidInstance, Registration};
pub use registry::{Registry, RegistryConfig};
pub use store::{Opened, Store, StoreConfig};
