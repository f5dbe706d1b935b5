//! What an instance will say of itself, before it is known where others reach it.

use std::net::SocketAddr;
use std::time::Duration;

use pinnace_types::ServiceName;
use tokio::time::{sleep, timeout};

use crate::advertise::own_address;
use crate::{Advertise, Endpoint, Registration};

/// Until it is looked again which address leads to the registry.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the route to the registry may take to be found.
const ROUTE: Duration = Duration::from_secs(5);

/// An instance that listens and is to be registered.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// The service that it is an instance of.
    pub service: ServiceName,
    /// Where it listens.
    pub listening: SocketAddr,
    /// Where others reach it, where its user says so. Otherwise it is where it listens; where that is on all addresses, the
    /// one from which this machine speaks to the registry.
    pub advertise: Option<Advertise>,
    /// Its id; nothing: the service's name, the host and the port, joined by `-`.
    pub id: Option<String>,
    /// Words by which callers choose.
    pub tags: Vec<String>,
    /// Its share of the requests beside the others'.
    pub weight: u32,
}

impl Announcement {
    /// What to tell the registry at this place, as soon as it is known where others reach the instance. That is looked for
    /// every second; the first time that it is not found, the reason is told.
    pub async fn registration(&self, registry: &Endpoint, mut tell: impl FnMut(String)) -> Registration {
        let mut is_told = false;
        let endpoint = loop {
            match self.endpoint(registry).await {
                Ok(endpoint) => break endpoint,
                Err(reason) if !is_told => {
                    is_told = true;
                    tell(reason);
                }
                Err(_) => {}
            }
            sleep(PAUSE).await;
        };
        let registration = Registration::new(self.service.clone(), endpoint);
        let id = self.id.clone().unwrap_or(registration.id);
        Registration { id, tags: self.tags.clone(), weight: self.weight, ..registration }
    }

    async fn endpoint(&self, registry: &Endpoint) -> Result<Endpoint, String> {
        let port = self.listening.port();
        if let Some(given) = self.advertise.as_ref().and_then(|advertise| advertise.endpoint(port)) {
            return Ok(given);
        }
        let none = |problem: String| format!("no address leads to {}: {problem}", registry.authority());
        let found = timeout(ROUTE, own_address(self.listening, registry)).await;
        let address = found.map_err(|error| none(error.to_string()))?.map_err(|error| none(error.to_string()))?;
        Endpoint::try_from(SocketAddr::new(address, port)).map_err(|error| none(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::Announcement;

    fn announcement(listening: &str) -> Announcement {
        Announcement {
            service: "orders".parse().unwrap(),
            listening: listening.parse().unwrap(),
            advertise: None,
            id: None,
            tags: vec!["canary".to_owned()],
            weight: 3,
        }
    }

    #[tokio::test]
    async fn an_instance_is_named_after_where_it_is_reached_unless_it_has_a_name() {
        let registry = "http://127.0.0.1:8500".parse().unwrap();
        let told = |reason| panic!("{reason}");
        let found = announcement("0.0.0.0:8000").registration(&registry, told).await;
        assert_eq!((found.id.as_str(), found.weight), ("orders-127.0.0.1-8000", 3));
        let named = Announcement {
            id: Some("orders-1".to_owned()),
            advertise: Some("orders.internal".parse().unwrap()),
            ..announcement("127.0.0.1:8000")
        };
        let found = named.registration(&registry, told).await;
        assert_eq!((found.id.as_str(), found.endpoint.authority()), ("orders-1", "orders.internal:8000".to_owned()));
        assert_eq!(found.tags, ["canary"]);
    }

    #[tokio::test]
    async fn why_it_is_not_known_where_it_is_reached_is_told() {
        let nowhere = "http://registry.invalid:8500".parse().unwrap();
        let (told_tx, mut told) = tokio::sync::mpsc::channel(1);
        let announcement = announcement("0.0.0.0:8000");
        let looking = announcement.registration(&nowhere, |reason| told_tx.try_send(reason).unwrap());
        tokio::select! {
            found = looking => panic!("{found:?}"),
            reason = told.recv() => assert!(reason.unwrap().starts_with("no address leads to registry.invalid:8500: ")),
        }
    }
}
