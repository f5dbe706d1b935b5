//! The command lines of the leaders: `pinnace serve`, `pinnace guard`, `pinnace hub`, `pinnace gateway`.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pinnace_manifest::{Run, Service};
use pinnace_os::{INSTANCE_SOCKET, NAMES_SOCKET, NameSockets, SERVICE_SOCKET, Spawn};
use pinnace_types::{HumanDuration, Secret};

use super::environment::Prepared;

/// What was prepared for a service: all that its processes need besides sockets.
#[derive(Clone)]
pub(super) struct Launch {
    /// Its environment, where it has one.
    pub(super) python: Option<Prepared>,
    /// Its whole environment of variables.
    pub(super) variables: Vec<(OsString, OsString)>,
}

/// The files that the platform's own processes read.
#[derive(Clone, Debug)]
pub(super) struct PlatformFiles {
    pub(super) gateway_table: PathBuf,
    pub(super) hub_data: PathBuf,
    pub(super) hub_token: PathBuf,
    pub(super) control: PathBuf,
    pub(super) gateway: GatewayMeans,
}

/// What the gateway is given besides its table.
#[derive(Clone, Debug)]
pub(super) struct GatewayMeans {
    /// Where it is asked what it does.
    pub(super) control: PathBuf,
    /// Where it learns of instances, as its argument says it.
    pub(super) registry: String,
    /// What stands in its environment for that.
    pub(super) variables: Vec<(&'static str, Secret<String>)>,
}

impl std::fmt::Debug for Launch {
    /// Variables may hold secrets: only their names are shown.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.variables.iter().map(|(name, _)| name).collect();
        formatter.debug_struct("Launch").field("python", &self.python).field("variables", &names).finish()
    }
}

/// The leader of a service's instance, with its shared socket and one of its own.
pub(super) fn service(
    binary: &Path,
    service: &Service,
    launch: &Launch,
    shared: Option<&TcpListener>,
    own: Option<TcpListener>,
) -> io::Result<Spawn> {
    let variables = launch.variables.iter().cloned();
    let mut spawn = Spawn::new(binary).envs(variables).folder(&service.path);
    match &service.run {
        Run::Hosted { app } => spawn = spawn.args(serve_arguments(service, app.as_deref(), launch)),
        Run::Command(words) => {
            let grace = HumanDuration::new(service.stop_timeout.as_duration()).to_string();
            spawn = spawn.args(["guard", "--grace", &grace, "--"]).args(words);
        }
        Run::External { .. } => return Err(io::Error::other("it lives outside of the system")),
    }
    if let Some(shared) = shared {
        spawn = spawn.listener(SERVICE_SOCKET, OwnedFd::from(shared.try_clone()?));
    }
    Ok(match own {
        Some(own) => spawn.listener(INSTANCE_SOCKET, OwnedFd::from(own)),
        None => spawn,
    })
}

/// What the hub is given besides its files.
#[derive(Debug)]
pub(super) struct HubMeans {
    /// Where it answers resolvers. The system keeps the sockets, so that questions outlive a restart of the hub.
    pub(super) names: Option<NameSockets>,
    pub(super) self_preservation: bool,
}

/// The hub, on the sockets that the system keeps for it.
pub(super) fn hub(binary: &Path, files: &PlatformFiles, socket: &TcpListener, means: &HubMeans) -> io::Result<Spawn> {
    let arguments: [OsString; 9] = [
        "hub".into(),
        "--data".into(),
        files.hub_data.clone().into(),
        "--control".into(),
        files.control.clone().into(),
        "--token-file".into(),
        files.hub_token.clone().into(),
        "--log-format".into(),
        "text".into(),
    ];
    let mut spawn = Spawn::new(binary).args(arguments).inherit_env();
    if means.self_preservation {
        spawn = spawn.args(["--self-preservation"]);
    }
    spawn = spawn.listener("hub", OwnedFd::from(socket.try_clone()?));
    if let Some(names) = &means.names {
        spawn = spawn.listener(NAMES_SOCKET, OwnedFd::from(names.connections.try_clone()?));
        spawn = spawn.listener(NAMES_SOCKET, OwnedFd::from(names.datagrams.try_clone()?));
    }
    Ok(spawn)
}

/// The gateway, on the socket that the system keeps for it.
pub(super) fn gateway(binary: &Path, files: &PlatformFiles, socket: &TcpListener) -> io::Result<Spawn> {
    let means = &files.gateway;
    let arguments: [OsString; 9] = [
        "gateway".into(),
        "--config".into(),
        files.gateway_table.clone().into(),
        "--registry".into(),
        means.registry.clone().into(),
        "--control".into(),
        means.control.clone().into(),
        "--log-format".into(),
        "text".into(),
    ];
    let variables = means.variables.iter().map(|(name, value)| (*name, value.expose()));
    let spawn = Spawn::new(binary).args(arguments).inherit_env().envs(variables);
    Ok(spawn.listener("gateway", OwnedFd::from(socket.try_clone()?)))
}

fn serve_arguments(service: &Service, app: Option<&str>, launch: &Launch) -> Vec<OsString> {
    let duration = |duration: Duration| OsString::from(HumanDuration::new(duration).to_string());
    let mut arguments: Vec<OsString> = vec!["serve".into()];
    arguments.extend(app.map(OsString::from));
    arguments.extend(["--name".into(), service.name.as_str().into()]);
    arguments.extend(["--app-dir".into(), service.path.clone().into()]);
    arguments.extend(["--workers".into(), service.workers.to_string().into()]);
    arguments.extend(["--ready-timeout".into(), duration(service.ready_timeout.as_duration())]);
    arguments.extend(["--grace".into(), duration(service.stop_timeout.as_duration())]);
    arguments.extend(["--log-format".into(), "text".into()]);
    if let Some(threads) = service.threads {
        arguments.extend(["--threads".into(), threads.to_string().into()]);
    }
    arguments.extend(service.serve.iter().map(OsString::from));
    if let Some(prepared) = &launch.python {
        arguments.extend(["--python".into(), prepared.python.clone().into()]);
    }
    arguments
}
