//! What an agent is told about services: registration, its end, maintenance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::StatusCode;

use super::fields::Fields;
use super::{Asked, Consul, checks, done, own_entry, shapes};
use crate::entry::{Check, CheckKind, Entry, Face, Health, Node, TaggedAddress, Weights, maintenance_check, shortened};
use crate::query::{Answered, Refused};
use crate::registry::{BeatKey, Owner};

/// The check that maintenance of the node adds.
const NODE_MAINTENANCE: &str = "_node_maintenance";

impl Consul {
    /// `PUT agent/service/register`
    pub(super) async fn register(&self, asked: &Asked<'_>) -> Answered {
        let mut fields = Fields::parse(&asked.body)?;
        let entry = read_service(&mut fields, self.registry.store().node())?;
        asked.check_write(&entry.service)?;
        let replace = asked.query.flag("replace-existing-checks");
        let node = entry.node.clone();
        let id = entry.id.clone();
        // An id belongs to whoever has it: taking it away from another service is a change of that one too.
        if let Some(known) = own_entry(&self.registry.store().now(), &node, &id) {
            asked.check_write(&known.service)?;
        }
        let beats = self.registry.beats().clone();
        let of = |check: &Check| BeatKey { of: Owner::Entry(entry.key()), check: Some(check.id.clone()) };
        let alive: Vec<_> = entry.checks.iter().map(of).collect();
        self.registry
            .store()
            .change(move |draft| {
                let mut entry = entry;
                if let Some(known) = own_entry(draft.state(), &node, &id) {
                    carry_over(&mut entry, &known, replace);
                    if known.key() != entry.key() {
                        draft.remove(&known.key());
                    }
                }
                entry.processes = draft.state().processes_of(&entry);
                draft.put(entry)?;
                for key in alive {
                    beats.beat(key);
                }
                Ok::<_, crate::StoreError>(())
            })
            .await??;
        Ok(done())
    }

    /// `PUT agent/service/deregister/:id`
    pub(super) async fn deregister(&self, id: &str, asked: &Asked<'_>) -> Answered {
        let key = self.entry(id, asked)?.key();
        self.registry.store().change(move |draft| draft.remove(&key)).await?;
        Ok(done())
    }

    /// `PUT agent/service/maintenance/:id?enable=true&reason=…`
    pub(super) async fn maintain(&self, id: &str, asked: &Asked<'_>) -> Answered {
        let (enable, reason) = maintenance(asked)?;
        let key = self.entry(id, asked)?.key();
        let check = Check {
            name: "Service Maintenance Mode".to_owned(),
            notes: reason.unwrap_or_else(|| "Maintenance mode is enabled for this service".to_owned()),
            ..Check::told(&maintenance_check(id), Health::Critical)
        };
        self.registry
            .store()
            .change(move |draft| {
                draft.amend(&key, |entry| {
                    entry.checks.retain(|known| known.id != check.id);
                    if enable {
                        entry.checks.push(check);
                    }
                })
            })
            .await??;
        Ok(done())
    }

    /// `PUT agent/maintenance?enable=true&reason=…`
    pub(super) async fn maintain_node(&self, asked: &Asked<'_>) -> Answered {
        asked.check_operator()?;
        let (enable, reason) = maintenance(asked)?;
        let check = Check {
            name: "Node Maintenance Mode".to_owned(),
            notes: reason.unwrap_or_else(|| "Maintenance mode is enabled for this node".to_owned()),
            ..Check::told(NODE_MAINTENANCE, Health::Critical)
        };
        self.registry
            .store()
            .change(move |draft| {
                let mut node = Node::clone(&shapes::node_of(draft.state(), draft.own_node()));
                node.checks.retain(|known| known.id != NODE_MAINTENANCE);
                if enable {
                    node.checks.push(check);
                }
                draft.put_node(node)
            })
            .await??;
        Ok(done())
    }

    /// An entry of this face that the caller may change.
    fn entry(&self, id: &str, asked: &Asked<'_>) -> Result<Arc<Entry>, Refused> {
        let state = self.registry.store().now();
        let node = self.registry.store().node();
        if let Some(entry) = own_entry(&state, node, id) {
            asked.check_write(&entry.service)?;
            return Ok(entry);
        }
        if let Some(other) = state.by_id(node, id) {
            let whose = if other.face == Face::System { "the supervisor" } else { "a client of Eureka" };
            let text = format!("Permission denied: \"{id}\" was registered by {whose}");
            return Err(Refused::new(StatusCode::FORBIDDEN, text));
        }
        Err(unknown_service(id))
    }
}

pub(super) fn unknown_service(id: &str) -> Refused {
    Refused::not_found(format!(
        "Unknown service ID \"{id}\". Ensure that the service ID is passed, not the service name."
    ))
}

