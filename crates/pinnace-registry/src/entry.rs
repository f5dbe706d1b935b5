//! What clients register: entries with their checks, and nodes. Bounded, so that no registration can grow the store.
//!
//! What the supervisor knows becomes an entry too ([`Face::System`]), so that every face shows everything that is registered.

use std::collections::BTreeMap;
use std::time::Duration;

use pinnace_types::control::ServiceState;
use serde::{Deserialize, Serialize};

use crate::{Instance, InvalidInstance};

/// The bytes of a name, an id, an address.
pub(crate) const MAX_TEXT: usize = 255;
/// The bytes of a value of metadata, or of a note.
pub(crate) const MAX_VALUE: usize = 1024;
/// The bytes of a check's output that are kept.
pub(crate) const MAX_OUTPUT: usize = 4096;
/// Tags, pairs of metadata, addresses.
const MAX_ENTRIES: usize = 64;
/// What a pair of texts takes besides their bytes.
const PAIR: usize = 2 * size_of::<String>();
/// Checks of one entry or node.
pub(crate) const MAX_CHECKS: usize = 32;
/// The check that says what the supervisor knows.
pub(crate) const PROCESS_CHECK: &str = "process";

/// Through which face an entry came.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Face {
    /// The supervisor told it.
    System,
    /// Consul's API.
    Consul,
    /// Eureka's API.
    Eureka,
}

/// Where an entry is kept: names of services are compared without their case.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct EntryKey {
    pub(crate) service: String,
    pub(crate) face: Face,
    pub(crate) node: String,
    pub(crate) id: String,
}

/// One registered instance of a service.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Entry {
    pub(crate) face: Face,
    pub(crate) node: String,
    pub(crate) service: String,
    pub(crate) id: String,
    /// Empty: the node's address.
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) tags: Vec<String>,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) tagged_addresses: BTreeMap<String, TaggedAddress>,
    pub(crate) weights: Weights,
    pub(crate) enable_tag_override: bool,
    pub(crate) checks: Vec<Check>,
    /// What Eureka knows besides.
    pub(crate) lease: Option<Box<Lease>>,
    /// The processes of the system that stand behind it, as `id/pid`: it goes with the last of them.
    pub(crate) processes: Vec<String>,
    pub(crate) create_index: u64,
    pub(crate) modify_index: u64,
}

/// A further address of an entry.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct TaggedAddress {
    pub(crate) address: String,
    pub(crate) port: u16,
}

/// How much of the traffic an instance should get.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Weights {
    pub(crate) passing: u32,
    pub(crate) warning: u32,
}

/// Whether something is well, from good to bad.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Health {
    Passing,
    Warning,
    Critical,
}

/// One thing that has to be well.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Check {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) notes: String,
    pub(crate) status: Health,
    pub(crate) output: String,
    pub(crate) kind: CheckKind,
    /// How long it may be critical before its entry is forgotten.
    pub(crate) deregister_after: Option<Duration>,
    pub(crate) successes_before_passing: u32,
    pub(crate) failures_before_critical: u32,
    pub(crate) create_index: u64,
    pub(crate) modify_index: u64,
}

/// Who says how a check stands.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) enum CheckKind {
    /// Whoever registered it, once.
    Told,
    /// The supervisor.
    Process,
    /// Whoever registered it, again and again.
    Ttl(Duration),
    /// The registry asks.
    Probe(Probe),
}

/// How the registry asks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Probe {
    pub(crate) target: Target,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// What the registry asks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) enum Target {
    Http { host: String, port: u16, path: String, head: bool, headers: BTreeMap<String, Vec<String>> },
    Tcp { host: String, port: u16 },
    Grpc { host: String, port: u16, service: String },
}

/// A machine, as Consul's catalog knows them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) address: String,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) tagged_addresses: BTreeMap<String, String>,
    pub(crate) checks: Vec<Check>,
    pub(crate) create_index: u64,
    pub(crate) modify_index: u64,
}

/// What Eureka's clients say and ask beyond an address and a port.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Lease {
    pub(crate) status: LeaseStatus,
    pub(crate) overridden: LeaseStatus,
    pub(crate) host_name: String,
    pub(crate) port_enabled: bool,
    pub(crate) secure_port: u16,
    pub(crate) secure_port_enabled: bool,
    pub(crate) renewal_interval: u32,
    pub(crate) duration: u32,
    pub(crate) registered_at: i64,
    pub(crate) up_since: i64,
    pub(crate) last_dirty: i64,
    pub(crate) last_updated: i64,
    pub(crate) country_id: i64,
    pub(crate) coordinating: bool,
    pub(crate) data_center_class: String,
    pub(crate) data_center: String,
    pub(crate) data_center_meta: BTreeMap<String, String>,
    /// `homePageUrl`, `vipAddress` and other plain texts, by their names on the wire.
    pub(crate) texts: BTreeMap<String, String>,
}

