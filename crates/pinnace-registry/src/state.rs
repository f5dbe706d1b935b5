//! Everything that is known at one moment. A state is never changed: the store publishes the next one, so that a reader
//! sees one moment however long it reads.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use pinnace_types::ServiceName;

use crate::Instance;
use crate::entry::{Entry, EntryKey, Face, Node};

/// Names whose last change is remembered; beyond that all count as changed.
const MAX_POSITIONS: usize = 20_000;
/// Changes that are remembered for those who ask for differences.
const MAX_RECENT: usize = 4_000;
/// The bytes of their entries: whoever asks too late for a difference asks for everything.
const MAX_RECENT_BYTES: usize = 8 << 20;

/// A moment of the registry.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The index of the last change.
    pub(crate) index: u64,
    /// What the supervisor says.
    pub(crate) system: BTreeMap<(ServiceName, String), Instance>,
    /// Everything that is registered, the system's instances too.
    pub(crate) entries: BTreeMap<Arc<EntryKey>, Arc<Entry>>,
    pub(crate) nodes: BTreeMap<String, Arc<Node>>,
    /// The bytes of what clients have registered, entries and nodes.
    pub(crate) held: usize,
    /// The last changes, oldest first.
    pub(crate) recent: VecDeque<Recent>,
    /// How many changes were ever remembered.
    pub(crate) recent_total: u64,
    /// The bytes of the entries among them.
    recent_bytes: usize,
    /// The index of the last change of each service, by its name in small letters.
    positions: HashMap<String, u64>,
    /// The index of the last change of any node.
    nodes_position: u64,
    /// What is not in `positions` changed at this index or before.
    floor: u64,
}

/// A change that is remembered for a while.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    pub(crate) at: Timestamp,
    pub(crate) action: Action,
    pub(crate) entry: Arc<Entry>,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Added,
    Modified,
    Deleted,
}

/// What a reader looks at, and whose changes wake it.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    Everything,
    Service(String),
}

impl State {
    pub(crate) fn new(index: u64) -> Self {
        Self { index, floor: index, nodes_position: index, ..Self::default() }
    }

    /// The index of the last change within a scope.
    pub(crate) fn position(&self, scope: &Scope) -> u64 {
        match scope {
            Scope::Everything => self.index,
            Scope::Service(name) => {
                let own = self.positions.get(&name.to_lowercase()).copied().unwrap_or(self.floor);
                own.max(self.nodes_position)
            }
        }
    }

    /// All entries that are shown: one that a service registered for itself stands for the system's own of the same port.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values().filter(|entry| !self.is_shadowed(entry))
    }

    /// The shown entries of a service.
    pub(crate) fn shown_of<'a>(&'a self, service: &str) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.entries_of(service).filter(|entry| !self.is_shadowed(entry))
    }

    /// The entries of a service.
    pub(crate) fn entries_of<'a>(&'a self, service: &str) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a> {
        let service = service.to_lowercase();
        let first = EntryKey { service: service.clone(), face: Face::System, node: String::new(), id: String::new() };
        self.entries.range(Arc::new(first)..).take_while(move |(key, _)| key.service == service).map(|(_, entry)| entry)
    }

    /// The shown entry with this id on a node; a client's own before the system's.
    pub(crate) fn by_id(&self, node: &str, id: &str) -> Option<&Arc<Entry>> {
        let of = self.entries.values().filter(|entry| entry.id == id && entry.node == node);
        of.max_by_key(|entry| match entry.face {
            Face::Consul => 2,
            Face::System => 1,
            Face::Eureka => 0,
        })
    }

    /// The entry that came through a face under this id.
    pub(crate) fn of_face(&self, face: Face, node: &str, id: &str) -> Option<&Arc<Entry>> {
        self.entries.values().find(|entry| entry.face == face && entry.id == id && entry.node == node)
    }

    fn is_shadowed(&self, entry: &Entry) -> bool {
        entry.face == Face::System
            && self.entries_of(&entry.service).any(|other| other.face != Face::System && stands_for(other, entry))
    }

    /// The system's instances that stand behind an entry and live, as `id/pid`.
    pub(crate) fn processes_of(&self, entry: &Entry) -> Vec<String> {
        // The system's own come first in the order of keys.
        let behind = self.entries_of(&entry.service).take_while(|other| other.face == Face::System);
        let living = behind.filter(|other| stands_for(entry, other) && self.lives(other));
        living.map(|other| format!("{}/{}", other.id, other.meta.get("pid").map_or("", String::as_str))).collect()
    }

    fn lives(&self, system: &Entry) -> bool {
        use pinnace_types::control::ServiceState as S;
        let Ok(name) = ServiceName::try_new(&system.service) else { return false };
        let instance = self.system.get(&(name, system.id.clone()));
        instance.is_some_and(|known| !matches!(known.registration.state, S::Crashed | S::Failed | S::Stopped))
    }

    // ---- for the next state ----

    pub(crate) fn touch_service(&mut self, service: &str, index: u64) {
        if self.positions.len() >= MAX_POSITIONS {
            self.positions.clear();
            self.floor = index;
        }
        self.positions.insert(service.to_lowercase(), index);
    }

    pub(crate) const fn touch_nodes(&mut self, index: u64) {
        self.nodes_position = index;
    }

    pub(crate) fn remember(&mut self, at: Timestamp, action: Action, entry: Arc<Entry>) {
        self.recent_total += 1;
        self.recent_bytes += entry.bytes();
        self.recent.push_back(Recent { at, action, entry });
        while self.recent.len() > MAX_RECENT || self.recent_bytes > MAX_RECENT_BYTES {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.recent_bytes -= oldest.entry.bytes();
        }
    }
}

/// Whether a client's entry is about the same socket as one of the system's.
fn stands_for(entry: &Entry, system: &Entry) -> bool {
    let shared = || system.meta.get("url").and_then(|url| url.rsplit(':').next()?.trim_end_matches('/').parse().ok());
    entry.id == system.id || (entry.port != 0 && (entry.port == system.port || shared() == Some(entry.port)))
}
