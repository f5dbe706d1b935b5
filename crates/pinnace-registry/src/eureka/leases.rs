//! Leases: registration, heartbeats, their end, and what is changed while they last.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{StatusCode, header};

use super::document::Node;
use super::{Asked, Eureka, TEXTS, app_name, done, nothing};
use crate::entry::{Check, CheckKind, Entry, Face, Health, Lease, LeaseStatus, Weights};
use crate::liveness::lease_key;
use crate::query::{Answered, Refused, bare};

/// The check by which other faces see the status of an instance.
const STATUS_CHECK: &str = "eureka";
/// A lease lasts at most this long, in seconds.
const LONGEST_LEASE: u32 = 24 * 3600;

impl Eureka {
    /// `POST apps/APP`
    pub(super) async fn register(&self, app: &str, asked: &Asked<'_>) -> Answered {
        asked.check_write(app)?;
        let entry = read(app, asked, self.registry.store().node())?;
        let (beats, alive) = (self.registry.beats().clone(), lease_key(&entry));
        self.registry
            .store()
            .change(move |draft| {
                let mut entry = entry;
                let now = draft.now().as_millisecond();
                let known = draft.state().entries.get(&entry.key()).cloned();
                if let Some(lease) = entry.lease.as_deref_mut() {
                    let before = known.as_ref().and_then(|known| known.lease.as_deref());
                    // An override outlives the registration of the instance that it is about.
                    if let Some(before) = before.filter(|_| lease.overridden == LeaseStatus::Unknown) {
                        lease.overridden = before.overridden;
                    }
                    if lease.overridden != LeaseStatus::Unknown && !says_that_it_is_not_ready(lease.status) {
                        lease.status = lease.overridden;
                    }
                    lease.registered_at = before.map_or(now, |before| before.registered_at);
                    let was_up = before.filter(|before| before.up_since > 0).map(|before| before.up_since);
                    lease.up_since = was_up.unwrap_or(if lease.status == LeaseStatus::Up { now } else { 0 });
                }
                entry.processes = draft.state().processes_of(&entry);
                settle(&mut entry);
                draft.put(entry)?;
                beats.beat(alive);
                Ok::<_, crate::StoreError>(())
            })
            .await??;
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// `PUT apps/APP/ID`: a heartbeat. Nothing is written, unless the status has changed.
    pub(super) fn renew(&self, app: &str, id: &str, asked: &Asked<'_>) -> Answered {
        asked.check_write(app)?;
        let entry = self.lease(app, id)?;
        let Some(lease) = entry.lease.as_deref() else { return Err(nothing()) };
        // After the removal of an override nobody knows the status: the instance has to say it again.
        if lease.status == LeaseStatus::Unknown {
            return Err(nothing());
        }
        self.registry.beats().beat(lease_key(&entry));
        let dirty = asked.query.value("lastDirtyTimestamp").and_then(|text| text.parse::<i64>().ok());
        if dirty.is_some_and(|dirty| dirty > lease.last_dirty) {
            return Err(nothing());
        }
        Ok(done())
    }

    /// `DELETE apps/APP/ID`
    pub(super) async fn cancel(&self, app: &str, id: &str, asked: &Asked<'_>) -> Answered {
        asked.check_write(app)?;
        let key = self.lease(app, id)?.key();
        let gone = self.registry.store().change(move |draft| draft.remove(&key)).await?;
        if gone { Ok(done()) } else { Err(nothing()) }
    }

    /// `PUT apps/APP/ID/status?value=OUT_OF_SERVICE`
    pub(super) async fn put_status(&self, app: &str, id: &str, asked: &Asked<'_>) -> Answered {
        self.lease(app, id)?;
        let Some(status) = asked.query.value("value").and_then(LeaseStatus::parse) else {
            // Eureka answers 500 here; the sentence is ours.
            let text = "`value` has to be UP, DOWN, STARTING, OUT_OF_SERVICE or UNKNOWN";
            return Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, text));
        };
        self.with_lease(app, id, asked, move |lease, now| {
            if lease.status != status {
                lease.status = status;
                lease.overridden = status;
                if status == LeaseStatus::Up {
                    lease.up_since = now;
                }
            }
        })
        .await
    }

    /// `DELETE apps/APP/ID/status`
    pub(super) async fn drop_status(&self, app: &str, id: &str, asked: &Asked<'_>) -> Answered {
        let status = match asked.query.value("value") {
            None => LeaseStatus::Unknown,
            Some(word) => LeaseStatus::parse(word)
                .ok_or_else(|| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "`value` is no status"))?,
        };
        self.with_lease(app, id, asked, move |lease, _| {
            if lease.overridden != LeaseStatus::Unknown {
                lease.overridden = LeaseStatus::Unknown;
                lease.status = status;
            }
        })
        .await
    }

    /// `PUT apps/APP/ID/metadata?key=value`
    pub(super) async fn put_metadata(&self, app: &str, id: &str, asked: &Asked<'_>) -> Answered {
        asked.check_write(app)?;
        let key = self.lease(app, id)?.key();
        let pairs: Vec<_> = asked.query.pairs().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        self.registry.store().change(move |draft| draft.amend(&key, |entry| entry.meta.extend(pairs))).await??;
        Ok(done())
    }

    async fn with_lease(
        &self,
        app: &str,
        id: &str,
        asked: &Asked<'_>,
        act: impl FnOnce(&mut Lease, i64) + Send + 'static,
    ) -> Answered {
        asked.check_write(app)?;
        let entry = self.lease(app, id)?;
        let dirty = asked.query.value("lastDirtyTimestamp").and_then(|text| text.parse::<i64>().ok());
        self.registry.beats().beat(lease_key(&entry));
        let key = entry.key();
        self.registry
            .store()
            .change(move |draft| {
                let now = draft.now().as_millisecond();
                draft.amend(&key, |entry| {
                    if let Some(lease) = entry.lease.as_deref_mut() {
                        act(lease, now);
                        lease.last_dirty = lease.last_dirty.max(dirty.unwrap_or(0));
                    }
                    settle(entry);
                })
            })
            .await??;
        Ok(done())
    }

    fn lease(&self, app: &str, id: &str) -> Result<Arc<Entry>, Refused> {
        let state = self.registry.store().now();
        let mut of = state.entries_of(app).filter(|entry| entry.face == Face::Eureka && entry.id == id);
        of.next().cloned().ok_or_else(nothing)
    }
}

