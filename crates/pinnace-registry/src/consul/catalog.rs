//! `catalog/register` and `catalog/deregister`: what outside tools say about nodes and services that no agent looks after.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;

use super::fields::Fields;
use super::service::read_entry;
use super::{Asked, Consul, check_datacenter, json, shapes};
use crate::entry::{Check, Entry, Health, MAX_CHECKS, MAX_OUTPUT, Node, shortened};
use crate::query::{Answered, Refused};

/// A check of a registration, and the service that it belongs to.
struct Told {
    service: Option<String>,
    check: Check,
}

impl Consul {
    pub(super) async fn catalog_register(&self, asked: &Asked<'_>) -> Answered {
        let mut fields = Fields::parse(&asked.body)?;
        check_datacenter(fields.text("datacenter")?.as_deref())?;
        let (Some(name), address) = (fields.text("node")?, fields.text("address")?) else {
            return Err(Refused::bad("Must provide node name"));
        };
        let service = match fields.object("service")? {
            None => None,
            Some(mut of) => {
                let Some(service) = of.text("service")? else { return Err(Refused::bad("Must provide service name")) };
                let id = of.text("id")?.unwrap_or_else(|| service.clone());
                Some(read_entry(&mut of, &name, service, id)?)
            }
        };
        let told = told(&mut fields)?;
        let keep_node = fields.flag("skipnodeupdate")?;
        if keep_node && service.is_some() {
            asked.check_write(service.as_ref().map_or("", |service| service.service.as_str()))?;
        } else {
            asked.check_operator()?;
        }
        let Some(address) = address.or_else(|| keep_node.then(|| "127.0.0.1".to_owned())) else {
            return Err(Refused::bad("Must provide address if SkipNodeUpdate is not set"));
        };
        let (id, meta) = (fields.text("id")?, fields.text_map("nodemeta")?);
        let tagged_addresses = fields.text_map("taggedaddresses")?;
        let made = Node {
            name,
            id: id.unwrap_or_default(),
            address,
            meta,
            tagged_addresses,
            checks: Vec::new(),
            create_index: 0,
            modify_index: 0,
        };
        self.registry
            .store()
            .change(move |draft| {
                let known = service.as_ref().and_then(|entry| draft.state().entries.get(&entry.key()).cloned());
                let mut service = service;
                if let (Some(entry), Some(known)) = (&mut service, known) {
                    entry.checks.clone_from(&known.checks);
                }
                let mut node = match draft.state().nodes.get(&made.name) {
                    Some(known) if keep_node => Node::clone(known),
                    Some(known) => Node { checks: known.checks.clone(), ..made },
                    None if made.name == draft.own_node() => Node { meta: made.meta, ..shapes::own_node(&made.name) },
                    None => made,
                };
                for told in told.iter().filter(|told| told.service.is_none()) {
                    put(&mut node.checks, told.check.clone());
                }
                let name = node.name.clone();
                draft.put_node(node)?;
                if let Some(mut entry) = service {
                    for told in told.iter().filter(|told| told.service.as_ref() == Some(&entry.id)) {
                        put(&mut entry.checks, told.check.clone());
                    }
                    entry.processes = draft.state().processes_of(&entry);
                    draft.put(entry)?;
                }
                put_on_others(draft, &name, &told)
            })
            .await??;
        Ok(json(&Value::Bool(true)))
    }

    pub(super) async fn catalog_deregister(&self, asked: &Asked<'_>) -> Answered {
        let mut fields = Fields::parse(&asked.body)?;
        check_datacenter(fields.text("datacenter")?.as_deref())?;
        let Some(node) = fields.text("node")? else { return Err(Refused::bad("Must provide node")) };
        let (service, check) = (fields.text("serviceid")?, fields.text("checkid")?);
        let own = self.registry.store().node();
        let state = self.registry.store().now();
        let known = service.as_ref().map(|id| super::own_entry(&state, &node, id));
        match &known {
            Some(Some(entry)) => asked.check_write(&entry.service)?,
            _ => asked.check_operator()?,
        }
        if service.is_none() && check.is_none() && node == own {
            let text = "Permission denied: the registry's own node stays";
            return Err(Refused::new(StatusCode::FORBIDDEN, text));
        }
        let entry = known.flatten().map(|entry| entry.key());
        self.registry
            .store()
            .change(move |draft| match (service, check) {
                (Some(_), None) => {
                    if let Some(key) = entry {
                        draft.remove(&key);
                    }
                    Ok(())
                }
                (_, Some(check)) => drop_check(draft, &node, &check),
                (None, None) => {
                    draft.remove_node(&node);
                    Ok(())
                }
            })
            .await??;
        Ok(json(&Value::Bool(true)))
    }
}

/// Checks that belong to services which the registration itself does not name.
fn put_on_others(draft: &mut crate::draft::Draft, node: &str, told: &[Told]) -> Result<(), crate::StoreError> {
    let mut others: BTreeMap<&str, Vec<&Check>> = BTreeMap::new();
    for told in told {
        if let Some(service) = &told.service {
            others.entry(service).or_default().push(&told.check);
        }
    }
    for (id, checks) in others {
        let Some(mut entry) = super::own_entry(draft.state(), node, id).map(|entry| Entry::clone(&entry)) else {
            continue;
        };
        for check in checks {
            put(&mut entry.checks, check.clone());
        }
        draft.put(entry)?;
    }
    Ok(())
}

fn drop_check(draft: &mut crate::draft::Draft, node: &str, id: &str) -> Result<(), crate::StoreError> {
    let entries = draft.state().entries.values();
    let on = entries.filter(|entry| entry.node == node && entry.checks.iter().any(|check| check.id == id));
    let on: Vec<_> = on.filter(|entry| entry.face == crate::entry::Face::Consul).cloned().collect();
    for entry in on {
        let mut entry = Entry::clone(&entry);
        entry.checks.retain(|check| check.id != id);
        draft.put(entry)?;
    }
    if draft.state().nodes.contains_key(node) {
        let mut node = Node::clone(&shapes::node_of(draft.state(), node));
        node.checks.retain(|check| check.id != id);
        draft.put_node(node)?;
    }
    Ok(())
}

fn put(checks: &mut Vec<Check>, check: Check) {
    match checks.iter_mut().find(|known| known.id == check.id) {
        Some(known) => *known = check,
        None => checks.push(check),
    }
}

/// The checks of a registration: `Check` and `Checks`. They say how they stand; nobody asks.
fn told(fields: &mut Fields) -> Result<Vec<Told>, Refused> {
    let single = fields.object("check")?;
    let definitions: Vec<_> = single.into_iter().chain(fields.objects("checks")?).collect();
    if definitions.len() > MAX_CHECKS {
        return Err(Refused::bad("a registration has at most 32 checks"));
    }
    let mut told = Vec::new();
    for mut of in definitions {
        let name = of.text("name")?;
        let id = of.text("checkid")?.or_else(|| name.clone());
        let Some(id) = id else { return Err(Refused::bad("Must provide a check's name or id")) };
        let word = of.text("status")?.unwrap_or_else(|| Health::Critical.word().to_owned());
        let status = Health::parse(&word).ok_or_else(|| Refused::bad(format!("Invalid check status: '{word}'")))?;
        let check = Check {
            name: name.unwrap_or_else(|| id.clone()),
            notes: shortened(&of.text("notes")?.unwrap_or_default(), crate::entry::MAX_VALUE),
            output: shortened(&of.text("output")?.unwrap_or_default(), MAX_OUTPUT),
            ..Check::told(&id, status)
        };
        told.push(Told { service: of.text("serviceid")?, check });
    }
    Ok(told)
}
