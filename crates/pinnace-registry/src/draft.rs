//! The next state, while it is made: every change passes through here, gets its index and its row in the file.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use pinnace_types::ServiceName;

use crate::database::RowKey;
use crate::entry::{Check, Entry, EntryKey, Face, Node};
use crate::state::{Action, State};
use crate::{Instance, Registration, StoreError};

/// The bytes of all that clients register: ten thousand usual instances. Whoever reads all of it keeps everyone else waiting
/// for that long.
const MAX_HELD: usize = 16 << 20;

/// A state that nobody sees yet.
#[derive(Debug)]
pub(crate) struct Draft {
    state: State,
    dirty: BTreeSet<RowKey>,
    now: Timestamp,
    limit: usize,
    node: Arc<str>,
    touched: bool,
}

impl Draft {
    pub(crate) fn new(state: State, now: Timestamp, limit: usize, node: Arc<str>) -> Self {
        Self { state, dirty: BTreeSet::new(), now, limit, node, touched: false }
    }

    /// The state as it would be.
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// The time of the change.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// The name of the registry's own node.
    pub(crate) fn own_node(&self) -> &str {
        &self.node
    }

    /// What has to be written.
    pub(crate) const fn dirty(&self) -> &BTreeSet<RowKey> {
        &self.dirty
    }

    /// Ends one change: what comes after it gets an index of its own.
    pub(crate) const fn seal(&mut self) {
        if self.touched {
            self.state.index += 1;
            self.touched = false;
        }
    }

    pub(crate) fn into_state(self) -> State {
        self.state
    }

    /// Registers an entry or changes it. The same again changes nothing.
    pub(crate) fn put(&mut self, mut entry: Entry) -> Result<(), StoreError> {
        entry.check()?;
        let key = entry.key();
        let known = self.state.entries.get(&key).cloned();
        // What clients register never keeps out what the supervisor knows, which has room of its own.
        let registered = self.state.entries.len() - self.state.system.len().min(self.state.entries.len());
        if known.is_none() && entry.face != Face::System && registered >= self.limit {
            return Err(StoreError::Full { limit: self.limit });
        }
        entry.create_index = known.as_ref().map_or(0, |known| known.create_index);
        entry.modify_index = known.as_ref().map_or(0, |known| known.modify_index);
        settle(&mut entry.checks, known.as_ref().map(|known| known.checks.as_slice()).unwrap_or_default(), None);
        if known.as_deref() == Some(&entry) {
            return Ok(());
        }
        let (before, after) = (held(known.as_deref()), held(Some(&entry)));
        self.hold(before, after)?;
        let index = self.touch();
        settle(&mut entry.checks, known.as_ref().map(|known| known.checks.as_slice()).unwrap_or_default(), Some(index));
        entry.modify_index = index;
        let action = if known.is_some() { Action::Modified } else { Action::Added };
        if known.is_none() {
            entry.create_index = index;
        }
        if let Some(lease) = entry.lease.as_deref_mut() {
            lease.last_updated = self.now.as_millisecond();
        }
        self.state.touch_service(&entry.service, index);
        let entry = Arc::new(entry);
        self.state.remember(self.now, action, Arc::clone(&entry));
        if entry.face != Face::System {
            self.dirty.insert(RowKey::Entry(key.clone()));
        }
        self.state.entries.insert(Arc::new(key), entry);
        Ok(())
    }

    /// Forgets an entry; says whether it was there.
    pub(crate) fn remove(&mut self, key: &EntryKey) -> bool {
        let Some(entry) = self.state.entries.remove(key) else { return false };
        self.state.held -= held(Some(&entry));
        let index = self.touch();
        self.state.touch_service(&entry.service, index);
        self.state.remember(self.now, Action::Deleted, Arc::clone(&entry));
        if entry.face != Face::System {
            self.dirty.insert(RowKey::Entry(key.clone()));
        }
        true
    }

    /// Changes an entry that is there; one that has gone meanwhile stays away.
    pub(crate) fn amend(&mut self, key: &EntryKey, change: impl FnOnce(&mut Entry)) -> Result<(), StoreError> {
        let Some(mut entry) = self.state.entries.get(key).map(|entry| Entry::clone(entry)) else { return Ok(()) };
        change(&mut entry);
        self.put(entry)
    }

