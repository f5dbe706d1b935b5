//! What goes over the wire: definitions of services, and rows of their health.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Endpoint, Instance, Registration};

/// The largest weight that Consul takes.
const HEAVIEST: u32 = 65_535;
/// Consul removes nothing that was critical for less.
const SHORTEST_PATIENCE: Duration = Duration::from_mins(1);

/// The id of the one check of an instance, as Consul names it by default.
pub(super) fn check_id(id: &str) -> String {
    format!("service:{id}")
}

/// The body of a registration: <https://developer.hashicorp.com/consul/api-docs/agent/service#register-service>.
pub(super) fn definition(registration: &Registration) -> Value {
    let Registration { service, id, endpoint, weight, tags, meta, ttl } = registration;
    let patience = (*ttl * 10).max(SHORTEST_PATIENCE);
    json!({
        "ID": id,
        "Name": service,
        "Address": endpoint.host(),
        "Port": endpoint.port(),
        "Tags": tags,
        "Meta": meta,
        "Weights": { "Passing": (*weight).clamp(1, HEAVIEST), "Warning": 1 },
        "Check": {
            "CheckID": check_id(id),
            "Name": "sign of life",
            "TTL": format!("{}ms", ttl.as_millis()),
            // It answers already; without this it would be critical until its first sign of life.
            "Status": "passing",
            "DeregisterCriticalServiceAfter": format!("{}s", patience.as_secs()),
        },
    })
}

/// The rows of `health/service/NAME` as instances. Rows without a place, such as those with port 0, are none.
pub(super) fn instances(body: &[u8]) -> Result<Vec<Instance>, serde_json::Error> {
    let mut rows: Vec<Row> = serde_json::from_slice(body)?;
    rows.sort_by(|left, right| left.node.node.cmp(&right.node.node));
    let mut seen = BTreeSet::new();
    let mut instances = Vec::with_capacity(rows.len());
    for Row { node, service } in rows {
        let host = if service.address.is_empty() { &node.address } else { &service.address };
        let Ok(endpoint) = Endpoint::try_new(host, service.port) else { continue };
        // An id is the only one of its agent: another agent may have given the same.
        let id = if seen.contains(&service.id) { format!("{}@{}", service.id, node.node) } else { service.id };
        if !seen.insert(id.clone()) {
            continue;
        }
        instances.push(Instance {
            id,
            endpoint,
            weight: service.weights.unwrap_or_default().passing.max(1),
            tags: service.tags.unwrap_or_default(),
            meta: service.meta.unwrap_or_default(),
        });
    }
    Ok(instances)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(default)]
    node: Node,
    service: Service,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Node {
    node: String,
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: u16,
    tags: Option<Vec<String>>,
    meta: Option<BTreeMap<String, String>>,
    weights: Option<Weights>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Weights {
    passing: u32,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{definition, instances};
    use crate::{Endpoint, Registration};

    #[test]
    fn rows_become_instances_and_what_has_no_place_does_not() {
        let body = br#"[
            {"Node":{"Node":"a","Address":"10.0.0.1"},
             "Service":{"ID":"web","Address":"","Port":80,"Tags":null,"Meta":null,"Weights":{"Passing":5,"Warning":1}},
             "Checks":[]},
            {"Node":{"Node":"b","Address":"10.0.0.2"},
             "Service":{"ID":"web","Address":"10.0.0.3","Port":81,"Tags":["x"],"Meta":{"k":"v"}}},
            {"Node":{"Node":"b","Address":"10.0.0.2"},"Service":{"ID":"zero","Port":0}},
            {"Node":{"Node":"b","Address":""},"Service":{"ID":"nowhere","Port":1}}
        ]"#;
        let found = instances(body).unwrap();
        let shown: Vec<_> = found.iter().map(|i| (i.id.as_str(), i.endpoint.authority(), i.weight)).collect();
        assert_eq!(shown, [("web", "10.0.0.1:80".to_owned(), 5), ("web@b", "10.0.0.3:81".to_owned(), 1)]);
        assert_eq!((found[1].tags.join(","), found[1].meta["k"].as_str()), ("x".to_owned(), "v"));
        assert!(instances(b"{}").is_err() && instances(b"[1]").is_err() && instances(b"").is_err());
    }

    #[test]
    fn a_definition_is_what_consul_takes() {
        let endpoint = Endpoint::try_new("::1", 80).unwrap();
        let ttl = Duration::from_millis(1_500);
        let shown = definition(&Registration { weight: 0, ttl, ..Registration::new("a".parse().unwrap(), endpoint) });
        assert_eq!((shown["Address"].as_str(), shown["Weights"]["Passing"].as_u64()), (Some("::1"), Some(1)));
        assert_eq!(shown["Check"]["TTL"], "1500ms");
        assert_eq!(shown["Check"]["DeregisterCriticalServiceAfter"], "60s");
    }
}