fn maintenance(asked: &Asked<'_>) -> Result<(bool, Option<String>), Refused> {
    if asked.query.value("enable").is_none() {
        return Err(Refused::bad("Missing value for enable"));
    }
    let enable = match asked.query.value("enable").unwrap_or_default() {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => true,
        "0" | "f" | "F" | "false" | "False" | "FALSE" => false,
        other => return Err(Refused::bad(format!("Invalid value for enable: \"{other}\""))),
    };
    let reason = asked.query.value("reason").map(|reason| shortened(reason, crate::entry::MAX_VALUE));
    Ok((enable, reason))
}

/// Reads a service's definition, of the agent or of the catalog.
pub(super) fn read_service(fields: &mut Fields, node: &str) -> Result<Entry, Refused> {
    let Some(service) = fields.text("name")? else { return Err(Refused::bad("Missing service name")) };
    let id = fields.text("id")?.unwrap_or_else(|| service.clone());
    let mut entry = read_entry(fields, node, service, id)?;
    let single = fields.object("check")?;
    let mut definitions: Vec<_> = single.into_iter().chain(fields.objects("checks")?).collect();
    let many = definitions.len() > 1;
    for (number, definition) in definitions.iter_mut().enumerate() {
        let default =
            if many { format!("service:{}:{}", entry.id, number + 1) } else { format!("service:{}", entry.id) };
        let given = definition.text("checkid")?.or(definition.text("id")?);
        let name = definition.text("name")?.unwrap_or_else(|| format!("Service '{}' check", entry.service));
        let check = checks::read(definition, &given.unwrap_or(default), name, &entry.address)?;
        if entry.checks.iter().any(|known| known.id == check.id) {
            return Err(Refused::bad(format!("Invalid check: the id \"{}\" is there twice", check.id)));
        }
        entry.checks.push(check);
    }
    entry.check().map_err(|invalid| Refused::bad(invalid.to_string()))?;
    Ok(entry)
}

/// Reads what a service says of itself, without checks.
pub(super) fn read_entry(fields: &mut Fields, node: &str, service: String, id: String) -> Result<Entry, Refused> {
    for (member, what) in [("proxy", "proxies"), ("connect", "the service mesh"), ("socketpath", "socket paths")] {
        if fields.says(member) {
            return Err(Refused::bad(format!("Invalid service: this registry does not serve {what}")));
        }
    }
    if let Some(kind) = fields.text("kind")? {
        return Err(Refused::bad(format!("Invalid service: this registry does not serve the kind \"{kind}\"")));
    }
    if service.contains('/') || id.contains('/') {
        return Err(Refused::bad("Invalid service: names and ids may not hold slashes"));
    }
    let mut tagged_addresses = BTreeMap::new();
    for (name, value) in fields.members("taggedaddresses")? {
        let mut of = Fields::of(value)?;
        let (address, port) = (of.text("address")?.unwrap_or_default(), of.port("port")?);
        tagged_addresses.insert(name, TaggedAddress { address, port });
    }
    let weights = match fields.object("weights")? {
        None => Weights::default(),
        Some(mut of) => {
            let mut weight = |name: &str| -> Result<u32, Refused> {
                Ok(u32::try_from(of.number(name)?.unwrap_or(1)).unwrap_or(u32::MAX).min(65_535))
            };
            Weights { passing: weight("passing")?, warning: weight("warning")? }
        }
    };
    Ok(Entry {
        face: Face::Consul,
        node: node.to_owned(),
        service,
        id,
        address: fields.text("address")?.unwrap_or_default(),
        port: fields.port("port")?,
        tags: fields.texts("tags")?,
        meta: fields.text_map("meta")?,
        tagged_addresses,
        weights,
        enable_tag_override: fields.flag("enabletagoverride")?,
        checks: Vec::new(),
        lease: None,
        processes: Vec::new(),
        create_index: 0,
        modify_index: 0,
    })
}

/// Who registers again keeps how its checks stand, its maintenance, and the checks that were added later.
fn carry_over(entry: &mut Entry, known: &Entry, replace: bool) {
    let maintenance = maintenance_check(&entry.id);
    let named: BTreeSet<_> = entry.checks.iter().map(|check| check.id.clone()).collect();
    for check in &mut entry.checks {
        let before = known.checks.iter().find(|before| before.id == check.id);
        if let Some(before) = before.filter(|before| same_kind(&before.kind, &check.kind)) {
            check.status = before.status;
            check.output.clone_from(&before.output);
        }
    }
    let later = known.checks.iter().filter(|before| !named.contains(&before.id));
    let keeps = !replace && known.key() == entry.key();
    entry.checks.extend(later.filter(|before| keeps || before.id == maintenance).cloned());
}

fn same_kind(left: &CheckKind, right: &CheckKind) -> bool {
    match (left, right) {
        (CheckKind::Probe(left), CheckKind::Probe(right)) => left.target == right.target,
        _ => std::mem::discriminant(left) == std::mem::discriminant(right),
    }
}
