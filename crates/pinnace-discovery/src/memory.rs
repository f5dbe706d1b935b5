//! The backend that is told: for tests, and for a process that learns of instances by itself.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pinnace_types::ServiceName;
use tokio::sync::watch;

use crate::{Endpoint, Endpoints, Registry};

/// Endpoints in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryRegistry {
    services: Arc<Mutex<HashMap<ServiceName, watch::Sender<Vec<Endpoint>>>>>,
}

impl MemoryRegistry {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says where a service is from now on. Those who watch are told if that is a change.
    pub fn set(&self, service: &ServiceName, endpoints: Vec<Endpoint>) {
        let mut services = self.services.lock();
        let sender = services.entry(service.clone()).or_default();
        sender.send_if_modified(|current| {
            let changed = *current != endpoints;
            *current = endpoints;
            changed
        });
    }
}

impl Registry for MemoryRegistry {
    fn resolve(&self, service: &ServiceName) -> Endpoints {
        Endpoints(self.services.lock().entry(service.clone()).or_default().subscribe())
    }
}
