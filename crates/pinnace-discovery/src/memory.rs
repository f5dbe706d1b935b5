//! The backend that is told: for tests, and for a process that learns of instances by itself.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pinnace_types::ServiceName;

use crate::instances::Publisher;
use crate::lease::LeaseState;
use crate::{Instance, Instances, Lease, Registration, Registry};

/// Instances in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryRegistry {
    services: Arc<Mutex<HashMap<ServiceName, Service>>>,
}

#[derive(Debug)]
struct Service {
    instances: Vec<Instance>,
    publisher: Publisher,
}

impl MemoryRegistry {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says which instances a service has from now on. Those who watch are told if that is a change.
    pub fn set(&self, service: &ServiceName, instances: Vec<Instance>) {
        self.change(service, |known| *known = instances);
    }

    fn change(&self, service: &ServiceName, change: impl FnOnce(&mut Vec<Instance>)) {
        let mut services = self.services.lock();
        let Service { instances, publisher } = services.entry(service.clone()).or_default();
        change(instances);
        publisher.publish(instances.clone());
    }
}

impl Default for Service {
    fn default() -> Self {
        let publisher = Publisher::default();
        publisher.publish(Vec::new());
        Self { instances: Vec::new(), publisher }
    }
}

impl Registry for MemoryRegistry {
    fn resolve(&self, service: &ServiceName) -> Instances {
        self.services.lock().entry(service.clone()).or_default().publisher.subscribe()
    }

    fn register(&self, registration: Registration) -> Lease {
        let registry = self.clone();
        Lease::keep(|state, ended| async move {
            let Registration { service, id, ttl, .. } = registration.clone();
            registry.change(&service, |known| {
                known.retain(|other| other.id != id);
                known.push(registration.instance());
            });
            state.send_replace(LeaseState::Registered);
            if ended.await.is_err() {
                tokio::time::sleep(ttl).await;
            }
            registry.change(&service, |known| known.retain(|other| other.id != id));
        })
    }
}
