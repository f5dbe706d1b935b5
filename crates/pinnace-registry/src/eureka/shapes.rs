//! What Eureka's clients read, as a tree that is written as JSON or as XML.
//!
//! Eureka's JSON is its XML in other words: attributes become members with an `@`, numbers become texts. Which do is decided
//! here once.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::entry::{Entry, Face, LeaseStatus};
use crate::state::Action;

const DATA_CENTER_CLASS: &str = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo";
const EMPTY_MAP_CLASS: &str = "java.util.Collections$EmptyMap";
/// The longest text that is written as a tag: names of metadata that XML cannot hold are left out there.
const MAX_TAG: usize = 255;

/// An instance for the wire.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) app: String,
    pub(super) instance: Value,
    pub(super) status: LeaseStatus,
}

/// The name of an application: Eureka writes it in capitals.
pub(super) fn app_name(service: &str) -> String {
    service.to_uppercase()
}

/// An entry as an instance. `renewed_at` is its last sign of life in milliseconds.
pub(super) fn shown(entry: &Entry, action: Action, renewed_at: i64) -> Shown {
    let app = app_name(&entry.service);
    let status = LeaseStatus::of(entry);
    let lease = entry.lease.as_deref();
    let host = lease.map_or(entry.address.as_str(), |lease| lease.host_name.as_str());
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let address = if entry.address.is_empty() { host } else { &entry.address };
    let overridden = lease.map_or(LeaseStatus::Unknown, |lease| lease.overridden);
    let mut instance = json!({
        "instanceId": entry.id,
        "hostName": host,
        "app": app,
        "ipAddr": address,
        "status": status.word(),
        "overriddenStatus": overridden.word(),
        "port": { "$": entry.port, "@enabled": lease.is_none_or(|lease| lease.port_enabled).to_string() },
        "securePort": {
            "$": lease.map_or(443, |lease| lease.secure_port),
            "@enabled": lease.is_some_and(|lease| lease.secure_port_enabled).to_string(),
        },
        "countryId": lease.map_or(1, |lease| lease.country_id),
        "dataCenterInfo": data_center(entry),
        "leaseInfo": {
            "renewalIntervalInSecs": lease.map_or(30, |lease| lease.renewal_interval),
            "durationInSecs": lease.map_or(90, |lease| lease.duration),
            "registrationTimestamp": lease.map_or(0, |lease| lease.registered_at),
            "lastRenewalTimestamp": renewed_at,
            "evictionTimestamp": 0,
            "serviceUpTimestamp": lease.map_or(0, |lease| lease.up_since),
        },
        "metadata": metadata(entry),
    });
    let texts = lease.map(|lease| &lease.texts);
    for name in super::TEXTS {
        if let Some(text) = texts.and_then(|texts| texts.get(name)) {
            instance[name] = text.clone().into();
        }
    }
    if lease.is_none() {
        instance["vipAddress"] = entry.service.clone().into();
        instance["secureVipAddress"] = entry.service.clone().into();
        if entry.port != 0 {
            instance["homePageUrl"] = format!("http://{host}:{}/", entry.port).into();
        }
    }
    let of_text = |number: i64| Value::from(number.to_string());
    instance["isCoordinatingDiscoveryServer"] = lease.is_some_and(|lease| lease.coordinating).to_string().into();
    instance["lastUpdatedTimestamp"] = of_text(lease.map_or(0, |lease| lease.last_updated));
    instance["lastDirtyTimestamp"] = of_text(lease.map_or(0, |lease| lease.last_dirty));
    instance["actionType"] = match action {
        Action::Added => "ADDED",
        Action::Modified => "MODIFIED",
        Action::Deleted => "DELETED",
    }
    .into();
    Shown { app, instance, status }
}

/// The statuses of all instances with their numbers: `DOWN_1_UP_2_`. Clients compare it with what they hold.
pub(super) fn hash_code(statuses: impl Iterator<Item = LeaseStatus>) -> String {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for status in statuses {
        *counts.entry(status.word()).or_default() += 1;
    }
    counts.into_iter().fold(String::new(), |mut text, (word, count)| {
        let _ = write!(text, "{word}_{count}_");
        text
    })
}

