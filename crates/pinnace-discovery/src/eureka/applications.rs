//! All instances that a server told of, and how differences are put to them.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use pinnace_types::ServiceName;
use serde_json::Value;

use super::shapes;
use crate::Instance;

/// The instances of all applications, by the name of their application in capitals and their id.
#[derive(Debug, Default)]
pub(super) struct Applications(HashMap<(String, String), Known>);

#[derive(Debug)]
struct Known {
    status: String,
    /// Where it can be called: it is up, and has a port without TLS.
    instance: Option<Instance>,
}

/// What was sent is no list of applications.
#[derive(Debug, thiserror::Error)]
#[error("it has no list of applications")]
pub(super) struct NoApplications;

impl Applications {
    /// Everything, as `apps` answers.
    pub(super) fn read(document: &Value) -> Result<Self, NoApplications> {
        let mut applications = Self::default();
        applications.merge(document)?;
        Ok(applications)
    }

    /// Puts differences to it, as `apps/delta` answers. Says whether what is held then is what the server holds: its hash
    /// code says so.
    pub(super) fn merge(&mut self, document: &Value) -> Result<bool, NoApplications> {
        let document = document.get("applications").ok_or(NoApplications)?;
        for application in shapes::list(document.get("application")) {
            for value in shapes::list(application.get("instance")) {
                let Some((app, id)) = shapes::identity(application, value) else { continue };
                let key = (app, id);
                if shapes::text(value, "actionType") == "DELETED" {
                    self.0.remove(&key);
                } else {
                    let status = shapes::text(value, "status").to_owned();
                    let instance = if status == "UP" { shapes::instance(&key.1, value) } else { None };
                    self.0.insert(key, Known { status, instance });
                }
            }
        }
        Ok(self.hash_code() == shapes::text(document, "apps__hashcode"))
    }

    /// The instances of a service that can be called.
    pub(super) fn instances_of(&self, service: &ServiceName) -> Vec<Instance> {
        let app = shapes::app_name(service);
        let of = self.0.iter().filter(|((name, _), _)| *name == app);
        of.filter_map(|(_, known)| known.instance.clone()).collect()
    }

    /// The statuses of all instances with their numbers, in the order of their names: `DOWN_1_UP_2_`.
    fn hash_code(&self) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for known in self.0.values() {
            *counts.entry(&known.status).or_default() += 1;
        }
        counts.into_iter().fold(String::new(), |mut text, (status, count)| {
            let _ = write!(text, "{status}_{count}_");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Applications;

    fn instance(id: &str, status: &str, action: &str) -> Value {
        json!({ "instanceId": id, "hostName": "h", "status": status, "actionType": action,
                "port": { "$": 80, "@enabled": "true" } })
    }

    fn document(hash: &str, instances: &[Value]) -> Value {
        json!({ "applications": { "apps__hashcode": hash, "versions__delta": "1",
                "application": [{ "name": "ORDERS", "instance": instances }] } })
    }

    #[test]
    fn differences_are_put_to_what_is_held_and_the_hash_code_decides() {
        let (a, b) = (instance("a", "UP", "ADDED"), instance("b", "DOWN", "ADDED"));
        let mut held = Applications::read(&document("DOWN_1_UP_1_", &[a, b])).unwrap();
        let orders = "orders".parse().unwrap();
        let ids = |held: &Applications| {
            let mut ids: Vec<_> = held.instances_of(&orders).into_iter().map(|found| found.id).collect();
            ids.sort();
            ids.join(" ")
        };
        assert_eq!(ids(&held), "a");
        let delta = [instance("b", "UP", "MODIFIED"), instance("c", "UP", "ADDED"), instance("a", "UP", "DELETED")];
        assert!(held.merge(&document("UP_2_", &delta)).unwrap());
        assert_eq!(ids(&held), "b c");
        // The same again is no difference, and one that was missed shows.
        assert!(held.merge(&document("UP_2_", &delta)).unwrap());
        assert!(!held.merge(&document("UP_3_", &[])).unwrap());
        assert!(held.merge(&json!({})).is_err());
        assert!(Applications::read(&json!({ "applications": { "apps__hashcode": "" } })).is_ok());
    }
}
