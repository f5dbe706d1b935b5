//! `pinnace up`: a whole system of services on one machine.
//!
//! It makes environments, opens the listening sockets, brings databases up to date, starts the services in the order of
//! their calls, watches over them, and ends them in order. Nothing of it is on the way of a request.
//!
//! Where to read next: `system` is the owner of everything that runs and decides what happens; `instance` is one process
//! group; `prepare` is what happens before a service starts; `control` is how `ps` and the hub ask; `logs` keeps lines.

mod by_hand;
mod config;
mod control;
mod crash;
pub(crate) mod environment;
mod error;
pub(crate) mod folder;
mod gateway_table;
mod handle;
mod instance;
mod launch;
mod life;
mod logs;
mod member;
mod migration;
mod ports;
mod prepare;
mod probe;
mod replace;
mod step;
mod stop;
mod system;
pub(crate) mod variables;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use pinnace_manifest::{Manifest, Run, Service};
use pinnace_os::{Lifetime, NameSockets, family};
use pinnace_types::control::SystemView;
use pinnace_types::{Secret, ServiceName};
use tokio::sync::{mpsc, watch as tokio_watch};

pub use by_hand::{ByHand, by_hand, is_to_be_made};
pub use config::UpConfig;
pub use error::UpError;
pub use folder::{Announcement, FolderError, running};
pub use handle::{Handle, Refusal};
pub use logs::Logs;
pub use prepare::Unprepared;
pub use variables::MissingSecret;

use crate::signals::Signals;
use crate::watch::{Change, Watched, Watcher};
use environment::Environments;
use folder::StateFolder;
use launch::{GatewayMeans, HubMeans, PlatformFiles};
use member::{Member, Task, What};
use ports::Ports;
use prepare::{Means, Preparation};
use step::StepRunner;
use system::{Parts, System};
use variables::HubAccess;

/// The name of the hub among the services.
const HUB: &str = "hub";
/// The name of the gateway.
const GATEWAY: &str = "gateway";

/// A system that has everything it needs and is about to run.
#[derive(Debug)]
pub struct Up {
    system: System,
    signals: Signals,
    logs: Logs,
    handle: Handle,
    // What follows only has to live as long.
    _control: Task,
    _watcher: Option<Watcher>,
    folder: Arc<StateFolder>,
}

impl Up {
    /// Takes the folder, the addresses and the sockets; starts no process yet.
    ///
    /// Needs a current-thread runtime on the process's first thread: processes end with the thread that started them.
    pub fn start(config: UpConfig) -> Result<Self, UpError> {
        let found = config.manifest.not_enforced();
        if !found.is_empty() {
            return Err(UpError::NotEnforced(pinnace_manifest::Diagnostics(found)));
        }
        if let Some(missing) = variables::missing_secrets(&config.manifest).into_iter().next() {
            return Err(UpError::MissingSecret(missing));
        }
        family::adopt_orphans()?;
        let signals = Signals::new()?;
        let folder = Arc::new(StateFolder::open(&config.manifest.root)?);
        let mut ports = Ports::load(&folder.run());
        let members = members(&config, &mut ports)?;
        let hub_means = HubMeans { names: names(&config, &mut ports)?, self_preservation: config.self_preservation };
        let control_path = folder::control_socket(&config.manifest.root)?;
        let hub_token = folder.hub_token()?;
        let hub = hub_access(&members, &hub_token);
        let gateway: ServiceName = GATEWAY.parse().map_err(std::io::Error::other)?;
        let (registry, variables) = variables::registry_of_gateway(&config.manifest, hub.as_ref(), &gateway);
        let gateway = GatewayMeans { control: folder::gateway_control(&control_path), registry, variables };
        let files = PlatformFiles {
            gateway_table: folder.run().join("gateway.json"),
            hub_data: folder.data().join("hub"),
            hub_token,
            control: control_path.clone(),
            gateway,
        };
        let listener =
            control::bind(&control_path).map_err(|source| UpError::Storage { path: control_path.clone(), source })?;
        let started_at = Timestamp::now();
        folder.announce(&control_path, started_at)?;
        let logs = Logs::open(&folder.logs());
        let (changed, changes) = mpsc::channel(64);
        let watcher = config.watch.then(|| watch(&config.manifest, &logs, changed)).flatten();
        let preparation = preparation(&config, &folder, &logs, &members, hub);
        let lifetime = Lifetime::new()?;
        let parts = Parts {
            logs: logs.clone(),
            members,
            ports,
            preparation,
            files,
            hub_means,
            lifetime,
            changes,
            started_at,
            config,
        };
        let system = System::new(parts);
        let handle = system.handle();
        let control = Task(tokio::spawn(control::serve(listener, handle.clone(), logs.clone())));
        Ok(Self { system, signals, logs, handle, _control: control, _watcher: watcher, folder })
    }

    /// How to speak to it while it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What there is, now and after every change.
    pub fn view(&self) -> tokio_watch::Receiver<SystemView> {
        self.handle.view()
    }

    /// What its processes write.
    pub fn logs(&self) -> Logs {
        self.logs.clone()
    }

