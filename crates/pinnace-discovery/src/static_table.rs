//! The backend that never changes: a given table, or the variables `<SERVICE>_URL` that `pinnace up` sets.

use std::collections::HashMap;

use pinnace_types::{ServiceName, environment};

use crate::{Endpoint, Instance, Instances, InvalidEndpoint, Lease, Registration, Registry};

/// A fixed table. It takes no registration: the lease says so and never becomes one.
#[derive(Debug)]
pub struct StaticRegistry {
    services: HashMap<ServiceName, Vec<Instance>>,
}

impl StaticRegistry {
    /// Knows exactly these.
    pub fn new(table: impl IntoIterator<Item = (ServiceName, Vec<Instance>)>) -> Self {
        Self { services: table.into_iter().collect() }
    }

    /// Takes the address of each named service from its variable; one without a variable has no instance. The lookup is
    /// given, so that tests need no environment.
    pub fn from_variables(
        services: &[ServiceName],
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidEndpoint> {
        let mut table = Vec::new();
        for service in services {
            if let Some(url) = lookup(&environment::service_url(service)) {
                let endpoint: Endpoint = url.parse()?;
                table.push((service.clone(), vec![Instance::new(service.as_str(), endpoint)]));
            }
        }
        Ok(Self::new(table))
    }
}

impl Registry for StaticRegistry {
    fn resolve(&self, service: &ServiceName) -> Instances {
        Instances::fixed(self.services.get(service).map_or(&[], Vec::as_slice))
    }

    fn register(&self, _: Registration) -> Lease {
        Lease::refused("a fixed table takes no registrations")
    }
}