    /// Registers a node or changes it.
    pub(crate) fn put_node(&mut self, mut node: Node) -> Result<(), StoreError> {
        node.check()?;
        let known = self.state.nodes.get(&node.name).cloned();
        if known.is_none() && self.state.nodes.len() >= self.limit {
            return Err(StoreError::Full { limit: self.limit });
        }
        let earlier = known.as_ref().map(|known| known.checks.clone()).unwrap_or_default();
        node.create_index = known.as_ref().map_or(0, |known| known.create_index);
        node.modify_index = known.as_ref().map_or(0, |known| known.modify_index);
        settle(&mut node.checks, &earlier, None);
        if known.as_deref() == Some(&node) {
            return Ok(());
        }
        self.hold(known.as_ref().map_or(0, |known| known.bytes()), node.bytes())?;
        let index = self.touch();
        settle(&mut node.checks, &earlier, Some(index));
        node.modify_index = index;
        if known.is_none() {
            node.create_index = index;
        }
        self.state.touch_nodes(index);
        self.dirty.insert(RowKey::Node(node.name.clone()));
        self.state.nodes.insert(node.name.clone(), Arc::new(node));
        Ok(())
    }

    /// Forgets a node and what is registered on it; says whether it was there.
    pub(crate) fn remove_node(&mut self, name: &str) -> bool {
        let on: Vec<_> = self.state.entries.keys().filter(|key| key.node == name).cloned().collect();
        for key in &on {
            self.remove(key);
        }
        let Some(node) = self.state.nodes.remove(name) else { return !on.is_empty() };
        self.state.held -= node.bytes();
        let index = self.touch();
        self.state.touch_nodes(index);
        self.dirty.insert(RowKey::Node(name.to_owned()));
        true
    }

    /// Takes what the supervisor says of one instance.
    pub(crate) fn put_instance(&mut self, registration: Registration) -> Result<(), StoreError> {
        registration.check()?;
        let key = (registration.service.clone(), registration.id.clone());
        let known = self.state.system.get(&key);
        if known.is_some_and(|known| known.registration == registration) {
            return Ok(());
        }
        if known.is_none() && self.state.system.len() >= self.limit {
            return Err(StoreError::Full { limit: self.limit });
        }
        let same = known.filter(|known| known.registration.state == registration.state);
        let since = same.map_or(self.now, |known| known.since);
        let create_index = known.map(|known| known.create_index);
        let index = self.touch();
        let instance =
            Instance { registration, since, create_index: create_index.unwrap_or(index), modify_index: index };
        self.dirty.insert(RowKey::Instance(key.0.clone(), key.1.clone()));
        let entry = Entry::of_system(&instance, &self.node);
        self.state.system.insert(key, instance);
        self.put(entry)
    }

    /// Forgets what the supervisor said of an instance.
    pub(crate) fn remove_instance(&mut self, service: &ServiceName, id: &str) {
        let key = (service.clone(), id.to_owned());
        if let Some(instance) = self.state.system.remove(&key) {
            self.touch();
            self.dirty.insert(RowKey::Instance(key.0, key.1));
            let entry = Entry::of_system(&instance, &self.node);
            self.remove(&entry.key());
        }
    }

    /// Ties what clients registered to the processes of the system, and forgets what has none left.
    pub(crate) fn follow_processes(&mut self) -> Result<(), StoreError> {
        let clients: Vec<_> = self.state.entries.values().filter(|entry| entry.face != Face::System).cloned().collect();
        for entry in clients {
            let living = self.state.processes_of(&entry);
            if entry.processes.is_empty() {
                if !living.is_empty() {
                    self.put(Entry { processes: living, ..Entry::clone(&entry) })?;
                }
                continue;
            }
            let left: Vec<_> = entry.processes.iter().filter(|one| living.contains(one)).cloned().collect();
            if left.is_empty() {
                tracing::info!(service = entry.service, id = entry.id, "its process has ended; it is forgotten");
                self.remove(&entry.key());
            } else if left.len() < entry.processes.len() {
                self.put(Entry { processes: left, ..Entry::clone(&entry) })?;
            }
        }
        Ok(())
    }

    /// Takes room for what replaces something of `before` bytes, if there is any; what does not grow always has room.
    const fn hold(&mut self, before: usize, after: usize) -> Result<(), StoreError> {
        let held = self.state.held - before + after;
        if after > before && held > MAX_HELD {
            return Err(StoreError::Heavy { limit: MAX_HELD });
        }
        self.state.held = held;
        Ok(())
    }

    /// The index of this change.
    const fn touch(&mut self) -> u64 {
        self.touched = true;
        self.state.index + 1
    }
}

/// The bytes that count: what the supervisor knows has room of its own.
fn held(entry: Option<&Entry>) -> usize {
    entry.filter(|entry| entry.face != Face::System).map_or(0, Entry::bytes)
}

/// Gives checks the indexes of what they were, or of this change where they differ.
fn settle(checks: &mut [Check], earlier: &[Check], index: Option<u64>) {
    for check in checks {
        let known = earlier.iter().find(|known| known.id == check.id);
        check.create_index = known.map(|known| known.create_index).or(index).unwrap_or(0);
        check.modify_index = known.map_or(0, |known| known.modify_index);
        if let Some(index) = index
            && known != Some(&*check)
        {
            check.modify_index = index;
        }
    }
}
