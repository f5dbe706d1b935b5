//! Reads of the catalog and of health: what there is, how it stands, and waiting for a change.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::{Asked, Consul, DATACENTER, indexed, json as answer, shapes};
use crate::entry::{Entry, Health, Node};
use crate::query::{Query, Refused};
use crate::state::{Scope, State};

impl Consul {
    /// `GET health/…` and `GET catalog/…`: waits as it is asked to, then shows what there is. Many who wait for the same are
    /// woken at once, so what one of them is answered is kept for the others.
    pub(super) async fn read(&self, path: &[&str], asked: &Asked<'_>) -> Result<Option<Response<Bytes>>, Refused> {
        let scope = match path {
            ["health" | "catalog", "service", name] | ["health", "checks", name] => Scope::Service((*name).to_owned()),
            ["catalog", "datacenters"] => return Ok(Some(answer(&json!([DATACENTER])))),
            _ => Scope::Everything,
        };
        let state = self.look(&asked.query, &scope).await?;
        let key = asked.query.without(path, &["index", "wait", "token"]);
        if let Some(body) = self.answers.find(&key, state.index) {
            return Ok(Some(indexed(body, state.position(&scope))));
        }
        let value = match path {
            ["health", rest @ ..] => self.health(rest, &state, asked)?,
            ["catalog", rest @ ..] => self.catalog(rest, &state, asked)?,
            _ => None,
        };
        let Some(value) = value else { return Ok(None) };
        let body = Bytes::from(value.to_string());
        self.answers.keep(key, state.index, body.clone());
        Ok(Some(indexed(body, state.position(&scope))))
    }

    fn health(&self, path: &[&str], state: &State, asked: &Asked<'_>) -> Result<Option<Value>, Refused> {
        let query = &asked.query;
        let own = self.registry.store().node();
        let items = match path {
            ["service", name] if !name.is_empty() => {
                let mut found = Vec::new();
                for entry in state.shown_of(name).filter(|entry| has_tags(entry, query)) {
                    let node = shapes::node_of(state, &entry.node);
                    if !has_meta(&node, query) {
                        continue;
                    }
                    let mut checks = shapes::node_checks(&node, own);
                    checks.extend(shapes::entry_checks(entry));
                    if query.flag("passing") && shapes::worst(&checks) != Health::Passing {
                        continue;
                    }
                    found.push(json!({
                        "Node": shapes::node(&node),
                        "Service": shapes::service(entry),
                        "Checks": checks,
                    }));
                }
                found
            }
            ["checks", name] if !name.is_empty() => {
                let entries = state.shown_of(name);
                let entries = entries.filter(|entry| has_meta(&shapes::node_of(state, &entry.node), query));
                entries.flat_map(|entry| shapes::entry_checks(entry)).collect()
            }
            ["node", name] => {
                let mut checks = shapes::node_checks(&shapes::node_of(state, name), own);
                let entries = state.shown().filter(|entry| entry.node == *name);
                checks.extend(entries.flat_map(|entry| shapes::entry_checks(entry)));
                checks
            }
            ["state", word] => {
                if *word != "any" && Health::parse(word).is_none() {
                    return Err(Refused::bad(format!("Invalid state: {word}")));
                }
                let mut checks: Vec<_> =
                    nodes(state, own).iter().flat_map(|node| shapes::node_checks(node, own)).collect();
                checks.extend(state.shown().flat_map(|entry| shapes::entry_checks(entry)));
                checks.retain(|check| *word == "any" || check["Status"] == *word);
                checks
            }
            _ => return Ok(None),
        };
        Ok(Some(asked.filtered(items)?.into()))
    }

    fn catalog(&self, path: &[&str], state: &State, asked: &Asked<'_>) -> Result<Option<Value>, Refused> {
        let query = &asked.query;
        let own = self.registry.store().node();
        let value = match path {
            ["nodes"] => {
                let nodes = nodes(state, own).into_iter().filter(|node| has_meta(node, query));
                asked.filtered(nodes.map(|node| shapes::node(&node)).collect())?.into()
            }
            ["services"] => service_names(state, asked)?,
            ["service", name] if !name.is_empty() => {
                let mut found = Vec::new();
                for entry in state.shown_of(name).filter(|entry| has_tags(entry, query)) {
                    let node = shapes::node_of(state, &entry.node);
                    if has_meta(&node, query) {
                        found.push(shapes::catalog_service(entry, &node));
                    }
                }
                asked.filtered(found)?.into()
            }
            ["node", name] => {
                let services = asked.filtered(services_on(state, name))?;
                let named: serde_json::Map<_, _> = services
                    .into_iter()
                    .map(|service| (service["ID"].as_str().unwrap_or_default().to_owned(), service))
                    .collect();
                if is_known(state, name, own) {
                    json!({ "Node": shapes::node(&shapes::node_of(state, name)), "Services": named })
                } else {
                    Value::Null
                }
            }
            ["node-services", name] => {
                let node = is_known(state, name, own).then(|| shapes::node(&shapes::node_of(state, name)));
                json!({ "Node": node, "Services": asked.filtered(services_on(state, name))? })
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }
}

/// The names of all services with all their tags; `consul` stands for the registry itself.
fn service_names(state: &State, asked: &Asked<'_>) -> Result<Value, Refused> {
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::from([("consul".to_owned(), BTreeSet::new())]);
    let mut shown: Vec<Value> = Vec::new();
    for entry in state.shown() {
        let node = shapes::node_of(state, &entry.node);
        if has_meta(&node, &asked.query) {
            shown.push(shapes::catalog_service(entry, &node));
        }
    }
    for value in asked.filtered(shown)? {
        let tags = value["ServiceTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let name = value["ServiceName"].as_str().unwrap_or_default();
        names.entry(name.to_owned()).or_default().extend(tags.map(str::to_owned));
    }
    Ok(json!(names))
}

fn services_on(state: &State, node: &str) -> Vec<Value> {
    state.shown().filter(|entry| entry.node == node).map(|entry| shapes::service(entry)).collect()
}

/// All nodes: the registry's own, those that are registered, and those that only entries name.
fn nodes(state: &State, own: &str) -> Vec<std::sync::Arc<Node>> {
    let mut names: BTreeSet<&str> = state.nodes.keys().map(String::as_str).collect();
    names.insert(own);
    names.into_iter().map(|name| shapes::node_of(state, name)).collect()
}

fn is_known(state: &State, name: &str, own: &str) -> bool {
    name == own || state.nodes.contains_key(name)
}

/// Every `?tag=` is a tag of it, whatever its case.
fn has_tags(entry: &Entry, query: &Query) -> bool {
    query.all("tag").filter(|tag| !tag.is_empty()).all(|tag| {
        let wanted = tag.to_lowercase();
        entry.tags.iter().any(|own| own.to_lowercase() == wanted)
    })
}

/// Every `?node-meta=key:value` is in its metadata.
fn has_meta(node: &Node, query: &Query) -> bool {
    query.all("node-meta").all(|pair| {
        let (key, value) = pair.split_once(':').unwrap_or((pair, ""));
        node.meta.get(key).is_some_and(|own| own == value)
    })
}
