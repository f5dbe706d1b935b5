//! What `pinnace serve` can be told. Plain data; loading it starts nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use pinnace_discovery::RegistryAddress;
use pinnace_types::worker::{Interface, Lifespan, LogFormat, Shedding, WebSocketLimits};
use pinnace_types::{ByteSize, TrustedProxies};

use super::Advertise;

/// The settings of one hosted application.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The service's name, for logs and metrics. Default: the folder's name.
    pub name: String,
    /// `module:attribute`; nothing: found by convention.
    pub target: Option<String>,
    /// The folder that is first on `sys.path`. Default: the current one.
    pub app_dir: PathBuf,
    /// The address to listen on where no socket is inherited. Default: 127.0.0.1.
    pub host: IpAddr,
    /// The port. Default: 8000; 0 takes a free one.
    pub port: u16,
    /// Worker processes, 1 to 64. Default: 1.
    pub workers: u32,
    /// Threads of each worker for synchronous work. Default: 8.
    pub threads: u32,
    /// Requests of each worker that may wait for a thread. Default: 256.
    pub queue: u32,
    /// The interpreter; nothing: see [`super::Interpreter::find`].
    pub python: Option<PathBuf>,
    /// What the application is. Default: found out.
    pub interface: Interface,
    /// Whether the lifespan protocol is spoken. Default: tried.
    pub lifespan: Lifespan,
    /// What the application is mounted under. Default: nothing.
    pub root_path: String,
    /// The proxies whose word about a client is taken. Default: those on this machine.
    pub forwarded_allow: TrustedProxies,
    /// How WebSocket is spoken. Defaults: see the type.
    pub websocket: WebSocketLimits,
    /// Prefix of the management paths. Default: `/-`.
    pub management_prefix: String,
    /// Bytes that a request's body may have. Default: no limit.
    pub max_body: Option<ByteSize>,
    /// Whether each request is logged. Default: yes.
    pub access_log: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Whether a change of the application's files replaces its workers. Default: no.
    pub reload: bool,
    /// How long a worker may take until it answers. Default: 30 s.
    pub ready_timeout: Duration,
    /// How long a worker's event loop may keep everybody waiting until the worker is replaced; nothing: for ever. Default:
    /// 60 s, for ever with `reload`.
    pub worker_timeout: Option<Duration>,
    /// On a reload: how long an old worker answers on idle connections. Default: 6 s.
    pub linger: Duration,
    /// How long requests may take to finish once their worker drains. Default: 30 s.
    pub grace: Duration,
    /// The registry that the instance registers with. Default: none.
    pub registration: Option<RegistrationConfig>,
    /// When workers refuse requests. Defaults: see the type.
    pub shedding: Shedding,
}

/// How an instance registers by itself. The name of its service has to be a host name label then.
#[derive(Clone, Debug)]
pub struct RegistrationConfig {
    /// The registry.
    pub registry: RegistryAddress,
    /// Where others reach the instance. Default: where it listens; where that is on all addresses, the one from which this
    /// machine would speak to the registry.
    pub advertise: Option<Advertise>,
    /// The instance's id. Default: the service's name, the host and the port, joined by `-`.
    pub instance: Option<String>,
    /// Words by which callers choose. Default: none.
    pub tags: Vec<String>,
    /// The share of the requests beside other instances', 1 to 65 535. Default: 1.
    pub weight: u32,
}

impl ServeConfig {
    /// How long a silent worker is waited for: not at all while somebody may be looking at it with a debugger.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.worker_timeout.filter(|_| !self.reload)
    }

    /// The defaults, for an application in this folder.
    pub fn new(name: impl Into<String>, app_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            target: None,
            app_dir: app_dir.into(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8000,
            workers: 1,
            threads: 8,
            queue: 256,
            python: None,
            interface: Interface::Auto,
            lifespan: Lifespan::Auto,
            root_path: String::new(),
            forwarded_allow: TrustedProxies::default(),
            websocket: WebSocketLimits::default(),
            management_prefix: "/-".to_owned(),
            max_body: None,
            access_log: true,
            log_format: LogFormat::Text,
            reload: false,
            ready_timeout: Duration::from_secs(30),
            worker_timeout: Some(Duration::from_mins(1)),
            linger: Duration::from_secs(6),
            grace: Duration::from_secs(30),
            registration: None,
            shedding: Shedding::default(),
        }
    }
}
