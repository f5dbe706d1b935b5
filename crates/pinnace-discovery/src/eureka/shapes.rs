//! What goes over the wire. Eureka's JSON is its XML in other words: numbers may be texts, and a list of one may be the one.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pinnace_types::ServiceName;
use serde_json::{Map, Value, json};

use crate::{Endpoint, Instance, Registration};

/// Where tags and the weight stand: Eureka has no place of its own for them.
const TAGS: &str = "tags";
const WEIGHT: &str = "weight";

/// The name of a service's application: Eureka writes it in capitals.
pub(super) fn app_name(service: &ServiceName) -> String {
    service.as_str().to_ascii_uppercase()
}

/// The body of a registration, with the moment at which the instance last changed what it says.
pub(super) fn definition(registration: &Registration, dirty: Timestamp) -> Value {
    let Registration { service, id, endpoint, weight, tags, meta, ttl } = registration;
    let mut metadata: Map<String, Value> =
        meta.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    metadata.insert(WEIGHT.to_owned(), (*weight).max(1).to_string().into());
    if !tags.is_empty() {
        metadata.insert(TAGS.to_owned(), tags.join(",").into());
    }
    let of_text = dirty.as_millisecond().to_string();
    json!({ "instance": {
        "instanceId": id,
        "app": app_name(service),
        "hostName": endpoint.host(),
        "ipAddr": endpoint.host(),
        "vipAddress": service,
        "secureVipAddress": service,
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": { "$": endpoint.port(), "@enabled": "true" },
        "securePort": { "$": 443, "@enabled": "false" },
        "homePageUrl": format!("{endpoint}/"),
        "countryId": 1,
        "dataCenterInfo": {
            "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
            "name": "MyOwn",
        },
        "leaseInfo": {
            "renewalIntervalInSecs": seconds(*ttl / 3),
            "durationInSecs": seconds(*ttl),
        },
        "metadata": metadata,
        "lastUpdatedTimestamp": of_text,
        "lastDirtyTimestamp": of_text,
        "isCoordinatingDiscoveryServer": "false",
    } })
}

/// The application and the id of an instance.
pub(super) fn identity(application: &Value, value: &Value) -> Option<(String, String)> {
    let app = match text(application, "name") {
        "" => text(value, "app"),
        name => name,
    };
    // Netflix' oldest clients have no id but their host's name.
    let id = match text(value, "instanceId") {
        "" => text(value, "hostName"),
        id => id,
    };
    (!app.is_empty() && !id.is_empty()).then(|| (app.to_ascii_uppercase(), id.to_owned()))
}

/// An instance, where it has a port without TLS.
pub(super) fn instance(id: &str, value: &Value) -> Option<Instance> {
    let port = value.get("port")?;
    if plain(port.get("@enabled")).is_some_and(|enabled| enabled != "true") {
        return None;
    }
    let number = plain(port.get("$"))?.parse().ok()?;
    let host = match text(value, "hostName") {
        "" => text(value, "ipAddr"),
        host => host,
    };
    let endpoint = Endpoint::try_new(host, number).ok()?;
    let metadata = value.get("metadata").and_then(Value::as_object);
    let mut meta: BTreeMap<String, String> = metadata
        .into_iter()
        .flatten()
        .filter(|(key, _)| !key.starts_with('@'))
        .filter_map(|(key, value)| Some((key.clone(), plain(Some(value))?)))
        .collect();
    let weight = meta.remove(WEIGHT).and_then(|weight| weight.parse().ok()).unwrap_or(1).max(1);
    let tags = meta.remove(TAGS).unwrap_or_default();
    let tags = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
    Some(Instance { id: id.to_owned(), endpoint, weight, tags, meta })
}

/// Several, one or none.
pub(super) fn list(value: Option<&Value>) -> &[Value] {
    match value {
        None | Some(Value::Null) => &[],
        Some(Value::Array(values)) => values,
        Some(one) => std::slice::from_ref(one),
    }
}

/// A member's text, empty where there is none.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A text, number or truth value as text.
fn plain(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whole seconds, at least one: Eureka has no shorter times.
fn seconds(duration: Duration) -> u64 {
    let started = u64::from(duration.subsec_nanos() > 0);
    (duration.as_secs() + started).max(1)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::{definition, identity, instance, list};
    use crate::Registration;

    #[test]
    fn what_one_instance_says_another_reads() {
        let registration = Registration {
            weight: 3,
            tags: vec!["a".to_owned(), "b".to_owned()],
            meta: [("zone".to_owned(), "eu".to_owned())].into(),
            ..Registration::new("price-list".parse().unwrap(), "http://10.0.0.1:80".parse().unwrap())
        };
        let body = definition(&registration, Timestamp::UNIX_EPOCH);
        let value = &body["instance"];
        assert_eq!(instance(&registration.id, value), Some(registration.instance()));
        assert_eq!(identity(&json!({}), value), Some(("PRICE-LIST".to_owned(), registration.id)));
        assert_eq!(value["leaseInfo"], json!({ "renewalIntervalInSecs": 4, "durationInSecs": 10 }));
    }

    #[test]
    fn what_other_clients_say_is_read_too_and_what_has_no_plain_port_is_none() {
        let spring = json!({ "hostName": "", "ipAddr": "10.0.0.1", "port": { "$": "80", "@enabled": true },
            "metadata": { "@class": "java.util.Collections$EmptyMap", "management.port": 81, "weight": "x" } });
        let found = instance("i", &spring).unwrap();
        assert_eq!((found.endpoint.authority().as_str(), found.weight), ("10.0.0.1:80", 1));
        assert_eq!(found.meta, [("management.port".to_owned(), "81".to_owned())].into());
        for value in [
            json!({ "hostName": "h", "port": { "$": 80, "@enabled": "false" } }),
            json!({ "hostName": "h", "port": { "$": 80_000, "@enabled": "true" } }),
            json!({ "hostName": "h" }),
            json!({ "port": { "$": 80 } }),
        ] {
            assert_eq!(instance("i", &value), None, "{value}");
        }
        assert_eq!((list(None).len(), list(Some(&json!({}))).len(), list(Some(&json!([1, 2]))).len()), (0, 1, 2));
        assert_eq!(identity(&json!({}), &json!({})), None);
    }
}
