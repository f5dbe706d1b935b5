//! What `pinnace serve` can be told. Plain data; loading it starts nothing.

use std::fmt;
use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use pinnace_discovery::RegistryAddress;
use pinnace_types::worker::{ConnectionLimits, Interface, Lifespan, LogFormat, LogLevel, Shedding, WebSocketLimits};
use pinnace_types::{ByteSize, TrustedProxies};

use super::Advertise;
use super::life::LifeLimits;

/// The settings of one hosted application.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The service's name, for logs and metrics. Default: the folder's name.
    pub name: String,
    /// `module:attribute`; nothing: found by convention.
    pub target: Option<String>,
    /// The folder that is first on `sys.path`. Default: the current one.
    pub app_dir: PathBuf,
    /// Where to listen, where no socket is inherited by systemd's protocol. Default: port 8000 on 127.0.0.1.
    pub binds: Vec<Bind>,
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
    /// Who may connect to the file of a Unix socket. Default: everybody on this machine, as on loopback.
    pub socket_mode: u32,
    /// Connections that may wait to be accepted. Default: 4096.
    pub backlog: i32,
    /// What a worker may do before another takes its place. Default: as much as it likes.
    pub life: LifeLimits,
    /// Whether the target is called without arguments and gives the application. Default: found out.
    pub factory: bool,
    /// Header fields that every answer of the application gets besides its own. Default: none.
    pub headers: Vec<(String, String)>,
    /// Variables of the workers besides this process's own. Default: none.
    pub variables: Vec<(String, String)>,
    /// From which level on Pinnace's own lines are written. Default: `info`.
    pub log_level: LogLevel,
    /// With `reload`, what is followed instead of the application's folder. Default: nothing.
    pub reload_folders: Vec<PathBuf>,
    /// With `reload`, globs of what counts besides, relative to the application's folder. Default: none.
    pub reload_include: Vec<String>,
    /// With `reload`, patterns of what does not count, as `.gitignore` writes them. Default: none.
    pub reload_exclude: Vec<String>,
    /// The file that names this process. Default: none.
    pub pid_file: Option<PathBuf>,
    /// What one connection may take, and how many a worker may have. Defaults: see the type.
    pub connections: ConnectionLimits,
}

/// A place to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Bind {
    /// An address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The file of a Unix socket.
    File(PathBuf),
    /// A socket that was inherited under this number.
    Descriptor(i32),
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

    /// Whether a person at a terminal can talk to the worker: there is one, and the terminal is this process's input.
    pub(super) fn is_at_terminal(&self) -> bool {
        self.workers == 1 && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
    }

    /// The defaults, for an application in this folder.
    pub fn new(name: impl Into<String>, app_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            target: None,
            app_dir: app_dir.into(),
            binds: vec![Bind::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)))],
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
            socket_mode: 0o666,
            backlog: pinnace_os::BACKLOG,
            life: LifeLimits::default(),
            factory: false,
            headers: Vec::new(),
            variables: Vec::new(),
            log_level: LogLevel::Info,
            reload_folders: Vec::new(),
            reload_include: Vec::new(),
            reload_exclude: Vec::new(),
            pid_file: None,
            connections: ConnectionLimits::default(),
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "{address}"),
            Self::File(path) => write!(formatter, "unix:{}", path.display()),
            Self::Descriptor(number) => write!(formatter, "fd://{number}"),
        }
    }
}
