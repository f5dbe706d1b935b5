//! Where the instances of a service are.
//!
//! [`Registry`] is one trait with one file for each backend: [`StaticRegistry`] knows a table (or `<SERVICE>_URL`) that
//! never changes, [`MemoryRegistry`] is told. A caller resolves once and watches: endpoints stay cached in the caller, so a
//! backend that goes away costs no request.

#![forbid(unsafe_code)]

mod endpoint;
mod memory;
mod static_table;

use std::fmt;

use pinnace_types::ServiceName;
use tokio::sync::watch;

pub use endpoint::{Endpoint, InvalidEndpoint};
pub use memory::MemoryRegistry;
pub use static_table::StaticRegistry;

/// Something that knows where services are.
pub trait Registry: fmt::Debug + Send + Sync {
    /// The endpoints of a service now, and every change of them. A service that is not known has none yet.
    fn resolve(&self, service: &ServiceName) -> Endpoints;
}

/// A cached view of a service's endpoints that follows its backend for as long as that lives, and keeps the last state then.
#[derive(Clone, Debug)]
pub struct Endpoints(watch::Receiver<Vec<Endpoint>>);

impl Endpoints {
    /// The endpoints at this moment.
    pub fn current(&self) -> Vec<Endpoint> {
        self.0.borrow().clone()
    }

    /// Waits for the next change and returns the endpoints after it; nothing when no change can come any more.
    pub async fn changed(&mut self) -> Option<Vec<Endpoint>> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }
}