/// Eureka's states.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum LeaseStatus {
    Down,
    OutOfService,
    Starting,
    Unknown,
    Up,
}

// ---- Entry ----

impl Entry {
    pub(crate) fn key(&self) -> EntryKey {
        EntryKey { service: self.service.to_lowercase(), face: self.face, node: self.node.clone(), id: self.id.clone() }
    }

    /// What the supervisor says of an instance, as an entry.
    pub(crate) fn of_system(instance: &Instance, node: &str) -> Self {
        let of = &instance.registration;
        let check = Check {
            id: format!("{PROCESS_CHECK}:{}", of.id),
            name: "Process".to_owned(),
            status: if of.state.answers() { Health::Passing } else { Health::Critical },
            output: format!("the instance is {}", of.state.word()),
            kind: CheckKind::Process,
            create_index: instance.create_index,
            modify_index: instance.modify_index,
            ..Check::told("", Health::Passing)
        };
        Self {
            face: Face::System,
            node: node.to_owned(),
            service: of.service.as_str().to_owned(),
            id: of.id.clone(),
            address: of.address.clone(),
            port: of.port.unwrap_or(0),
            tags: of.tags.clone(),
            meta: of.meta.clone(),
            tagged_addresses: BTreeMap::new(),
            weights: Weights::default(),
            enable_tag_override: false,
            checks: vec![check],
            lease: None,
            processes: Vec::new(),
            create_index: instance.create_index,
            modify_index: instance.modify_index,
        }
    }

    /// The worst of its checks.
    pub(crate) fn health(&self) -> Health {
        self.checks.iter().map(|check| check.status).max().unwrap_or(Health::Passing)
    }

    /// Whether it is in maintenance.
    pub(crate) fn in_maintenance(&self) -> bool {
        let id = maintenance_check(&self.id);
        self.checks.iter().any(|check| check.id == id)
    }

    /// About the memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let own = [&self.node, &self.service, &self.id, &self.address].map(String::len).iter().sum::<usize>();
        let lease = self.lease.as_deref().map_or(0, |lease| {
            size_of::<Lease>() + lease.host_name.len() + pairs(&lease.texts) + pairs(&lease.data_center_meta)
        });
        let addresses = self.tagged_addresses.iter().map(|(name, to)| name.len() + to.address.len() + PAIR);
        size_of::<Self>()
            + size_of::<EntryKey>()
            + 2 * own
            + self.tags.iter().chain(&self.processes).map(|text| text.len() + PAIR / 2).sum::<usize>()
            + pairs(&self.meta)
            + addresses.sum::<usize>()
            + self.checks.iter().map(Check::bytes).sum::<usize>()
            + lease
    }

    /// Refuses what is empty, too long or cannot be shown.
    pub(crate) fn check(&self) -> Result<(), InvalidInstance> {
        for (what, text) in [("service name", &self.service), ("service id", &self.id), ("node name", &self.node)] {
            check_text(what, text)?;
        }
        if self.address.len() > MAX_TEXT || self.address.chars().any(char::is_control) {
            return Err(InvalidInstance {
                what: "address",
                problem: "has at most 255 bytes and no control characters",
            });
        }
        if self.tags.len() > MAX_ENTRIES || self.tags.iter().any(|tag| check_text("tag", tag).is_err()) {
            return Err(InvalidInstance { what: "tags", problem: "are at most 64, of 255 bytes each" });
        }
        if self.tagged_addresses.len() > MAX_ENTRIES
            || self.tagged_addresses.iter().any(|(name, to)| name.len() > MAX_TEXT || to.address.len() > MAX_TEXT)
        {
            return Err(InvalidInstance { what: "tagged addresses", problem: "are at most 64, of 255 bytes each" });
        }
        check_meta(&self.meta)?;
        check_checks(&self.checks)?;
        self.lease.as_deref().map_or(Ok(()), Lease::check)
    }
}

impl Node {
    /// About the memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let own = 2 * self.name.len() + self.id.len() + self.address.len();
        let pairs = pairs(&self.meta) + pairs(&self.tagged_addresses);
        size_of::<Self>() + own + pairs + self.checks.iter().map(Check::bytes).sum::<usize>()
    }

    /// Refuses what is empty, too long or cannot be shown.
    pub(crate) fn check(&self) -> Result<(), InvalidInstance> {
        check_text("node name", &self.name)?;
        check_text("node address", &self.address)?;
        if self.id.len() > MAX_TEXT {
            return Err(InvalidInstance { what: "node id", problem: "has at most 255 bytes" });
        }
        check_meta(&self.tagged_addresses)?;
        check_meta(&self.meta)?;
        check_checks(&self.checks)
    }
}

