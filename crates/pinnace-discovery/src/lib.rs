//! Where the instances of a service are, and how an instance says that it is there.
//!
//! [`Registry`] is one trait with one file for each backend: [`StaticRegistry`] knows a table (or `<SERVICE>_URL`) that
//! never changes, [`MemoryRegistry`] is told, [`ConsulRegistry`] and [`EurekaRegistry`] speak to a server. [`connect()`] finds
//! the right one for an address. A caller resolves once and watches: instances stay cached in the caller, so a
//! backend that goes away costs no request. An instance registers once and holds a [`Lease`], which does the rest.
//!
//! ```
//! use pinnace_discovery::{MemoryRegistry, Registration, Registry as _};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = MemoryRegistry::new(); // or `connect(&"consul://127.0.0.1:8500".parse()?, |_| None)?`
//! let mut orders = registry.resolve(&"orders".parse()?);
//! let registration = Registration::new("orders".parse()?, "http://10.0.0.7:8000".parse()?);
//! let lease = registry.register(Registration { weight: 2, ..registration });
//!
//! let instances = orders.changed().await.ok_or("nobody can register any more")?;
//! assert_eq!((instances[0].id.as_str(), instances[0].weight), ("orders-10.0.0.7-8000", 2));
//! lease.end().await;
//! assert!(orders.current().is_empty());
//! # Ok(()) }
//! ```
//!
//! Must never know an engine: Pinnace's own registry is spoken to by the standards that it serves.

#![forbid(unsafe_code)]

mod address;
mod advertise;
mod announcement;
mod connect;
mod consul;
mod endpoint;
mod eureka;
mod follow;
mod http;
mod instance;
mod instances;
mod lease;
mod memory;
mod pauses;
mod static_table;

use std::fmt;

use pinnace_types::ServiceName;

pub use address::{EurekaLocation, InvalidRegistryAddress, RegistryAddress};
pub use advertise::{Advertise, InvalidAdvertise};
pub use announcement::Announcement;
pub use connect::{ConnectError, connect};
pub use consul::{ConsulRegistry, InvalidToken};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use eureka::{EurekaConfig, EurekaRegistry};
pub use instance::{DEFAULT_TTL, Instance, Registration};
pub use instances::Instances;
pub use lease::{Lease, LeaseNews, LeaseState, NewsOfLease};
pub use memory::MemoryRegistry;
pub use static_table::StaticRegistry;

/// Something that knows where services are.
///
/// Both calls return at once and start a task, so they need a Tokio runtime; what they return shows how it goes on.
pub trait Registry: fmt::Debug + Send + Sync {
    /// The healthy instances of a service now, and every change of them. A service that is not known has none yet.
    fn resolve(&self, service: &ServiceName) -> Instances;

    /// Registers an instance and keeps it registered until its lease ends.
    fn register(&self, registration: Registration) -> Lease;
}
