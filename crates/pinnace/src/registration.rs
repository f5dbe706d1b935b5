//! The instance in a registry: there while the service is ready, gone before it drains.
//!
//! A task of its own holds the lease, so a registry that is slow or away never holds up the service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pinnace_discovery::{Announcement, Endpoint, LeaseNews, Registration, Registry, RegistryAddress, connect};
use pinnace_http::management::Readiness;
use pinnace_types::{ServiceName, environment};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::ServiceError;
use crate::condition::Condition;

/// How often the author's probe is asked.
const PERIOD: Duration = Duration::from_secs(1);
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
struct Announced {
    registry: Arc<dyn Registry>,
    place: Endpoint,
    announcement: Announcement,
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
        let announced = Announced {
            registry: connect(&address, lookup).map_err(ServiceError::Registry)?,
            place: address.place(lookup).map_err(ServiceError::Registry)?,
            announcement: Announcement {
                service: name.clone(),
                listening,
                advertise,
                id: lookup(environment::INSTANCE).filter(|id| !id.is_empty()),
                tags: self.tags,
                weight: self.weight,
            },
            condition: Arc::clone(condition),
        };
        let (leave, left) = watch::channel(false);
        Ok(Some(Registered { leave, task: tokio::spawn(announced.announce_task(left)) }))
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

impl Announced {
    async fn announce_task(self, mut left: watch::Receiver<bool>) {
        let not_yet = |reason| tell(&LeaseNews::NotYet { reason }, None);
        let entry = tokio::select! {
            entry = self.announcement.registration(&self.place, not_yet) => entry,
            _ = left.wait_for(|left| *left) => return,
        };
        loop {
            tokio::select! {
                () = self.becomes(true) => {}
                _ = left.wait_for(|left| *left) => return,
            }
            let lease = self.registry.register(entry.clone());
            let mut news = lease.news();
            let telling = async {
                while let Some(news) = news.next().await {
                    tell(&news, Some(&entry));
                }
            };
            let has_left = tokio::select! {
                () = telling => true,
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
}

fn tell(news: &LeaseNews, entry: Option<&Registration>) {
    match news {
        LeaseNews::Registered => {
            let id = entry.map(|entry| entry.id.as_str());
            let endpoint = entry.map(|entry| tracing::field::display(&entry.endpoint));
            tracing::info!(id, endpoint, "registered");
        }
        LeaseNews::Again => tracing::info!("registered again"),
        LeaseNews::NotYet { reason } => tracing::warn!(reason, "not registered yet, which is tried again"),
        LeaseNews::Lost { reason } => {
            tracing::warn!(reason, "the registry is away, the service goes on and tries to register again");
        }
    }
}
