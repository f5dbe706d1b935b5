//! The JSON that Consul's clients read. Names and nesting are Consul's.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::DATACENTER;
use super::fields::go_duration;
use crate::entry::{Check, CheckKind, Entry, Health, Node, Target};
use crate::state::State;

/// Where Consul's servers would speak to each other; nobody listens there.
pub(super) const SERVER_ADDRESS: &str = "127.0.0.1:8300";
/// The id of the registry's own node.
const NODE_ID: &str = "70696e6e-6163-6500-8000-000000000001";
/// Consul's version whose API this is held to.
pub(super) const VERSION: &str = "1.20.0";

/// A node: the one that is registered, else as little as is known of it.
pub(super) fn node_of(state: &State, name: &str) -> Arc<Node> {
    state.nodes.get(name).cloned().unwrap_or_else(|| Arc::new(own_node(name)))
}

/// The registry's own node, before anything is registered about it.
pub(super) fn own_node(name: &str) -> Node {
    Node {
        name: name.to_owned(),
        id: NODE_ID.to_owned(),
        address: "127.0.0.1".to_owned(),
        meta: std::collections::BTreeMap::new(),
        tagged_addresses: [("lan", "127.0.0.1"), ("wan", "127.0.0.1")]
            .map(|(name, address)| (name.to_owned(), address.to_owned()))
            .into(),
        checks: Vec::new(),
        create_index: 1,
        modify_index: 1,
    }
}

/// The checks of a node; the registry's own node also has the one that says that it is alive.
pub(super) fn node_checks(node: &Node, own: &str) -> Vec<Value> {
    let alive = Check {
        name: "Serf Health Status".to_owned(),
        output: "Agent alive and reachable".to_owned(),
        create_index: 1,
        modify_index: 1,
        ..Check::told("serfHealth", Health::Passing)
    };
    let alive = (node.name == own).then_some(alive);
    alive.iter().chain(&node.checks).map(|one| check(one, &node.name, None)).collect()
}

pub(super) fn node(node: &Node) -> Value {
    json!({
        "ID": node.id,
        "Node": node.name,
        "Address": node.address,
        "Datacenter": DATACENTER,
        "TaggedAddresses": node.tagged_addresses,
        "Meta": node.meta,
        "CreateIndex": node.create_index,
        "ModifyIndex": node.modify_index,
    })
}

/// A service as the health and node reads show it.
pub(super) fn service(entry: &Entry) -> Value {
    let mut value = agent_service(entry);
    let more = json!({
        "Proxy": { "Mode": "", "MeshGateway": {}, "Expose": {} },
        "Connect": {},
        "PeerName": "",
        "CreateIndex": entry.create_index,
        "ModifyIndex": entry.modify_index,
    });
    if let (Value::Object(members), Value::Object(more)) = (&mut value, more) {
        members.extend(more);
        members.remove("Datacenter");
    }
    value
}

/// A service as the agent shows it.
pub(super) fn agent_service(entry: &Entry) -> Value {
    json!({
        "Kind": "",
        "ID": entry.id,
        "Service": entry.service,
        "Tags": entry.tags,
        "Meta": entry.meta,
        "Port": entry.port,
        "Address": entry.address,
        "TaggedAddresses": tagged_addresses(entry),
        "Weights": { "Passing": entry.weights.passing, "Warning": entry.weights.warning },
        "EnableTagOverride": entry.enable_tag_override,
        "SocketPath": "",
        "Datacenter": DATACENTER,
    })
}