/// Instances by their applications.
pub(super) fn applications(instances: Vec<Shown>, version: &str, hash_code: &str) -> Value {
    json!({ "versions__delta": version, "apps__hashcode": hash_code, "application": by_app(instances) })
}

/// One application.
pub(super) fn by_app(instances: Vec<Shown>) -> Vec<Value> {
    let mut apps: Vec<(String, Vec<Value>)> = Vec::new();
    for Shown { app, instance, .. } in instances {
        match apps.iter_mut().find(|(name, _)| *name == app) {
            Some((_, of)) => of.push(instance),
            None => apps.push((app, vec![instance])),
        }
    }
    apps.into_iter().map(|(name, of)| json!({ "name": name, "instance": of })).collect()
}

/// A document of one element, as XML.
pub(super) fn xml(root: &str, value: &Value) -> String {
    let mut text = String::new();
    element(&mut text, root, value);
    text
}

fn data_center(entry: &Entry) -> Value {
    let Some(lease) = &entry.lease else { return json!({ "@class": DATA_CENTER_CLASS, "name": "MyOwn" }) };
    let class = if lease.data_center_class.is_empty() { DATA_CENTER_CLASS } else { &lease.data_center_class };
    let mut value = json!({ "@class": class, "name": lease.data_center });
    if !lease.data_center_meta.is_empty() {
        value["metadata"] = json!(lease.data_center_meta);
    }
    value
}

fn metadata(entry: &Entry) -> Value {
    if entry.meta.is_empty() {
        return json!({ "@class": EMPTY_MAP_CLASS });
    }
    let mut members: Map<String, Value> =
        entry.meta.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    if entry.face != Face::Eureka && !entry.tags.is_empty() {
        members.entry("tags").or_insert_with(|| entry.tags.join(",").into());
    }
    Value::Object(members)
}

fn element(text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Array(values) => {
            for value in values {
                element(text, name, value);
            }
        }
        Value::Object(members) => {
            let _ = write!(text, "<{name}");
            for (member, value) in members {
                if let Some(attribute) = member.strip_prefix('@').filter(|name| is_tag(name)) {
                    let _ = write!(text, " {attribute}=\"{}\"", escaped(value.as_str().unwrap_or_default()));
                }
            }
            text.push('>');
            for (member, value) in members {
                if member == "$" {
                    let _ = write!(text, "{}", escaped(&plain(value)));
                } else if is_tag(member) {
                    // In XML it is spelled as it always was.
                    element(text, if member == "overriddenStatus" { "overriddenstatus" } else { member }, value);
                }
            }
            let _ = write!(text, "</{name}>");
        }
        plain_value => {
            let _ = write!(text, "<{name}>{}</{name}>", escaped(&plain(plain_value)));
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0 cannot hold other control characters at all.
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

fn is_tag(name: &str) -> bool {
    let mut characters = name.chars();
    name.len() <= MAX_TAG
        && characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|rest| rest.is_ascii_alphanumeric() || matches!(rest, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{hash_code, xml};
    use crate::entry::LeaseStatus::{Down, Up};

    #[test]
    fn hash_codes_count_statuses_in_the_order_of_their_names() {
        assert_eq!(hash_code([Up, Down, Up].into_iter()), "DOWN_1_UP_2_");
        assert_eq!(hash_code([].into_iter()), "");
    }

    #[test]
    fn xml_holds_what_json_holds_and_nothing_breaks_out_of_it() {
        let value = json!({ "port": { "$": 80, "@enabled": "true" }, "a": ["<x>", "\"&\u{1}\n"], "bad tag": "y",
            "overriddenStatus": "UP" });
        assert_eq!(
            xml("instance", &value),
            "<instance><a>&lt;x&gt;</a><a>&quot;&amp;\u{fffd}&#10;</a><overriddenstatus>UP</overriddenstatus>\
             <port enabled=\"true\">80</port></instance>"
        );
    }
}
