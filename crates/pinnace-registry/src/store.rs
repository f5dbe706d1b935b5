//! The store: what is known in memory, written through to the file before anyone sees it.
//!
//! One thread owns the file. It takes all changes that wait, makes the next state of them, writes that with one `fsync`, and
//! only then publishes it and answers. So many writers share the cost of one disk, and a failed write changes nothing.
//! Reads never touch the disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use jiff::Timestamp;
use pinnace_types::ServiceName;
use tokio::sync::{mpsc, oneshot, watch};

use crate::database::{Contents, Database, quarantine};
use crate::draft::Draft;
use crate::entry::{Entry, Face, Node};
use crate::state::{Scope, State};
use crate::{Instance, Registration, StoreError};

/// The file within the folder of data.
const FILE: &str = "registry.db";
/// The name of the node that clients' registrations are on.
const NODE: &str = "pinnace";
/// Changes that may wait for the writer; whoever comes later waits for room.
const QUEUE: usize = 1_024;
/// Changes that are written with one `fsync`.
const BATCH: usize = 256;

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
    state: Arc<watch::Sender<Arc<State>>>,
    /// Nothing only while it is being dropped.
    changes: Option<mpsc::Sender<Change>>,
    writer: Option<JoinHandle<()>>,
    node: Arc<str>,
}

/// A store, and the file that had to be put aside for it.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where a damaged predecessor is now.
    pub quarantined: Option<PathBuf>,
}

/// Makes a change and returns what answers for it once it is written, or is not.
type Change = Box<dyn FnOnce(&mut Draft) -> Done + Send>;
type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

struct Writer {
    database: Database,
    state: Arc<watch::Sender<Arc<State>>>,
    config: StoreConfig,
    clock: Box<dyn Fn() -> Timestamp + Send>,
    node: Arc<str>,
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
        clock: impl Fn() -> Timestamp + Send + 'static,
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
        let node: Arc<str> = NODE.into();
        let state = Arc::new(watch::Sender::new(Arc::new(restored(contents, &node))));
        let (changes, waiting) = mpsc::channel(QUEUE);
        let writer =
            Writer { database, state: Arc::clone(&state), config, clock: Box::new(clock), node: Arc::clone(&node) };
        let writer = std::thread::Builder::new()
            .name("registry".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(StoreError::Thread)?;
        let store = Self { state, changes: Some(changes), writer: Some(writer), node };
        Ok(Opened { store, quarantined })
    }

    /// The index of the last change.
    pub fn index(&self) -> u64 {
        self.state.borrow().index
    }

    /// All of the system's instances in the order of service and id, with the index at which that was so.
    pub fn instances(&self) -> (u64, Vec<Instance>) {
        let state = self.now();
        (state.index, state.system.values().cloned().collect())
    }

    /// The instances of one service, likewise.
    pub fn instances_of(&self, service: &ServiceName) -> (u64, Vec<Instance>) {
        let state = self.now();
        let of = state.system.range((service.clone(), String::new())..).take_while(|((name, _), _)| name == service);
        (state.index, of.map(|(_, instance)| instance.clone()).collect())
    }

    /// Waits until the index is beyond `seen`, and returns it. How long to wait is the caller's decision.
    pub async fn beyond(&self, seen: u64) -> u64 {
        self.beyond_in(&Scope::Everything, seen).await.index
    }

    /// Registers one of the system's instances or changes it; saying the same again changes nothing. Returns the index.
    pub fn put(&self, registration: Registration) -> Result<u64, StoreError> {
        self.change_blocking(move |draft| {
            draft.put_instance(registration)?;
            draft.follow_processes()
        })
    }

    /// Forgets an instance. Returns the index, which stays where it was if there was no such instance.
    pub fn remove(&self, service: &ServiceName, id: &str) -> Result<u64, StoreError> {
        let (service, id) = (service.clone(), id.to_owned());
        self.change_blocking(move |draft| {
            draft.remove_instance(&service, &id);
            draft.follow_processes()
        })
    }

    /// Makes these the system's only instances, in one step and with one index.
    pub fn replace(&self, registrations: Vec<Registration>) -> Result<u64, StoreError> {
        self.change_blocking(move |draft| {
            for registration in &registrations {
                registration.check()?;
            }
            let kept: std::collections::HashSet<_> =
                registrations.iter().map(|one| (one.service.clone(), one.id.clone())).collect();
            let gone: Vec<_> = draft.state().system.keys().filter(|key| !kept.contains(*key)).cloned().collect();
            for (service, id) in gone {
                draft.remove_instance(&service, &id);
            }
            for registration in registrations {
                draft.put_instance(registration)?;
            }
            draft.follow_processes()
        })
    }