    /// Runs until it is told to stop and all has ended; told twice, it ends at once. Nothing of it is left then.
    pub async fn run(self) -> Result<(), UpError> {
        let end = self.system.run(self.signals).await;
        family::kill_descendants();
        drop(self.folder);
        end
    }
}

/// All members with their addresses: the hub and the gateway first, then the services in the order of their start.
fn members(config: &UpConfig, ports: &mut Ports) -> Result<Vec<Member>, UpError> {
    let mut members =
        vec![platform(HUB, What::Hub, config.hub, ports)?, platform(GATEWAY, What::Gateway, config.gateway, ports)?];
    for service in config.manifest.start_order().into_iter().filter(|service| !service.is_external()) {
        members.push(member(service, &members, ports)?);
    }
    Ok(members)
}

fn platform(name: &str, what: What, address: SocketAddr, ports: &mut Ports) -> Result<Member, UpError> {
    let name: ServiceName = name.parse().map_err(std::io::Error::other)?;
    let listen = |source| UpError::Listen { who: name.clone(), address, source };
    let socket = match address.port() {
        0 => ports.listen(name.as_str()).map_err(listen)?,
        _ => pinnace_os::listen(address).map_err(listen)?,
    };
    let mut member = Member::new(name.clone(), what);
    member.address = Some(socket.local_addr().map_err(listen)?);
    member.socket = Some(socket);
    Ok(member)
}

/// The sockets for resolvers, where they are wanted.
fn names(config: &UpConfig, ports: &mut Ports) -> Result<Option<NameSockets>, UpError> {
    let Some(address) = config.dns else { return Ok(None) };
    // It is named as its option is.
    let who: ServiceName = "dns".parse().map_err(std::io::Error::other)?;
    let sockets = match address.port() {
        0 => ports.listen_for_names("resolvers:hub"),
        _ => pinnace_os::listen_for_names(address),
    };
    sockets.map(Some).map_err(|source| UpError::Listen { who, address, source })
}

fn member(service: &Service, earlier: &[Member], ports: &mut Ports) -> Result<Member, UpError> {
    let mut member = Member::new(service.name.clone(), What::Service(Box::new(service.clone())));
    if service.inherits_sockets() {
        let socket = ports.listen(service.name.as_str())?;
        member.address = Some(socket.local_addr()?);
        member.socket = Some(socket);
    } else if service.port {
        let port = ports.reserve(&format!("command:{}", service.name))?;
        member.address = Some(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    // What comes later in the order belongs to a cycle, which no order can satisfy.
    let calls = |other: &&(usize, &Member)| service.calls.contains(&other.1.name);
    member.waits_for =
        earlier.iter().enumerate().collect::<Vec<_>>().iter().filter(calls).map(|other| other.0).collect();
    Ok(member)
}

/// How services reach the hub, on this machine.
fn hub_access(members: &[Member], token: &Path) -> Option<HubAccess> {
    let hub = members.iter().find(|member| matches!(member.what, What::Hub))?;
    let mut address = hub.address?;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let token = fs_err::read_to_string(token).ok()?;
    Some(HubAccess { address, token: Secret::new(token.trim().to_owned()) })
}

fn preparation(
    config: &UpConfig,
    folder: &Arc<StateFolder>,
    logs: &Logs,
    members: &[Member],
    hub: Option<HubAccess>,
) -> Preparation {
    let runner = StepRunner::new(config.binary.clone(), logs.clone());
    let services = members.iter().filter(|member| member.service().is_some());
    let places = services.filter_map(|member| Some((member.name.clone(), member.address?)));
    let ports: BTreeMap<_, _> = places.map(|(name, address)| (name, address.port())).collect();
    let own = ports.iter().map(|(name, port)| (name.clone(), format!("http://127.0.0.1:{port}")));
    let outside = config.manifest.services.iter().filter_map(|service| match &service.run {
        Run::External { url: Some(url) } => Some((service.name.clone(), url.expose().to_owned())),
        Run::External { url: None } | Run::Hosted { .. } | Run::Command(_) => None,
    });
    let urls = own.chain(outside).map(|(name, url)| (name, Secret::new(url))).collect();
    Preparation::new(Means {
        manifest: config.manifest.clone(),
        folder: Arc::clone(folder),
        environments: Environments::new(folder, runner.clone()),
        runner,
        ports,
        urls,
        hub,
        migrates: config.migrate,
    })
}

/// Follows the files; where that is impossible it is said once, and the system runs without.
fn watch(manifest: &Manifest, logs: &Logs, changed: mpsc::Sender<Change>) -> Option<Watcher> {
    let services: Vec<&Service> = manifest.services.iter().filter(|service| !service.is_external()).collect();
    let watched: Vec<Watched> = services.iter().map(|service| Watched::from(*service)).collect();
    // The file itself is the hub's: what stands in it is for the whole system.
    let hub: Option<ServiceName> = HUB.parse().ok();
    let file = manifest.file();
    match Watcher::start(&watched, hub.as_ref().map(|hub| (hub, file.as_path())), changed) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            if let Some(first) = services.first() {
                let text = format!("files are not watched: {error}; `pinnace restart SERVICE` reloads by hand");
                logs.say(&first.name, first.name.as_str(), text);
            }
            None
        }
    }
}
