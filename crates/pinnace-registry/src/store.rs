//! The store: what is known in memory, written through to the file before anyone sees it.
//!
//! Reads never touch the disk. Writes do, so an asynchronous caller puts them on a blocking thread.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use parking_lot::Mutex;
use pinnace_types::ServiceName;
use tokio::sync::watch;

use crate::database::{Change, Database, quarantine};
use crate::{Instance, Registration, StoreError};

/// The file within the folder of data.
const FILE: &str = "registry.db";

/// The settings of a store.
///
/// Defaults: at most 10 000 instances.
#[derive(Clone, Copy, Debug)]
pub struct StoreConfig {
    /// How many instances there may be.
    pub max_instances: usize,
}

/// All instances, and the index of the last change.
pub struct Store {
    state: Mutex<State>,
    index: watch::Sender<u64>,
    config: StoreConfig,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// A store, and the file that had to be put aside for it.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where a damaged predecessor is now.
    pub quarantined: Option<PathBuf>,
}

struct State {
    database: Database,
    instances: BTreeMap<(ServiceName, String), Instance>,
}

// ---- StoreConfig ----

impl Default for StoreConfig {
    fn default() -> Self {
        Self { max_instances: 10_000 }
    }
}

// ---- Store ----

impl Store {
    /// Opens the store of a folder, or makes it. A damaged file is renamed and a new one made.
    ///
    /// A new file's index begins with the milliseconds of the clock: so it is beyond every index of a predecessor that was put
    /// aside, because changes are rarer than one a millisecond.
    pub fn open(
        folder: &Path,
        config: StoreConfig,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<Opened, StoreError> {
        let path = folder.join(FILE);
        let now = clock().as_millisecond();
        let first_index = u64::try_from(now).unwrap_or_default();
        let (opened, quarantined) = match Database::open(&path, first_index) {
            Err(StoreError::Damaged { problem, .. }) => {
                let aside = quarantine(&path, now)?;
                tracing::warn!(problem, aside = %aside.display(), "the registry was damaged and begins anew");
                (Database::open(&path, first_index)?, Some(aside))
            }
            other => (other?, None),
        };
        let (database, contents) = opened;
        let key = |instance: &Instance| (instance.registration.service.clone(), instance.registration.id.clone());
        let instances = contents.instances.into_iter().map(|instance| (key(&instance), instance)).collect();
        let store = Self {
            state: Mutex::new(State { database, instances }),
            index: watch::Sender::new(contents.index),
            config,
            clock: Box::new(clock),
        };
        Ok(Opened { store, quarantined })
    }

    /// The index of the last change.
    pub fn index(&self) -> u64 {
        *self.index.borrow()
    }

    /// All instances in the order of service and id, with the index at which that was so.
    pub fn instances(&self) -> (u64, Vec<Instance>) {
        let state = self.state.lock();
        (self.index(), state.instances.values().cloned().collect())
    }

    /// The instances of one service, likewise.
    pub fn instances_of(&self, service: &ServiceName) -> (u64, Vec<Instance>) {
        let state = self.state.lock();
        let of = state.instances.range((service.clone(), String::new())..).take_while(|((name, _), _)| name == service);
        (self.index(), of.map(|(_, instance)| instance.clone()).collect())
    }

    /// Waits until the index is beyond `seen`, and returns it. How long to wait is the caller's decision.
    pub async fn beyond(&self, seen: u64) -> u64 {
        let mut changes = self.index.subscribe();
        match changes.wait_for(|index| *index > seen).await {
            Ok(index) => *index,
            // The sender is a part of `self`, which outlives this call.
            Err(_) => self.index(),
        }
    }

    /// Registers an instance or changes it; saying the same again changes nothing. Returns the index.
    pub fn put(&self, registration: Registration) -> Result<u64, StoreError> {
        self.change(vec![registration], |_| false)
    }

    /// Forgets an instance. Returns the index, which stays where it was if there was no such instance.
    pub fn remove(&self, service: &ServiceName, id: &str) -> Result<u64, StoreError> {
        self.change(Vec::new(), |known| known.registration.service == *service && known.registration.id == id)
    }

    /// Makes these the only instances, in one step and with one index.
    pub fn replace(&self, registrations: Vec<Registration>) -> Result<u64, StoreError> {
        let kept: std::collections::HashSet<_> =
            registrations.iter().map(|one| (one.service.clone(), one.id.clone())).collect();
        self.change(registrations, |known| {
            !kept.contains(&(known.registration.service.clone(), known.registration.id.clone()))
        })
    }

    fn change(&self, registrations: Vec<Registration>, is_gone: impl Fn(&Instance) -> bool) -> Result<u64, StoreError> {
        for registration in &registrations {
            registration.check()?;
        }
        let mut state = self.state.lock();
        let State { database, instances } = &mut *state;
        let index = self.index() + 1;
        let now = (self.clock)();
        let gone: Vec<_> = instances.iter().filter(|(_, known)| is_gone(known)).map(|(key, _)| key.clone()).collect();
        let mut put = BTreeMap::new();
        for registration in registrations {
            let key = (registration.service.clone(), registration.id.clone());
            let known = instances.get(&key);
            if known.is_none_or(|known| known.registration != registration) {
                put.insert(key, following(known, registration, index, now));
            }
        }
        if put.is_empty() && gone.is_empty() {
            return Ok(index - 1);
        }
        let new = put.keys().filter(|key| !instances.contains_key(*key)).count();
        if instances.len() + new - gone.len() > self.config.max_instances {
            return Err(StoreError::Full { limit: self.config.max_instances });
        }
        let removals = gone.iter().map(|(service, id)| Change::Remove { service: service.as_str(), id });
        let changes: Vec<_> = removals.chain(put.values().map(Change::Put)).collect();
        database.write(index, &changes)?;
        for key in &gone {
            instances.remove(key);
        }
        instances.extend(put);
        self.index.send_replace(index);
        Ok(index)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("index", &self.index()).finish_non_exhaustive()
    }
}

/// What an instance is after it has said this.
fn following(known: Option<&Instance>, registration: Registration, index: u64, now: Timestamp) -> Instance {
    let since = known.filter(|known| known.registration.state == registration.state).map_or(now, |known| known.since);
    let create_index = known.map_or(index, |known| known.create_index);
    Instance { registration, since, create_index, modify_index: index }
}
