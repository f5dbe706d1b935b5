//! What the hub knows about the system: the last view, whether it is confirmed, and everyone who watches it.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use pinnace_registry::Store;
use pinnace_types::control::SystemView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::registrations::registrations;
use crate::snapshot::Snapshot;

/// The system as the hub knows it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub(crate) struct KnownSystem {
    /// Whether the supervisor is silent at the moment, so that this is only what was known last.
    pub(crate) stale: bool,
    /// When the supervisor said it.
    #[schemars(with = "String")]
    pub(crate) seen_at: Timestamp,
    /// What it said.
    pub(crate) system: SystemView,
}

/// The one owner of what is known; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Knowledge {
    known: Arc<watch::Sender<Option<Arc<KnownSystem>>>>,
    store: Arc<Store>,
    folder: PathBuf,
}

impl Knowledge {
    /// Begins with what a predecessor knew, which is stale.
    pub(crate) fn new(store: Arc<Store>, folder: PathBuf, last: Option<Snapshot>) -> Self {
        let known = last.map(|last| Arc::new(KnownSystem { stale: true, seen_at: last.seen_at, system: last.system }));
        Self { known: Arc::new(watch::Sender::new(known)), store, folder }
    }

    /// What is known now.
    pub(crate) fn current(&self) -> Option<Arc<KnownSystem>> {
        self.known.borrow().clone()
    }

    /// Follows what is known.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Arc<KnownSystem>>> {
        self.known.subscribe()
    }

    /// The registry.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Takes what the supervisor says: first to disk, then to those who watch. A full disk is told and costs only the memory of
    /// a successor.
    pub(crate) async fn confirm(&self, system: SystemView) {
        let seen_at = Timestamp::now();
        let snapshot = Snapshot::new(system.clone(), seen_at);
        let (store, folder, registrations) = (Arc::clone(&self.store), self.folder.clone(), registrations(&system));
        let written = tokio::task::spawn_blocking(move || {
            if let Err(error) = store.replace(registrations) {
                tracing::error!(error = %error, "the registry could not be written");
            }
            if let Err(error) = snapshot.save(&folder) {
                tracing::error!(error = %error, "the system's state could not be written");
            }
        });
        if let Err(error) = written.await {
            tracing::error!(error = %error, "writing what is known ended early");
        }
        self.known.send_replace(Some(Arc::new(KnownSystem { stale: false, seen_at, system })));
    }

    /// Marks what is known as stale: the supervisor does not speak.
    pub(crate) fn doubt(&self) {
        self.known.send_if_modified(|known| {
            let Some(confirmed) = known.as_ref().filter(|known| !known.stale) else { return false };
            *known = Some(Arc::new(KnownSystem { stale: true, ..KnownSystem::clone(confirmed) }));
            true
        });
    }
}
