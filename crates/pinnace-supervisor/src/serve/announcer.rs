//! The instance in a registry: there while a worker answers, gone before the workers drain.
//!
//! A task of its own holds the lease, so that a registry that is slow or away never holds up the pool. The pool says only
//! whether the instance should be there, and is told when that has changed and what the registry makes of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pinnace_discovery::{Announcement, Endpoint, LeaseNews, Registry, connect};
use pinnace_types::ServiceName;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::worker::Event;
use super::{RegistrationConfig, ServeError};

/// How long the registry may take to take the instance out, before the workers drain all the same.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the pool holds of the task.
#[derive(Debug)]
pub(super) struct Announcer {
    wanted: watch::Sender<bool>,
    is_there: watch::Receiver<bool>,
}

/// What is registered, and with whom.
#[derive(Debug)]
struct Announced {
    registry: Arc<dyn Registry>,
    place: Endpoint,
    announcement: Announcement,
}

// ---- what the pool says ----

impl Announcer {
    /// Starts the task for a service that listens there. Nothing is registered yet.
    pub(super) fn start(
        name: &str,
        listening: SocketAddr,
        config: RegistrationConfig,
        events: mpsc::Sender<Event>,
    ) -> Result<Self, ServeError> {
        let lookup = |name: &str| std::env::var(name).ok();
        let service = ServiceName::try_new(name).map_err(ServeError::Name)?;
        let place = config.registry.place(lookup).map_err(ServeError::Registry)?;
        let registry = connect(&config.registry, lookup).map_err(ServeError::Registry)?;
        let (wanted, wanted_rx) = watch::channel(false);
        let (there_tx, is_there) = watch::channel(false);
        let RegistrationConfig { advertise, instance: id, tags, weight, .. } = config;
        let announcement = Announcement { service, listening, advertise, id, tags, weight };
        let announced = Announced { registry, place, announcement };
        // It ends with the announcer, without a word to the registry.
        tokio::spawn(announced.announce_task(wanted_rx, there_tx, events));
        Ok(Self { wanted, is_there })
    }

    /// Says whether the instance should be in the registry.
    pub(super) fn should_be_there(&self, wanted: bool) {
        self.wanted.send_if_modified(|known| std::mem::replace(known, wanted) != wanted);
    }

    /// Takes the instance out, and sends [`Event::Left`] when that is done or has taken too long. Says whether there is
    /// anything to wait for.
    pub(super) fn leave(&self, events: mpsc::Sender<Event>) -> bool {
        self.should_be_there(false);
        let mut is_there = self.is_there.clone();
        if !*is_there.borrow() {
            return false;
        }
        // It ends with the goodbye.
        tokio::spawn(async move {
            let _ = timeout(GOODBYE, is_there.wait_for(|is_there| !is_there)).await;
            let _ = events.send(Event::Left).await;
        });
        true
    }
}

// ---- what the task does ----

impl Announced {
    async fn announce_task(
        self,
        mut wanted: watch::Receiver<bool>,
        is_there: watch::Sender<bool>,
        events: mpsc::Sender<Event>,
    ) {
        while wanted.wait_for(|wanted| *wanted).await.is_ok() {
            // A pool that has that much to hear can do without.
            let not_yet = |reason| drop(events.try_send(Event::Registry(LeaseNews::NotYet { reason }, None)));
            let registration = tokio::select! {
                registration = self.announcement.registration(&self.place, not_yet) => registration,
                gone = wanted.wait_for(|wanted| !wanted) => if gone.is_ok() { continue } else { return },
            };
            let registered = Arc::new(registration.clone());
            let lease = self.registry.register(registration);
            is_there.send_replace(true);
            let mut news = lease.news();
            let telling = async {
                while let Some(news) = news.next().await {
                    let _ = events.send(Event::Registry(news, Some(Arc::clone(&registered)))).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = telling => {}
                gone = wanted.wait_for(|wanted| !wanted) => if gone.is_err() { return },
            }
            lease.end().await;
            is_there.send_replace(false);
        }
    }
}
