//! The agent: its services and checks, and itself.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::fields::Fields;
use super::service::unknown_service;
use super::{Asked, Consul, checks, crowded, done, json as answer, own_entry, patience, shapes};
use crate::entry::{Check, CheckKind, Entry, Face, Health, MAX_OUTPUT, Node, shortened};
use crate::liveness::set_health;
use crate::query::{Answered, Refused, typed};
use crate::registry::{BeatKey, Owner};
use crate::state::State;

impl Consul {
    pub(super) async fn agent(
        &self,
        path: &[&str],
        is_read: bool,
        is_write: bool,
        asked: &Asked<'_>,
    ) -> Result<Option<Response<Bytes>>, Refused> {
        let state = self.registry.store().now();
        let own = self.registry.store().node();
        if is_read {
            return Ok(Some(match path {
                ["self"] => answer(&shapes::own_self(&shapes::own_node(own))),
                ["members"] => answer(&json!([shapes::member(&shapes::own_node(own))])),
                ["services"] => answer(&self.agent_services(&state, asked)?),
                ["service", id] => self.agent_service(id, asked).await?,
                ["checks"] => answer(&self.agent_checks(&state, asked)?),
                ["health", "service", "id", id] => self.local_health(&state, &[id], false, asked),
                ["health", "service", "name", name] => self.local_health(&state, &[name], true, asked),
                // Old clients say how they are with GET.
                ["check", "pass" | "warn" | "fail", _] => return self.check_word(path, asked).await,
                _ => return Ok(None),
            }));
        }
        if !is_write {
            return Ok(None);
        }
        match path {
            ["service", "register"] => self.register(asked).await.map(Some),
            ["service", "deregister", id] => self.deregister(id, asked).await.map(Some),
            ["service", "maintenance", id] => self.maintain(id, asked).await.map(Some),
            ["maintenance"] => self.maintain_node(asked).await.map(Some),
            ["check", "register"] => self.register_check(asked).await.map(Some),
            ["check", "deregister", id] => self.deregister_check(id, asked).await.map(Some),
            ["check", "update", id] => {
                let mut fields = Fields::parse(&asked.body)?;
                let word = fields.text("status")?.unwrap_or_default();
                let health =
                    Health::parse(&word).ok_or_else(|| Refused::bad(format!("Invalid check status: '{word}'")))?;
                let output = fields.text("output")?.unwrap_or_default();
                self.update_check(id, health, &output, asked).await.map(Some)
            }
            ["check", ..] => self.check_word(path, asked).await,
            _ => Ok(None),
        }
    }

    async fn check_word(&self, path: &[&str], asked: &Asked<'_>) -> Result<Option<Response<Bytes>>, Refused> {
        let ["check", word, id] = path else { return Ok(None) };
        let health = match *word {
            "pass" => Health::Passing,
            "warn" => Health::Warning,
            "fail" => Health::Critical,
            _ => return Ok(None),
        };
        let note = asked.query.value("note").unwrap_or_default();
        self.update_check(id, health, note, asked).await.map(Some)
    }

    fn agent_services(&self, state: &State, asked: &Asked<'_>) -> Result<Value, Refused> {
        let own = self.registry.store().node();
        let entries = state.shown().filter(|entry| entry.node == own);
        let services = asked.filtered(entries.map(|entry| shapes::agent_service(entry)).collect())?;
        let named = services.into_iter().map(|value| (value["ID"].as_str().unwrap_or_default().to_owned(), value));
        Ok(Value::Object(named.collect::<Map<_, _>>()))
    }