impl Check {
    fn bytes(&self) -> usize {
        let target = match &self.kind {
            CheckKind::Probe(Probe { target: Target::Http { path, headers, .. }, .. }) => {
                let fields = headers.iter().map(|(name, values)| {
                    name.len() + PAIR + values.iter().map(|value| value.len() + PAIR / 2).sum::<usize>()
                });
                path.len() + fields.sum::<usize>()
            }
            _ => 0,
        };
        size_of::<Self>() + self.id.len() + self.name.len() + self.notes.len() + self.output.len() + target
    }

    /// A check of which nothing is known but how it stands.
    pub(crate) fn told(id: &str, status: Health) -> Self {
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            notes: String::new(),
            status,
            output: String::new(),
            kind: CheckKind::Told,
            deregister_after: None,
            successes_before_passing: 0,
            failures_before_critical: 0,
            create_index: 0,
            modify_index: 0,
        }
    }
}

impl Health {
    /// Consul's word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Reads Consul's word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Passing, Self::Warning, Self::Critical].into_iter().find(|health| health.word() == word)
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

impl Lease {
    fn check(&self) -> Result<(), InvalidInstance> {
        check_text("host name", &self.host_name)?;
        check_meta(&self.texts)?;
        check_meta(&self.data_center_meta)?;
        if self.data_center.len() > MAX_TEXT || self.data_center_class.len() > MAX_TEXT {
            return Err(InvalidInstance { what: "data center", problem: "has at most 255 bytes" });
        }
        Ok(())
    }
}

impl LeaseStatus {
    /// Eureka's word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Down => "DOWN",
            Self::OutOfService => "OUT_OF_SERVICE",
            Self::Starting => "STARTING",
            Self::Unknown => "UNKNOWN",
            Self::Up => "UP",
        }
    }

    /// Reads Eureka's word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let all = [Self::Down, Self::OutOfService, Self::Starting, Self::Unknown, Self::Up];
        all.into_iter().find(|status| status.word().eq_ignore_ascii_case(word))
    }

    /// How Eureka sees an entry of another face.
    pub(crate) fn of(entry: &Entry) -> Self {
        if let Some(lease) = &entry.lease {
            return lease.status;
        }
        let starts = ServiceState::Starting.word();
        let starting = |check: &Check| check.kind == CheckKind::Process && check.output.ends_with(starts);
        match entry.health() {
            _ if entry.in_maintenance() => Self::OutOfService,
            Health::Passing | Health::Warning => Self::Up,
            Health::Critical if entry.checks.iter().any(starting) => Self::Starting,
            Health::Critical => Self::Down,
        }
    }
}

/// The check that maintenance of a service adds.
pub(crate) fn maintenance_check(id: &str) -> String {
    format!("_service_maintenance:{id}")
}

/// At most so many bytes of a text, whole characters.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].to_owned()
}

fn pairs(meta: &BTreeMap<String, String>) -> usize {
    meta.iter().map(|(key, value)| key.len() + value.len() + PAIR).sum()
}

fn check_text(what: &'static str, text: &str) -> Result<(), InvalidInstance> {
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(InvalidInstance { what, problem: "has 1 to 255 bytes and no control characters" });
    }
    Ok(())
}

fn check_meta(meta: &BTreeMap<String, String>) -> Result<(), InvalidInstance> {
    if meta.len() > MAX_ENTRIES || meta.iter().any(|(key, value)| key.len() > MAX_TEXT || value.len() > MAX_VALUE) {
        return Err(InvalidInstance {
            what: "metadata",
            problem: "has at most 64 pairs, with keys of 255 and values of 1024 bytes",
        });
    }
    Ok(())
}

fn check_checks(checks: &[Check]) -> Result<(), InvalidInstance> {
    if checks.len() > MAX_CHECKS {
        return Err(InvalidInstance { what: "checks", problem: "are at most 32" });
    }
    for check in checks {
        check_text("check id", &check.id)?;
        check_text("check name", &check.name)?;
        if check.notes.len() > MAX_VALUE || check.output.len() > MAX_OUTPUT {
            return Err(InvalidInstance { what: "check's texts", problem: "have at most 1024 bytes" });
        }
    }
    Ok(())
}
