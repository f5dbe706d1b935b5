//! The registry as the hub holds it: the store, the last signs of life, and the faces.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::entry::EntryKey;
use crate::{Consul, Eureka, Names, Store};

/// How many may wait for a change at the same time: fewer than the connections that the hub takes.
const MAX_WAITING: usize = 800;

/// The settings of a registry.
///
/// Defaults: expired leases of Eureka are always forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegistryConfig {
    /// Whether at most 15 % of the leases are forgotten within a minute: when more expire, the network is taken for broken,
    /// and not the instances.
    pub self_preservation: bool,
}

/// The engine; clones share it.
#[derive(Clone)]
pub struct Registry {
    store: Arc<Store>,
    beats: Beats,
    config: RegistryConfig,
    ending: Arc<watch::Sender<bool>>,
    places: Arc<Semaphore>,
}

/// When whatever has to say that it lives last did; clones share it. It is in memory alone: after a restart everyone has a
/// whole term again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beats(Arc<Mutex<HashMap<BeatKey, Instant>>>);

/// Who has to say that it lives: a check, or (without a check) the lease of an entry.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct BeatKey {
    pub(crate) of: Owner,
    pub(crate) check: Option<String>,
}

/// What a check belongs to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Owner {
    Entry(EntryKey),
    Node(String),
}

impl Registry {
    /// An engine on this store. Nothing of it runs before [`Self::run`].
    pub fn new(store: Store, config: RegistryConfig) -> Self {
        Self {
            store: Arc::new(store),
            beats: Beats::default(),
            config,
            ending: Arc::default(),
            places: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The face that Consul's clients speak to.
    pub fn consul(&self) -> Consul {
        Consul::new(self.clone())
    }

    /// The face that Eureka's clients speak to.
    pub fn eureka(&self) -> Eureka {
        Eureka::new(self.clone())
    }

    /// Watches over what is registered. It ends only when the store does, which is the end of the whole process then.
    pub async fn run(&self) {
        tokio::select! {
            () = crate::liveness::liveness_task(self.clone()) => {}
            () = self.store.ended() => tracing::error!("the registry's thread has ended"),
        }
    }

    /// Answers resolvers on these sockets, as Consul's DNS interface does; never ends by itself.
    pub async fn resolve(&self, names: Names) {
        crate::dns::dns_task(self.clone(), names).await;
    }

    /// Lets all who wait for a change go, now and from now on: the hub is about to end.
    pub fn release(&self) {
        self.ending.send_replace(true);
    }

    /// A place for one more who waits for a change; nothing where as many wait already as may.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Completes when nobody should wait any more.
    pub(crate) async fn released(&self) {
        let mut ending = self.ending.subscribe();
        // The sender is a part of `self`.
        let _ = ending.wait_for(|ending| *ending).await;
    }

    pub(crate) const fn config(&self) -> RegistryConfig {
        self.config
    }

    pub(crate) const fn beats(&self) -> &Beats {
        &self.beats
    }
}

impl Beats {
    /// Takes a sign of life.
    pub(crate) fn beat(&self, key: BeatKey) {
        self.0.lock().insert(key, Instant::now());
    }

    /// The last sign of life; one that was never asked for counts from now on.
    pub(crate) fn last(&self, key: &BeatKey) -> Instant {
        let mut beats = self.0.lock();
        if let Some(last) = beats.get(key) {
            return *last;
        }
        let now = Instant::now();
        beats.insert(key.clone(), now);
        now
    }

    /// Forgets the signs of life of what is gone.
    pub(crate) fn retain(&self, is_known: impl Fn(&BeatKey) -> bool) {
        self.0.lock().retain(|key, _| is_known(key));
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registry").field("store", &self.store).finish_non_exhaustive()
    }
}
