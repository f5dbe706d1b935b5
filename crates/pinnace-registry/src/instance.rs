//! What is known about one instance, within bounds that every wire can carry.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pinnace_types::ServiceName;
use pinnace_types::control::ServiceState;
use serde::{Deserialize, Serialize};

const MAX_TEXT: usize = 255;
const MAX_VALUE: usize = 512;
const MAX_ENTRIES: usize = 64;

/// What an instance says about itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// The service that it is an instance of.
    pub service: ServiceName,
    /// Its id, unique within the service.
    pub id: String,
    /// The host or address at which it answers.
    pub address: String,
    /// The port, where it listens to one.
    pub port: Option<u16>,
    /// Labels.
    pub tags: Vec<String>,
    /// Further facts.
    pub meta: BTreeMap<String, String>,
    /// Where it is in its life.
    pub state: ServiceState,
}

/// A registration with its place in history.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Instance {
    /// What it says about itself.
    pub registration: Registration,
    /// Since when it has been in its state.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// The index of its registration.
    pub create_index: u64,
    /// The index of its last change.
    pub modify_index: u64,
}

/// Why a registration is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the instance's {what} {problem}")]
pub struct InvalidInstance {
    /// The field.
    pub what: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Registration {
    /// Refuses what is empty, too long, or cannot be shown.
    pub fn check(&self) -> Result<(), InvalidInstance> {
        check_text("id", &self.id, MAX_TEXT)?;
        check_text("address", &self.address, MAX_TEXT)?;
        if self.tags.len() > MAX_ENTRIES || self.meta.len() > MAX_ENTRIES {
            return Err(InvalidInstance { what: "tags and meta", problem: "have at most 64 entries each" });
        }
        for tag in &self.tags {
            check_text("tag", tag, MAX_TEXT)?;
        }
        for (key, value) in &self.meta {
            check_text("meta key", key, MAX_TEXT)?;
            if value.len() > MAX_VALUE {
                return Err(InvalidInstance { what: "meta value", problem: "has at most 512 bytes" });
            }
        }
        Ok(())
    }
}

fn check_text(what: &'static str, text: &str, limit: usize) -> Result<(), InvalidInstance> {
    if text.is_empty() {
        return Err(InvalidInstance { what, problem: "may not be empty" });
    }
    if text.len() > limit {
        return Err(InvalidInstance { what, problem: "has at most 255 bytes" });
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidInstance { what, problem: "may not hold control characters" });
    }
    Ok(())
}
