//! Where the requests of a route can go: the instances that the registry knows, and behind them the service's own socket,
//! whose queue outlives every instance.
//!
//! What the registry said last stays while it is away, so that costs no request. Routes to one service with the same tags
//! share what is known.

use std::sync::Arc;

use pinnace_discovery::{Instance, Instances, Registry};
use pinnace_http::balance::{Balancer, RetryBudget, Target, TargetView};
use pinnace_types::ServiceName;
use tokio::task::JoinHandle;

/// A service, and the tags that an instance of it needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) service: ServiceName,
    pub(crate) tags: Vec<String>,
}

/// Where the requests for one place go.
#[derive(Debug)]
pub(crate) struct Upstream {
    place: Place,
    balancer: Arc<Balancer>,
    pub(crate) budget: RetryBudget,
    /// Follows the registry for as long as this lives.
    following: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Begins to follow a place, where there is a registry.
    pub(crate) fn new(place: Place, registry: Option<&dyn Registry>) -> Self {
        // Gateways that begin together need not choose alike.
        let seed = u64::from(std::process::id())
            ^ place.service.as_str().bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte));
        let balancer = Arc::new(Balancer::new(seed));
        let following = registry.map(|registry| {
            let instances = registry.resolve(&place.service);
            tokio::spawn(follow_task(instances, place.tags.clone(), Arc::clone(&balancer)))
        });
        Self { place, balancer, budget: RetryBudget::new(), following }
    }

    pub(crate) fn is_for(&self, place: &Place) -> bool {
        self.place == *place
    }

    /// Whether the service's own socket, on which any instance accepts, may get its requests.
    pub(crate) fn takes_any(&self) -> bool {
        self.place.tags.is_empty()
    }

    pub(crate) fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    pub(crate) fn view(&self) -> Vec<TargetView> {
        self.balancer.view()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(following) = &self.following {
            following.abort();
        }
    }
}

/// Tells the balancer of every change, until nothing can change any more.
async fn follow_task(mut instances: Instances, tags: Vec<String>, balancer: Arc<Balancer>) {
    balancer.replace(targets(&instances.current(), &tags));
    while let Some(current) = instances.changed().await {
        balancer.replace(targets(&current, &tags));
    }
}

fn targets(instances: &[Instance], tags: &[String]) -> Vec<Target> {
    let has_all = |instance: &&Instance| tags.iter().all(|tag| instance.tags.contains(tag));
    let target = |instance: &Instance| {
        let authority = instance.endpoint.authority().parse().ok()?;
        Some(Target { id: instance.id.clone(), authority, weight: instance.weight })
    };
    instances.iter().filter(has_all).filter_map(target).collect()
}
