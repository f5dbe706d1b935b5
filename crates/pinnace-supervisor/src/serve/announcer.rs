//! The instance in a registry: there while a worker answers, gone before the workers drain.
//!
//! A task of its own holds the lease, so that a registry that is slow or away never holds up the pool. The pool says only
//! whether the instance should be there, and is told when that has changed and what the registry makes of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pinnace_discovery::{Endpoint, LeaseState, Registration, Registry, connect, own_address};
use pinnace_types::ServiceName;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::worker::Event;
use super::{RegistrationConfig, ServeError};

/// Until it is looked again which address leads to the registry.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the route to the registry may take to be found.
const ROUTE: Duration = Duration::from_secs(5);
/// How long the registry may take to take the instance out, before the workers drain all the same.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the pool holds of the task.
#[derive(Debug)]
pub(super) struct Announcer {
    wanted: watch::Sender<bool>,
    is_there: watch::Receiver<bool>,
}

/// What has become of the registration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum News {
    /// The registry knows the instance.
    Registered { id: String, endpoint: Endpoint },
    /// It does not know it yet.
    NotYet { reason: String },
    /// Whether it still knows it is uncertain.
    Lost { reason: String },
    /// It knows it again, or after all.
    Again,
}

/// What is registered, and with whom.
#[derive(Debug)]
struct Announcement {
    registry: Arc<dyn Registry>,
    place: Endpoint,
    service: ServiceName,
    listening: SocketAddr,
    config: RegistrationConfig,
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
        let announcement = Announcement { registry, place, service, listening, config };
        // It ends with the announcer, without a word to the registry.
        tokio::spawn(announcement.announce_task(wanted_rx, there_tx, events));
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

impl Announcement {
    async fn announce_task(
        self,
        mut wanted: watch::Receiver<bool>,
        is_there: watch::Sender<bool>,
        events: mpsc::Sender<Event>,
    ) {
        while wanted.wait_for(|wanted| *wanted).await.is_ok() {
            let registration = tokio::select! {
                registration = self.registration(&events) => registration,
                gone = wanted.wait_for(|wanted| !wanted) => if gone.is_ok() { continue } else { return },
            };
            let (id, endpoint) = (registration.id.clone(), registration.endpoint.clone());
            let lease = self.registry.register(registration);
            is_there.send_replace(true);
            let mut state = lease.state();
            let telling = async {
                let mut known = None;
                while state.changed().await.is_ok() {
                    let state = state.borrow_and_update().clone();
                    if let Some(news) = news(&state, &mut known, (&id, &endpoint)) {
                        let _ = events.send(Event::Registry(news)).await;
                    }
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

    /// What to register, as soon as it is known where others reach it.
    async fn registration(&self, events: &mpsc::Sender<Event>) -> Registration {
        let mut is_told = false;
        let endpoint = loop {
            match self.endpoint().await {
                Ok(endpoint) => break endpoint,
                Err(reason) if !is_told => {
                    is_told = true;
                    let _ = events.send(Event::Registry(News::NotYet { reason })).await;
                }
                Err(_) => {}
            }
            sleep(PAUSE).await;
        };
        let RegistrationConfig { instance, tags, weight, .. } = self.config.clone();
        let registration = Registration { tags, weight, ..Registration::new(self.service.clone(), endpoint) };
        match instance {
            Some(id) => Registration { id, ..registration },
            None => registration,
        }
    }

    async fn endpoint(&self) -> Result<Endpoint, String> {
        let port = self.listening.port();
        if let Some(given) = self.config.advertise.as_ref().and_then(|advertise| advertise.endpoint(port)) {
            return Ok(given);
        }
        let none = |problem: String| format!("no address leads to {}: {problem}", self.place.authority());
        let found = timeout(ROUTE, own_address(self.listening, &self.place)).await;
        let address = found.map_err(|error| none(error.to_string()))?.map_err(|error| none(error.to_string()))?;
        Endpoint::try_from(SocketAddr::new(address, port)).map_err(|error| none(error.to_string()))
    }
}

/// What is worth telling of a new state: once that it is lost, and once that it is back.
fn news(state: &LeaseState, known: &mut Option<bool>, (id, endpoint): (&str, &Endpoint)) -> Option<News> {
    let before = known.replace(*state == LeaseState::Registered);
    match (state, before) {
        (LeaseState::Registered, None) => Some(News::Registered { id: id.to_owned(), endpoint: endpoint.clone() }),
        (LeaseState::Registered, Some(false)) => Some(News::Again),
        (LeaseState::NotYet { reason }, None) => Some(News::NotYet { reason: reason.clone() }),
        (LeaseState::NotYet { reason }, Some(true)) => Some(News::Lost { reason: reason.clone() }),
        (LeaseState::Registered, Some(true)) | (LeaseState::NotYet { .. }, Some(false)) => None,
    }
}
