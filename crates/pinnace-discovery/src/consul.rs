//! Consul's HTTP API, as a Consul agent and Pinnace's own registry speak it.
//!
//! A service is followed by blocking queries (<https://developer.hashicorp.com/consul/api-docs/features/blocking>), one at a
//! time for each service, so a change arrives when it happens. An instance has one TTL check
//! (<https://developer.hashicorp.com/consul/api-docs/agent/check>) and is removed by Consul itself when that has been
//! critical for long.

mod following;
mod registering;
mod shapes;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use pinnace_types::{Secret, ServiceName};

use crate::follow::Presence;
use crate::http::Http;
use crate::instances::Publisher;
use crate::lease::keep;
use crate::{Endpoint, Instances, Lease, Registration, Registry};

const TOKEN: HeaderName = HeaderName::from_static("x-consul-token");

/// A registry that speaks Consul's API. Clones share what they follow.
#[derive(Clone)]
pub struct ConsulRegistry(Arc<Agent>);

/// What every task needs.
#[derive(Debug)]
struct Agent {
    http: Http,
    /// What is followed; an entry lives for as long as somebody watches.
    followed: Mutex<HashMap<ServiceName, Arc<Publisher>>>,
    presence: Presence,
}

/// The token has characters that no header can carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the token of Consul has characters that no HTTP header can carry")]
pub struct InvalidToken;

impl ConsulRegistry {
    /// The agent at this place. Nothing is asked yet.
    pub fn try_new(agent: Endpoint, token: Option<&Secret<String>>) -> Result<Self, InvalidToken> {
        let mut http = Http::new(agent);
        if let Some(token) = token {
            let value = HeaderValue::from_str(token.expose()).map_err(|_| InvalidToken)?;
            http = http.with_secret(TOKEN, value);
        }
        Ok(Self(Arc::new(Agent { http, followed: Mutex::default(), presence: Presence::default() })))
    }
}

impl Registry for ConsulRegistry {
    fn resolve(&self, service: &ServiceName) -> Instances {
        let mut followed = self.0.followed.lock();
        if let Some(publisher) = followed.get(service) {
            return publisher.subscribe();
        }
        let publisher = Arc::new(Publisher::default());
        let instances = publisher.subscribe();
        followed.insert(service.clone(), Arc::clone(&publisher));
        // It ends when nobody watches any more.
        tokio::spawn(following::follow(Arc::clone(&self.0), service.clone(), publisher));
        instances
    }

    fn register(&self, registration: Registration) -> Lease {
        let ttl = registration.ttl;
        let keeper = registering::Registered::new(Arc::clone(&self.0), &registration);
        Lease::keep(move |state, ended| keep(keeper, ttl, state, ended))
    }
}

impl fmt::Debug for ConsulRegistry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ConsulRegistry({})", self.0.http.place())
    }
}
