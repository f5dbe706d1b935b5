//! A program of a service, run by hand: `manage.py shell`, a new revision of a schema, a script.
//!
//! It gets the service's folder, environment and variables, as the service itself has them. Addresses are those that the
//! running system has, or the last one had: ports stay the same over starts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use pinnace_manifest::{Manifest, Run, Service};
use pinnace_types::{ExitCode, Secret, ServiceName};

use super::environment::{Environments, Outlook, Prepared, is_wanted, outlook};
use super::error::UpError;
use super::folder::{FolderError, StateFolder};
use super::logs::Logs;
use super::ports::Ports;
use super::prepare::Unprepared;
use super::step::StepRunner;
use super::variables::{Given, variables};

/// What a program of a service starts with.
pub struct ByHand {
    /// The folder.
    pub folder: PathBuf,
    /// The whole environment of variables; secrets may be among them.
    pub variables: Vec<(OsString, OsString)>,
}

impl std::fmt::Debug for ByHand {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.variables.iter().map(|(name, _)| name).collect();
        formatter.debug_struct("ByHand").field("folder", &self.folder).field("variables", &names).finish()
    }
}

/// Whether the environment of a service has to be made before anything of it can run: that takes a while.
pub fn is_to_be_made(manifest: &Manifest, service: &Service) -> bool {
    let found = outlook(&manifest.state_dir().join("envs"), service);
    is_wanted(service) && matches!(found, Ok(Outlook::ToBeMade { .. }))
}

/// Makes ready what a program of this service needs; no migration is run.
///
/// # Errors
///
/// Where the environment cannot be made, or secrets are missing.
pub async fn by_hand(manifest: &Manifest, service: &Service, binary: PathBuf) -> Result<ByHand, UpError> {
    // A system that runs has the folder to itself, and has made in it what there is to make.
    let folder = match StateFolder::open(&manifest.root) {
        Ok(folder) => Some(Arc::new(folder)),
        Err(FolderError::Running { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let python = python(manifest, service, folder.as_ref(), binary).await?;
    let data = match &folder {
        Some(folder) => folder.service_data(&service.name)?,
        None => manifest.state_dir().join("data").join(service.name.as_str()),
    };
    let ports = Ports::load(&manifest.state_dir().join("run"));
    let port = |service: &Service| match service.run {
        Run::External { .. } => None,
        Run::Hosted { .. } | Run::Command(_) if service.inherits_sockets() => ports.known(service.name.as_str()),
        Run::Hosted { .. } | Run::Command(_) => ports.known(&format!("command:{}", service.name)),
    };
    let urls: BTreeMap<ServiceName, Secret<String>> = manifest
        .services
        .iter()
        .filter_map(|called| match &called.run {
            Run::External { url } => Some((called, url.as_ref()?.expose().to_owned())),
            Run::Hosted { .. } | Run::Command(_) => Some((called, format!("http://127.0.0.1:{}", port(called)?))),
        })
        .map(|(called, url)| (called.name.clone(), Secret::new(url)))
        .collect();
    let given = Given { port: port(service), urls: &urls, data: &data, python: python.as_ref(), hub: None };
    let variables = variables(manifest, service, &given).map_err(UpError::MissingSecret)?;
    Ok(ByHand { folder: service.path.clone(), variables })
}

async fn python(
    manifest: &Manifest,
    service: &Service,
    folder: Option<&Arc<StateFolder>>,
    binary: PathBuf,
) -> Result<Option<Prepared>, UpError> {
    if !is_wanted(service) {
        return Ok(None);
    }
    let unprepared = |error: super::environment::EnvironmentError| {
        UpError::Unprepared(Box::new(Unprepared {
            code: error.exit_code(),
            message: error.to_string(),
            detail: error.detail(),
            hint: Some(error.hint()),
        }))
    };
    let Some(folder) = folder else {
        return match outlook(&manifest.state_dir().join("envs"), service).map_err(unprepared)? {
            Outlook::Named(prepared) | Outlook::Made(prepared) => Ok(Some(prepared)),
            Outlook::ToBeMade { .. } => Err(UpError::Unprepared(Box::new(Unprepared {
                code: ExitCode::Environment,
                message: format!("the environment of `{}` is not there yet", service.name),
                detail: Vec::new(),
                hint: Some(format!("the running system makes it: `pinnace logs {}` shows how far it is", service.name)),
            }))),
        };
    };
    let runner = StepRunner::new(binary, Logs::open(&folder.logs()));
    Environments::new(folder, runner).prepare(service).await.map(Some).map_err(unprepared)
}