    /// One service, with the hash by which its change can be waited for.
    async fn agent_service(&self, id: &str, asked: &Asked<'_>) -> Answered {
        let own = self.registry.store().node();
        let shown = |state: &State| {
            let entry = state.by_id(own, id)?;
            let mut value = shapes::agent_service(entry);
            let hash = content_hash(&value);
            value["ContentHash"] = hash.clone().into();
            Some((value, hash))
        };
        let mut changes = self.registry.store().watch();
        if let Some(known) = asked.query.value("hash") {
            let changed = changes.wait_for(|state| shown(state).is_none_or(|(_, hash)| hash != known));
            let Some(_place) = self.registry.place() else { return Err(crowded()) };
            tokio::select! {
                _ = timeout(patience(&asked.query)?, changed) => {}
                () = self.registry.released() => {}
            }
        }
        let Some((value, hash)) = shown(&self.registry.store().now()) else { return Err(unknown_service(id)) };
        let mut response = answer(&value);
        if let Ok(hash) = HeaderValue::from_str(&hash) {
            response.headers_mut().insert(HeaderName::from_static("x-consul-contenthash"), hash);
        }
        Ok(response)
    }

    fn agent_checks(&self, state: &State, asked: &Asked<'_>) -> Result<Value, Refused> {
        let own = self.registry.store().node();
        let entries = state.shown().filter(|entry| entry.node == own);
        let mut checks: Vec<_> = entries.flat_map(|entry| shapes::entry_checks(entry)).collect();
        if let Some(node) = state.nodes.get(own) {
            checks.extend(node.checks.iter().map(|check| shapes::check(check, own, None)));
        }
        let checks = asked.filtered(checks)?;
        let named = checks.into_iter().map(|value| (value["CheckID"].as_str().unwrap_or_default().to_owned(), value));
        Ok(Value::Object(named.collect::<Map<_, _>>()))
    }

    /// How services stand, as a status that load balancers understand: 200, 429, 503, or 404.
    fn local_health(&self, state: &State, of: &[&str], by_name: bool, asked: &Asked<'_>) -> Response<Bytes> {
        let own = self.registry.store().node();
        let found: Vec<Arc<Entry>> = match of {
            [name] if by_name => state.shown_of(name).filter(|entry| entry.node == own).cloned().collect(),
            [id] => state.by_id(own, id).cloned().into_iter().collect(),
            _ => Vec::new(),
        };
        let node = shapes::node_of(state, own);
        let shown: Vec<_> = found
            .iter()
            .map(|entry| {
                let mut checks: Vec<_> = shapes::entry_checks(entry).collect();
                checks.extend(node.checks.iter().map(|check| shapes::check(check, own, None)));
                let health = shapes::worst(&checks);
                let status = json!({
                    "AggregatedStatus": health.word(),
                    "Service": shapes::agent_service(entry),
                    "Checks": checks,
                });
                (health, status)
            })
            .collect();
        let worst = shown.iter().map(|(health, _)| *health).max();
        let (status, word) = match worst {
            None => (StatusCode::NOT_FOUND, "critical"),
            Some(Health::Passing) => (StatusCode::OK, "passing"),
            Some(Health::Warning) => (StatusCode::TOO_MANY_REQUESTS, "warning"),
            Some(Health::Critical) => (StatusCode::SERVICE_UNAVAILABLE, "critical"),
        };
        if asked.query.value("format") == Some("text") {
            return typed(status, "text/plain; charset=utf-8", word);
        }
        let mut values = shown.into_iter().map(|(_, value)| value);
        let body = if by_name { values.collect::<Value>() } else { values.next().unwrap_or(Value::Null) };
        let mut response = answer(&body);
        *response.status_mut() = status;
        response
    }

