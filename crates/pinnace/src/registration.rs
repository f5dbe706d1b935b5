//! The instance in a registry: there while the service is ready, gone before it drains.
//!
//! A task of its own holds the lease, so a registry that is slow or away never holds up the service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pinnace_discovery::{
    Advertise, Endpoint, LeaseState, Registration as Entry, Registry, RegistryAddress, connect, own_address,
};
use pinnace_http::management::Readiness;
use pinnace_types::{ServiceName, environment};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::ServiceError;
use crate::condition::Condition;

/// How often the author's probe is asked, and how often it is looked again which address leads to the registry.
const PERIOD: Duration = Duration::from_secs(1);
/// How long that may take.
const ROUTE: Duration = Duration::from_secs(5);
/// How long the registry may take to take the instance out, before the service drains all the same.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the author says about it; nothing is looked at before the service runs.
#[derive(Clone, Debug)]
pub(crate) struct Registering {
    pub(crate) registry: Option<String>,
    pub(crate) advertise: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) weight: u32,
}

/// An instance that is registered, or about to be.
#[derive(Debug)]
pub(crate) struct Registered {
    leave: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What the task knows.
#[derive(Debug)]
struct Announcement {
    registry: Arc<dyn Registry>,
    place: Endpoint,
    name: ServiceName,
    listening: SocketAddr,
    advertise: Option<Advertise>,
    tags: Vec<String>,
    weight: u32,
    condition: Arc<Condition>,
}

impl Default for Registering {
    fn default() -> Self {
        Self { registry: None, advertise: None, tags: Vec::new(), weight: 1 }
    }
}

impl Registering {
    /// Starts the task for a service that listens there; nothing where no registry is named. The environment comes first.
    pub(crate) fn start(
        self,
        name: &ServiceName,
        listening: SocketAddr,
        condition: &Arc<Condition>,
    ) -> Result<Option<Registered>, ServiceError> {
        let lookup = |variable: &str| std::env::var(variable).ok();
        let (origin, text) = match (lookup(environment::REGISTRY).filter(|text| !text.is_empty()), self.registry) {
            (Some(set), _) => (environment::REGISTRY, set),
            (None, Some(given)) => ("registry", given),
            (None, None) => return Ok(None),
        };
        let parse = |text: &str| text.parse::<RegistryAddress>();
        let address = parse(&text).map_err(|source| ServiceError::RegistryAddress { origin, source })?;
        let advertise = self.advertise.map(|text| text.parse()).transpose().map_err(ServiceError::Advertise)?;
        let announcement = Announcement {
            registry: connect(&address, lookup).map_err(ServiceError::Registry)?,
            place: address.place(lookup).map_err(ServiceError::Registry)?,
            name: name.clone(),
            listening,
            advertise,
            tags: self.tags,
            weight: self.weight,
            condition: Arc::clone(condition),
        };
        let (leave, left) = watch::channel(false);
        Ok(Some(Registered { leave, task: tokio::spawn(announcement.announce_task(left)) }))
    }
}

impl Registered {
    /// Takes the instance out of the registry, as far as that answers within a second.
    pub(crate) async fn leave(mut self) {
        self.leave.send_replace(true);
        // What is not said by then is said by the end of the TTL.
        let _ = timeout(GOODBYE, &mut self.task).await;
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Without a word, as if the process were gone: the service is, or has said goodbye.
        self.task.abort();
    }
}

impl Announcement {
    async fn announce_task(self, mut left: watch::Receiver<bool>) {
        let entry = tokio::select! {
            entry = self.entry() => entry,
            _ = left.wait_for(|left| *left) => return,
        };
        loop {
            tokio::select! {
                () = self.becomes(true) => {}
                _ = left.wait_for(|left| *left) => return,
            }
            let lease = self.registry.register(entry.clone());
            let has_left = tokio::select! {
                () = tell(lease.state(), &entry) => true,
                () = self.becomes(false) => false,
                _ = left.wait_for(|left| *left) => true,
            };
            lease.end().await;
            if has_left {
                return;
            }
            tracing::info!("not registered while it is not ready");
        }
    }

    /// Waits until the service is ready, or is not.
    async fn becomes(&self, ready: bool) {
        loop {
            if (self.condition.readiness().await == Readiness::Ready) == ready {
                return;
            }
            // Without a probe only a drain changes it, and that comes after the goodbye.
            sleep(PERIOD).await;
        }
    }

    /// What to register, as soon as it is known where others reach it.
    async fn entry(&self) -> Entry {
        let mut is_told = false;
        let endpoint = loop {
            match self.endpoint().await {
                Ok(endpoint) => break endpoint,
                Err(reason) if !is_told => {
                    is_told = true;
                    tracing::warn!(reason, "not registered yet, which is tried again");
                }
                Err(_) => {}
            }
            sleep(PERIOD).await;
        };
        let entry = Entry::new(self.name.clone(), endpoint);
        let id = std::env::var(environment::INSTANCE).ok().filter(|id| !id.is_empty()).unwrap_or(entry.id);
        Entry { id, tags: self.tags.clone(), weight: self.weight, ..entry }
    }

    async fn endpoint(&self) -> Result<Endpoint, String> {
        let port = self.listening.port();
        if let Some(given) = self.advertise.as_ref().and_then(|advertise| advertise.endpoint(port)) {
            return Ok(given);
        }
        let none = |problem: String| format!("no address leads to {}: {problem}", self.place.authority());
        let found = timeout(ROUTE, own_address(self.listening, &self.place)).await;
        let address = found.map_err(|error| none(error.to_string()))?.map_err(|error| none(error.to_string()))?;
        Endpoint::try_from(SocketAddr::new(address, port)).map_err(|error| none(error.to_string()))
    }
}

/// Tells what becomes of the registration: once that it is lost, and once that it is back. Ends with the lease.
async fn tell(mut state: watch::Receiver<LeaseState>, entry: &Entry) {
    let mut was_there = None;
    while state.changed().await.is_ok() {
        let now = state.borrow_and_update().clone();
        let is_there = now == LeaseState::Registered;
        match (now, was_there) {
            (LeaseState::Registered, None) => tracing::info!(id = entry.id, endpoint = %entry.endpoint, "registered"),
            (LeaseState::Registered, Some(false)) => tracing::info!("registered again"),
            (LeaseState::NotYet { reason }, None) => tracing::warn!(reason, "not registered yet, which is tried again"),
            (LeaseState::NotYet { reason }, Some(true)) => {
                tracing::warn!(reason, "the registry is away, the service goes on and tries to register again");
            }
            (LeaseState::Registered, Some(true)) | (LeaseState::NotYet { .. }, Some(false)) => {}
        }
        was_there = Some(is_there);
    }
}
