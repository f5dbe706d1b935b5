//! One instance of a service: as it is found, and as it says of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use pinnace_types::ServiceName;

use crate::Endpoint;

/// For how long an instance counts as alive without a sign of life, where nothing else is said.
pub const DEFAULT_TTL: Duration = Duration::from_secs(10);

/// An instance that a registry knows and holds for healthy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instance {
    /// Its id: the only one of its service with it.
    pub id: String,
    /// Where it answers.
    pub endpoint: Endpoint,
    /// Its share of the requests beside the others', at least 1.
    pub weight: u32,
    /// Words by which callers choose, such as `canary`.
    pub tags: Vec<String>,
    /// What else it says of itself.
    pub meta: BTreeMap<String, String>,
}

/// What an instance tells a registry.
///
/// Defaults of [`Registration::new`]: weight 1, no tags, no meta, a TTL of 10 s.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registration {
    /// The service that it is an instance of.
    pub service: ServiceName,
    /// Its id, the only one in the registry: `orders-10.0.0.7-8000`.
    pub id: String,
    /// Where others reach it.
    pub endpoint: Endpoint,
    /// Its share of the requests beside the others', at least 1; 0 counts as 1.
    pub weight: u32,
    /// Words by which callers choose. A comma parts words on the way through Eureka, which has no tags of its own.
    pub tags: Vec<String>,
    /// What else it says of itself.
    pub meta: BTreeMap<String, String>,
    /// For how long it counts as alive without a sign of life; one is given at a third of it.
    pub ttl: Duration,
}

impl Instance {
    /// With weight 1, and nothing else said of it.
    pub fn new(id: impl Into<String>, endpoint: Endpoint) -> Self {
        Self { id: id.into(), endpoint, weight: 1, tags: Vec::new(), meta: BTreeMap::new() }
    }
}

impl Registration {
    /// With the defaults. The id is made of the service's name, the host and the port.
    pub fn new(service: ServiceName, endpoint: Endpoint) -> Self {
        let id = format!("{service}-{}-{}", endpoint.host(), endpoint.port());
        Self { service, id, endpoint, weight: 1, tags: Vec::new(), meta: BTreeMap::new(), ttl: DEFAULT_TTL }
    }

    /// The instance that others will find.
    pub fn instance(&self) -> Instance {
        let Self { id, endpoint, weight, tags, meta, .. } = self.clone();
        Instance { id, endpoint, weight: weight.max(1), tags, meta }
    }
}