/// What an instance says of itself is believed before what others say, where it says that it should not be used.
const fn says_that_it_is_not_ready(status: LeaseStatus) -> bool {
    matches!(status, LeaseStatus::Down | LeaseStatus::Starting)
}

/// Brings the check by which other faces see it to its status.
fn settle(entry: &mut Entry) {
    let Some(status) = entry.lease.as_deref().map(|lease| lease.status) else { return };
    let health = if status == LeaseStatus::Up { Health::Passing } else { Health::Critical };
    entry.checks = vec![Check {
        name: "Eureka status".to_owned(),
        output: status.word().to_owned(),
        kind: CheckKind::Told,
        ..Check::told(&format!("{STATUS_CHECK}:{}", entry.id), health)
    }];
}

/// Reads a registration, in the form that its content type says.
fn read(app: &str, asked: &Asked<'_>, node: &str) -> Result<Entry, Refused> {
    let media_type = asked.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let (root, instance) = match media_type {
        Some(media_type) if media_type.contains("xml") => Node::from_xml(&asked.body)?,
        _ => Node::from_json(&asked.body)?,
    };
    if root != "instance" {
        return Err(Refused::bad("The body is not understood: `instance` is missing"));
    }
    let text = |name: &str| instance.text_of(name);
    let own_app = text("app").ok_or_else(|| Refused::bad("Missing appName"))?;
    let host_name = text("hostName").ok_or_else(|| Refused::bad("Missing hostname"))?;
    if app_name(own_app) != app_name(app) {
        let text = format!("Mismatched appName, expecting {} but was {own_app}", app_name(app));
        return Err(Refused::bad(text));
    }
    let data_center = instance.child("dataCenterInfo");
    let data_center = data_center.ok_or_else(|| Refused::bad("Missing dataCenterInfo"))?;
    let data_center_name = data_center.text_of("name").ok_or_else(|| Refused::bad("Missing dataCenterInfo Name"))?;
    let metadata = data_center.child("metadata").map(texts).unwrap_or_default();
    let id = text("instanceId").or_else(|| metadata.get("instance-id").map(String::as_str)).unwrap_or(host_name);
    let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
    let status = |name: &str| text(name).and_then(LeaseStatus::parse);
    let (port, port_enabled) = port(&instance, "port", true)?;
    let (secure_port, secure_port_enabled) = self::port(&instance, "securePort", false)?;
    let lease_info = instance.child("leaseInfo").cloned().unwrap_or_default();
    let seconds = |name: &str, default: u32| {
        let given = lease_info.text_of(name).and_then(|text| text.parse::<u32>().ok()).filter(|given| *given > 0);
        given.unwrap_or(default).min(LONGEST_LEASE)
    };
    let lease = Lease {
        status: status("status").unwrap_or(LeaseStatus::Up),
        overridden: status("overriddenStatus").or_else(|| status("overriddenstatus")).unwrap_or(LeaseStatus::Unknown),
        host_name: host_name.to_owned(),
        port_enabled,
        secure_port,
        secure_port_enabled,
        renewal_interval: seconds("renewalIntervalInSecs", 30),
        duration: seconds("durationInSecs", 90),
        registered_at: 0,
        up_since: 0,
        last_dirty: number("lastDirtyTimestamp").unwrap_or(0),
        last_updated: 0,
        country_id: number("countryId").unwrap_or(1),
        coordinating: text("isCoordinatingDiscoveryServer") == Some("true"),
        data_center_class: data_center.attributes.get("class").cloned().unwrap_or_default(),
        data_center: data_center_name.to_owned(),
        data_center_meta: metadata.clone(),
        texts: TEXTS.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?.to_owned()))).collect(),
    };
    let entry = Entry {
        face: Face::Eureka,
        node: node.to_owned(),
        service: app.to_lowercase(),
        id: id.to_owned(),
        address: text("ipAddr").unwrap_or(host_name).to_owned(),
        port,
        tags: Vec::new(),
        meta: instance.child("metadata").map(texts).unwrap_or_default(),
        tagged_addresses: BTreeMap::new(),
        weights: Weights::default(),
        enable_tag_override: false,
        checks: Vec::new(),
        lease: Some(Box::new(lease)),
        processes: Vec::new(),
        create_index: 0,
        modify_index: 0,
    };
    entry.check().map_err(|invalid| Refused::bad(invalid.to_string()))?;
    Ok(entry)
}

fn texts(node: &Node) -> BTreeMap<String, String> {
    node.children.iter().map(|(name, child)| (name.clone(), child.text.clone())).collect()
}

/// A port with whether it is open: `{"$": 8080, "@enabled": "true"}`, or a bare number.
fn port(instance: &Node, name: &str, enabled: bool) -> Result<(u16, bool), Refused> {
    let Some(node) = instance.child(name) else { return Ok((if enabled { 7001 } else { 7002 }, enabled)) };
    let text = node.text.trim();
    let port = if text.is_empty() { Some(0) } else { text.parse().ok() };
    let port = port.ok_or_else(|| Refused::bad(format!("Invalid {name}: `{text}` is no port")))?;
    Ok((port, node.attributes.get("enabled").map_or(enabled, |enabled| enabled == "true")))
}