    /// What is known at this moment.
    pub(crate) fn now(&self) -> Arc<State> {
        Arc::clone(&self.state.borrow())
    }

    /// Follows what is known.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.state.subscribe()
    }

    /// Waits until something within the scope changed after `seen`.
    pub(crate) async fn beyond_in(&self, scope: &Scope, seen: u64) -> Arc<State> {
        let mut changes = self.state.subscribe();
        match changes.wait_for(|state| state.position(scope) > seen).await {
            Ok(state) => Arc::clone(&state),
            // The sender is a part of `self`, which outlives this call.
            Err(_) => self.now(),
        }
    }

    /// Completes when nothing can be written any more, because the thread that writes is gone.
    pub(crate) async fn ended(&self) {
        if let Some(changes) = &self.changes {
            changes.closed().await;
        }
    }

    /// The name of the registry's own node.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Changes what is known; returns when that is on the disk. An error of the change itself should leave the draft as it was.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Draft) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (change, answer) = command(act);
        let changes = self.changes.as_ref().ok_or(StoreError::Ended)?;
        changes.send(change).await.map_err(|_| StoreError::Ended)?;
        answer.await.map_err(|_| StoreError::Ended)?
    }

    fn change_blocking(
        &self,
        act: impl FnOnce(&mut Draft) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<u64, StoreError> {
        let (change, answer) = command(act);
        let changes = self.changes.as_ref().ok_or(StoreError::Ended)?;
        changes.blocking_send(change).map_err(|_| StoreError::Ended)?;
        answer.blocking_recv().map_err(|_| StoreError::Ended)???;
        Ok(self.index())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(writer) = self.writer.take() {
            // It ends with the last change that was asked for, so that whoever opens the file next finds it closed.
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("index", &self.index()).finish_non_exhaustive()
    }
}

// ---- Writer ----

impl Writer {
    fn run(mut self, mut waiting: mpsc::Receiver<Change>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(next) = waiting.try_recv()
            {
                batch.push(next);
            }
            self.write(batch);
        }
    }

    fn write(&mut self, batch: Vec<Change>) {
        let before = Arc::clone(&self.state.borrow());
        let limit = self.config.max_instances;
        let mut draft = Draft::new(State::clone(&before), (self.clock)(), limit, Arc::clone(&self.node));
        let mut done = Vec::with_capacity(batch.len());
        for change in batch {
            done.push(change(&mut draft));
            draft.seal();
        }
        let mut written = Ok(());
        if draft.state().index != before.index {
            written = self.database.write(draft.state(), draft.dirty().iter());
            if written.is_ok() {
                self.state.send_replace(Arc::new(draft.into_state()));
            }
        }
        for done in done {
            let path = || self.database.path().to_owned();
            done(written.clone().map_err(|source| StoreError::Database { path: path(), source }));
        }
    }
}

/// A change, and where its answer comes.
fn command<T: Send + 'static>(
    act: impl FnOnce(&mut Draft) -> T + Send + 'static,
) -> (Change, oneshot::Receiver<Result<T, StoreError>>) {
    let (answer, answered) = oneshot::channel();
    let change: Change = Box::new(move |draft| {
        let value = act(draft);
        Box::new(move |written| {
            // Whoever asked may have gone.
            let _ = answer.send(written.map(|()| value));
        })
    });
    (change, answered)
}

fn restored(contents: Contents, node: &str) -> State {
    let mut state = State::new(contents.index);
    for instance in contents.instances {
        let entry = Entry::of_system(&instance, node);
        state.entries.insert(Arc::new(entry.key()), Arc::new(entry));
        state.system.insert((instance.registration.service.clone(), instance.registration.id.clone()), instance);
    }
    for entry in contents.entries {
        state.entries.insert(Arc::new(entry.key()), Arc::new(entry));
    }
    let clients = state.entries.values().filter(|entry| entry.face != Face::System);
    state.held =
        clients.map(|entry| entry.bytes()).sum::<usize>() + contents.nodes.iter().map(Node::bytes).sum::<usize>();
    state.nodes.extend(contents.nodes.into_iter().map(|node| (node.name.clone(), Arc::new(node))));
    state
}
