//! The engine that knows which instances of which services there are.
//!
//! [`Store`] keeps them in memory and in one `SQLite` file; every change has a number, the index, which grows and never goes
//! back: not over a restart, not over `kill -9`, and not when a damaged file had to be put aside. Whoever has seen an index can
//! wait for a later one. Faces (Consul, Eureka) are built upon this store and hold no state of their own.

#![forbid(unsafe_code)]

mod database;
mod instance;
mod store;

pub use database::StoreError;
pub use instance::{Instance, InvalidInstance, Registration};
pub use store::{Opened, Store, StoreConfig};