/// A service as the catalog shows it.
pub(super) fn catalog_service(entry: &Entry, node: &Node) -> Value {
    json!({
        "ID": node.id,
        "Node": node.name,
        "Address": node.address,
        "Datacenter": DATACENTER,
        "TaggedAddresses": node.tagged_addresses,
        "NodeMeta": node.meta,
        "ServiceKind": "",
        "ServiceID": entry.id,
        "ServiceName": entry.service,
        "ServiceTags": entry.tags,
        "ServiceAddress": entry.address,
        "ServiceTaggedAddresses": tagged_addresses(entry),
        "ServiceWeights": { "Passing": entry.weights.passing, "Warning": entry.weights.warning },
        "ServiceMeta": entry.meta,
        "ServicePort": entry.port,
        "ServiceSocketPath": "",
        "ServiceEnableTagOverride": entry.enable_tag_override,
        "ServiceProxy": { "Mode": "", "MeshGateway": {}, "Expose": {} },
        "ServiceConnect": {},
        "CreateIndex": entry.create_index,
        "ModifyIndex": entry.modify_index,
    })
}

/// A check, of a service or of a node.
pub(super) fn check(check: &Check, node: &str, of: Option<&Entry>) -> Value {
    let (kind, interval, timeout) = match &check.kind {
        CheckKind::Told => ("", String::new(), String::new()),
        CheckKind::Process => ("process", String::new(), String::new()),
        CheckKind::Ttl(_) => ("ttl", String::new(), String::new()),
        CheckKind::Probe(probe) => {
            let kind = match probe.target {
                Target::Http { .. } => "http",
                Target::Tcp { .. } => "tcp",
                Target::Grpc { .. } => "grpc",
            };
            (kind, go_duration(probe.interval), go_duration(probe.timeout))
        }
    };
    json!({
        "Node": node,
        "CheckID": check.id,
        "Name": check.name,
        "Status": check.status.word(),
        "Notes": check.notes,
        "Output": check.output,
        "ServiceID": of.map_or("", |entry| entry.id.as_str()),
        "ServiceName": of.map_or("", |entry| entry.service.as_str()),
        "ServiceTags": of.map_or(&[][..], |entry| entry.tags.as_slice()),
        "Type": kind,
        "Interval": interval,
        "Timeout": timeout,
        "ExposedPort": 0,
        "Definition": {},
        "CreateIndex": check.create_index,
        "ModifyIndex": check.modify_index,
    })
}

/// The checks of an entry.
pub(super) fn entry_checks(entry: &Entry) -> impl Iterator<Item = Value> {
    entry.checks.iter().map(|one| check(one, &entry.node, Some(entry)))
}

/// The worst word of all checks.
pub(super) fn worst(checks: &[Value]) -> Health {
    let words = checks.iter().filter_map(|check| Health::parse(check["Status"].as_str()?));
    words.max().unwrap_or(Health::Passing)
}

/// What `agent/self` says.
pub(super) fn own_self(node: &Node) -> Value {
    json!({
        "Config": {
            "Datacenter": DATACENTER,
            "PrimaryDatacenter": DATACENTER,
            "NodeName": node.name,
            "NodeID": node.id,
            "Revision": "pinnace",
            "Server": true,
            "Version": VERSION,
        },
        "Coord": Value::Null,
        "Member": member(node),
        "Meta": node.meta,
        "Stats": { "agent": { "product": format!("pinnace {}", pinnace_types::VERSION) } },
    })
}

/// The one member.
pub(super) fn member(node: &Node) -> Value {
    json!({
        "Name": node.name,
        "Addr": node.address,
        "Port": 8301,
        "Tags": {
            "role": "consul",
            "dc": DATACENTER,
            "id": node.id,
            "build": VERSION,
            "port": "8300",
            "bootstrap": "1",
        },
        "Status": 1,
        "ProtocolMin": 1,
        "ProtocolMax": 5,
        "ProtocolCur": 2,
        "DelegateMin": 2,
        "DelegateMax": 5,
        "DelegateCur": 4,
    })
}

fn tagged_addresses(entry: &Entry) -> Value {
    let to = |(name, to): (&String, &crate::entry::TaggedAddress)| {
        (name.clone(), json!({ "Address": to.address, "Port": to.port }))
    };
    Value::Object(entry.tagged_addresses.iter().map(to).collect::<Map<_, _>>())
}
