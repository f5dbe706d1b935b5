//! The answers that are the hub's own; everything else is of the supervisor or the registry.

use std::collections::BTreeMap;

use pinnace_registry::Instance;
use pinnace_types::control::ServiceView;
use schemars::JsonSchema;
use serde::Serialize;

/// All services.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Services {
    /// Whether the supervisor is silent at the moment.
    pub(super) stale: bool,
    /// The services, in the order of their start.
    pub(super) services: Vec<ServiceView>,
}

/// The registry's services.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct RegistryServices {
    /// The index of the last change of the registry.
    pub(super) index: u64,
    /// How many instances each service has.
    pub(super) services: BTreeMap<String, usize>,
}

/// The registered instances of a service.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct RegistryInstances {
    /// The index of the last change of the registry.
    pub(super) index: u64,
    /// The instances, in the order of their ids.
    pub(super) instances: Vec<Instance>,
}

/// Where to go.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Links {
    /// What this is.
    pub(super) name: &'static str,
    /// The version of Pinnace.
    pub(super) version: &'static str,
    /// The system that runs here.
    pub(super) system: Option<String>,
    /// Where a browser reaches it.
    pub(super) gateway: Option<String>,
    /// Paths by what is there.
    pub(super) paths: BTreeMap<&'static str, &'static str>,
}

/// An answer of the health paths.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Health {
    /// `ok`.
    pub(super) status: &'static str,
}