    async fn register_check(&self, asked: &Asked<'_>) -> Answered {
        let mut fields = Fields::parse(&asked.body)?;
        let Some(name) = fields.text("name")? else { return Err(Refused::bad("Missing check name")) };
        let id = fields.text("checkid")?.or(fields.text("id")?).unwrap_or_else(|| name.clone());
        let own = self.registry.store().node().to_owned();
        let Some(service) = fields.text("serviceid")? else {
            asked.check_operator()?;
            let check = checks::read(&mut fields, &id, name, "")?;
            let beats = self.registry.beats().clone();
            let key = BeatKey { of: Owner::Node(own), check: Some(check.id.clone()) };
            self.registry
                .store()
                .change(move |draft| {
                    let mut node = Node::clone(&shapes::node_of(draft.state(), draft.own_node()));
                    node.checks.retain(|known| known.id != check.id);
                    node.checks.push(check);
                    draft.put_node(node)?;
                    beats.beat(key);
                    Ok::<_, crate::StoreError>(())
                })
                .await??;
            return Ok(done());
        };
        let Some(entry) = own_entry(&self.registry.store().now(), &own, &service) else {
            let text = format!("ServiceID \"{service}\" does not exist");
            return Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, text));
        };
        asked.check_write(&entry.service)?;
        let check = checks::read(&mut fields, &id, name, &entry.address)?;
        let key = entry.key();
        let beats = self.registry.beats().clone();
        let alive = BeatKey { of: Owner::Entry(key.clone()), check: Some(check.id.clone()) };
        self.registry
            .store()
            .change(move |draft| {
                draft.amend(&key, |entry| {
                    entry.checks.retain(|known| known.id != check.id);
                    entry.checks.push(check);
                })?;
                beats.beat(alive);
                Ok::<_, crate::StoreError>(())
            })
            .await??;
        Ok(done())
    }

    async fn deregister_check(&self, id: &str, asked: &Asked<'_>) -> Answered {
        let (key, _) = self.check(id, asked)?;
        let id = id.to_owned();
        self.registry
            .store()
            .change(move |draft| match key.of {
                Owner::Entry(of) => {
                    let Some(mut entry) = draft.state().entries.get(&of).map(|entry| Entry::clone(entry)) else {
                        return Ok(());
                    };
                    entry.checks.retain(|known| known.id != id);
                    draft.put(entry)
                }
                Owner::Node(of) => {
                    let mut node = Node::clone(&shapes::node_of(draft.state(), &of));
                    node.checks.retain(|known| known.id != id);
                    draft.put_node(node)
                }
            })
            .await??;
        Ok(done())
    }

    /// Takes a sign of life. Only what changes by it is written.
    async fn update_check(&self, id: &str, health: Health, output: &str, asked: &Asked<'_>) -> Answered {
        let (key, check) = self.check(id, asked)?;
        if !matches!(check.kind, CheckKind::Ttl(_)) {
            let text = format!("CheckID \"{id}\" does not have associated TTL");
            return Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, text));
        }
        self.registry.beats().beat(key.clone());
        let output = shortened(output, MAX_OUTPUT);
        if check.status != health || check.output != output {
            self.registry.store().change(move |draft| set_health(draft, &key, health, Some(&output))).await?;
        }
        Ok(done())
    }

    /// A check of this face that the caller may change.
    fn check(&self, id: &str, asked: &Asked<'_>) -> Result<(BeatKey, Check), Refused> {
        let state = self.registry.store().now();
        let own = self.registry.store().node();
        let of = |checks: &[Check]| checks.iter().find(|check| check.id == id).cloned();
        let entries = state.entries.values().filter(|entry| entry.face == Face::Consul && entry.node == own);
        for entry in entries {
            if let Some(check) = of(&entry.checks) {
                asked.check_write(&entry.service)?;
                return Ok((BeatKey { of: Owner::Entry(entry.key()), check: Some(id.to_owned()) }, check));
            }
        }
        if let Some(check) = state.nodes.get(own).and_then(|node| of(&node.checks)) {
            asked.check_operator()?;
            return Ok((BeatKey { of: Owner::Node(own.to_owned()), check: Some(id.to_owned()) }, check));
        }
        Err(Refused::not_found(format!(
            "Unknown check ID \"{id}\". Ensure that the check ID is passed, not the check name."
        )))
    }
}

/// 64 bits in hexadecimal digits, the same for the same content.
fn content_hash(value: &Value) -> String {
    // FNV-1a: it only has to differ where the content does.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in value.to_string().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}
