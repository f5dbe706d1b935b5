//! The backend that never changes: a given table, or the variables `<SERVICE>_URL` that `pinnace up` sets.

use std::collections::HashMap;

use pinnace_types::{ServiceName, environment};
use tokio::sync::watch;

use crate::{Endpoint, Endpoints, InvalidEndpoint, Registry};

/// A fixed table.
#[derive(Debug)]
pub struct StaticRegistry {
    services: HashMap<ServiceName, watch::Sender<Vec<Endpoint>>>,
}

impl StaticRegistry {
    /// Knows exactly these.
    pub fn new(table: impl IntoIterator<Item = (ServiceName, Vec<Endpoint>)>) -> Self {
        let services = table.into_iter().map(|(service, endpoints)| (service, watch::Sender::new(endpoints))).collect();
        Self { services }
    }

    /// Takes the address of each named service from its variable; one without a variable has no endpoint. The lookup is
    /// given, so that tests need no environment.
    pub fn from_variables(
        services: &[ServiceName],
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidEndpoint> {
        let mut table = Vec::new();
        for service in services {
            if let Some(url) = lookup(&environment::service_url(service)) {
                table.push((service.clone(), vec![url.parse()?]));
            }
        }
        Ok(Self::new(table))
    }
}

impl Registry for StaticRegistry {
    fn resolve(&self, service: &ServiceName) -> Endpoints {
        Endpoints(self.services.get(service).map_or_else(|| watch::channel(Vec::new()).1, watch::Sender::subscribe))
    }
}
