//! The hub: composes the engines, keeps what the supervisor says about the system, and answers the API that `ps`-like tools
//! and the dashboard use.
//!
//! It is never on the way between two services, and it starts and ends nothing: what must be done is asked of the
//! supervisor. After `kill -9` it shows at once what it knew, marked stale until the supervisor has confirmed it.
//!
//! Where to read next: `knowledge` for what is known, `feed` for where it comes from, `api` for the table of routes from
//! which the `OpenAPI` document is made too.

#![forbid(unsafe_code)]

mod api;
mod events;
mod feed;
mod guard;
mod hub;
mod knowledge;
mod refusal;
mod registrations;
mod serve;
mod snapshot;

pub use api::openapi;
pub use hub::{Hub, HubConfig, HubError};
pub use pinnace_registry::{Names, RegistryConfig};
pub use snapshot::SnapshotError;
