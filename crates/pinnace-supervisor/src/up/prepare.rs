//! What a service needs before its processes can start: an environment, its variables, a database that is up to date.
//!
//! Services are prepared side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinnace_manifest::{Manifest, Service};
use pinnace_types::{ExitCode, Secret, ServiceName};

use super::environment::{Environments, is_wanted};
use super::folder::StateFolder;
use super::launch::Launch;
use super::migration::{MigrationError, migrate};
use super::step::StepRunner;
use super::variables::{Given, HubAccess, variables};

/// What all preparations share.
#[derive(Debug)]
pub(super) struct Preparation {
    manifest: Manifest,
    folder: Arc<StateFolder>,
    environments: Environments,
    runner: StepRunner,
    ports: BTreeMap<ServiceName, u16>,
    urls: BTreeMap<ServiceName, Secret<String>>,
    hub: Option<HubAccess>,
    migrates: bool,
}

/// Why a service could not be prepared.
#[derive(Debug)]
pub struct Unprepared {
    /// How `up` ends where it never gets further.
    pub(super) code: ExitCode,
    /// What went wrong.
    pub(super) message: String,
    /// The last lines of what was run.
    pub(super) detail: Vec<String>,
    /// The way out.
    pub(super) hint: Option<String>,
}

/// The parts of a [`Preparation`].
#[derive(Debug)]
pub(super) struct Means {
    pub(super) manifest: Manifest,
    pub(super) folder: Arc<StateFolder>,
    pub(super) environments: Environments,
    pub(super) runner: StepRunner,
    /// Where each service listens.
    pub(super) ports: BTreeMap<ServiceName, u16>,
    /// What callers get.
    pub(super) urls: BTreeMap<ServiceName, Secret<String>>,
    /// How services reach the registry.
    pub(super) hub: Option<HubAccess>,
    pub(super) migrates: bool,
}

impl Preparation {
    pub(super) fn new(means: Means) -> Self {
        Self {
            manifest: means.manifest,
            folder: means.folder,
            environments: means.environments,
            runner: means.runner,
            ports: means.ports,
            urls: means.urls,
            hub: means.hub,
            migrates: means.migrates,
        }
    }
}

/// Prepares one service. Dropping the future ends what it runs.
pub(super) async fn prepare(preparation: &Preparation, service: &Service) -> Result<Launch, Unprepared> {
    let python = if is_wanted(service) {
        let prepared = preparation.environments.prepare(service).await;
        Some(prepared.map_err(|error| Unprepared {
            code: error.exit_code(),
            message: error.to_string(),
            detail: error.detail(),
            hint: Some(error.hint()),
        })?)
    } else {
        None
    };
    let data = preparation.folder.service_data(&service.name).map_err(|error| Unprepared {
        code: ExitCode::Storage,
        message: error.to_string(),
        detail: Vec::new(),
        hint: Some("free space on the disk, or mend the rights of `.pinnace`".to_owned()),
    })?;
    let given = Given {
        port: preparation.ports.get(&service.name).copied(),
        urls: &preparation.urls,
        data: &data,
        python: python.as_ref(),
        hub: preparation.hub.as_ref(),
    };
    let variables = variables(&preparation.manifest, service, &given).map_err(|error| Unprepared {
        code: ExitCode::Failure,
        message: error.to_string(),
        detail: Vec::new(),
        hint: Some("export it, or write it to `.env` beside `pinnace.toml`".to_owned()),
    })?;
    if preparation.migrates {
        let migrated = migrate(&preparation.runner, service, &variables).await;
        migrated.map_err(|error| Unprepared {
            code: ExitCode::Migration,
            message: error.to_string(),
            detail: error.detail(),
            hint: Some(MigrationError::hint()),
        })?;
    }
    Ok(Launch { python, variables })
}
