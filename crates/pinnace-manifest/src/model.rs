//! What `pinnace.toml` says, as plain data: every name is checked, every default filled in, every path made absolute.
//!
//! A [`Manifest`] that exists has no error in it. What is well-formed and yet a bad design, or not enforced by this
//! version, is still in it; [`Manifest::design_findings`] and [`Manifest::not_enforced`] tell.

mod command_line;
mod endpoint;
mod python_spec;
mod route;
mod variable_name;

use std::path::PathBuf;

use pinnace_types::{ContextName, HumanDuration, ServiceName, SystemName, Topic};

use crate::places::Places;
use crate::source::Source;

pub use command_line::{CommandLine, InvalidCommandLine};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use python_spec::{InvalidPythonSpec, PythonSpec, PythonVersion};
pub use route::{InvalidRoute, Route};
pub use variable_name::{InvalidVariableName, VariableName};

/// A whole `pinnace.toml`.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The folder that it is in, absolute and without symbolic links; every path in it starts here.
    pub root: PathBuf,
    /// The file as it was named by whoever loaded it.
    pub path: PathBuf,
    /// `[system]`.
    pub system: System,
    /// `[engines]`.
    pub engines: Engines,
    /// `[context.NAME]`, in the order of the file.
    pub contexts: Vec<Context>,
    /// `[service.NAME]`, in the order of the file.
    pub services: Vec<Service>,
    pub(crate) source: Source,
    pub(crate) places: Places,
}

/// `[system]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct System {
    /// Its name.
    pub name: SystemName,
}

/// `[engines]`: what stands behind each wire.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Engines {
    /// The message broker; absent: none in this version.
    pub amqp: Option<Engine>,
    /// Kafka's bootstrap servers; absent: none.
    pub kafka: Option<Endpoint>,
    /// What Pinnace's own events travel on; absent: AMQP.
    pub events: Option<EventWire>,
    /// Where instances are registered; absent: the embedded registry.
    pub discovery: Option<Discovery>,
    /// Where telemetry goes; absent: embedded.
    pub telemetry: Option<Engine>,
    /// Where telemetry goes besides.
    pub export: Vec<Endpoint>,
    /// Who issues tokens; absent: embedded.
    pub identity: Option<Engine>,
}

/// An engine of our own, or the address of a real one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Engine {
    /// The one in the hub.
    Embedded,
    /// A real one.
    External(Endpoint),
}

/// What events travel on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventWire {
    /// AMQP 0-9-1.
    Amqp,
    /// Kafka.
    Kafka,
}

/// Where instances are registered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Discovery {
    /// The registry in the hub.
    Embedded,
    /// Consul.
    Consul(Endpoint),
    /// Eureka.
    Eureka(Endpoint),
    /// Kubernetes' own.
    Kubernetes,
}

/// `[context.NAME]`: a bounded context.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Context {
    /// Its name.
    pub name: ContextName,
    /// The services in it.
    pub services: Vec<ServiceName>,
}

/// `[service.NAME]`.
///
/// | field | default |
/// |---|---|
/// | `run` | hosted, the application found by convention |
/// | `port` | `true` |
/// | `socket_activation` | `false` |
/// | `workers` | 1 |
/// | `threads` | what `pinnace serve` chooses |
/// | `ready_timeout` | 60 s |
/// | `stop_timeout` | 30 s |
/// | all else | absent or empty |
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// The bounded context that it is in.
    pub context: Option<ContextName>,
    /// How it runs.
    pub run: Run,
    /// Its folder, absolute; the manifest's own where it is external.
    pub path: PathBuf,
    /// The versions of Python that it runs on.
    pub python: Option<PythonSpec>,
    /// Its own environment, absolute; absent: one is made for it.
    pub venv: Option<PathBuf>,
    /// A path of its own that says whether it is ready.
    pub health: Option<String>,
    /// Whether it listens.
    pub port: bool,
    /// Whether it takes its listening sockets from whoever starts it (`LISTEN_FDS`); for programs of their own.
    pub socket_activation: bool,
    /// Its places at the gateway.
    pub routes: Vec<Route>,
    /// The tags that an instance needs in the registry to get requests from the gateway.
    pub route_tags: Vec<String>,
    /// The services that it calls.
    pub calls: Vec<ServiceName>,
    /// The topics that it publishes.
    pub publishes: Vec<Topic>,
    /// The topics that it subscribes to.
    pub subscribes: Vec<Topic>,
    /// Its database.
    pub database: Option<Database>,
    /// Processes within one instance, 1 to 64.
    pub workers: u32,
    /// Threads for synchronous work in each worker.
    pub threads: Option<u32>,
    /// Variables that it gets, in the order of their names.
    pub env: Vec<(VariableName, String)>,
    /// Variables that it gets from the secret store.
    pub secrets: Vec<VariableName>,
    /// Who may do what.
    pub auth: Option<Auth>,
    /// Which workloads may call it.
    pub callers: Option<Vec<Caller>>,
    /// Its limits.
    pub limits: Option<Limits>,
    /// More words for `pinnace serve`, in the order of the table of keys.
    pub serve: Vec<String>,
    /// How long it may take until it is ready.
    pub ready_timeout: HumanDuration,
    /// How long it may take to end before it is killed.
    pub stop_timeout: HumanDuration,
    /// Globs of more files, relative to its folder, whose change reloads it.
    pub watch: Vec<String>,
}

/// How a service runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Run {
    /// By `pinnace serve`.
    Hosted {
        /// `module:attribute`; absent: found by convention.
        app: Option<String>,
    },
    /// As a program of its own: the program and its arguments.
    Command(Vec<String>),
    /// It lives outside; nothing is started.
    External {
        /// Its address, which callers get.
        url: Option<Endpoint>,
    },
}

/// `database = { … }`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Database {
    /// What kind it is.
    pub engine: DatabaseEngine,
    /// Its address; absent for SQLite, whose file is in `.pinnace/data`.
    pub url: Option<Endpoint>,
    /// The program that brings its tables up to date, run in the service's folder and environment before it starts.
    pub migrate: Option<CommandLine>,
}

/// The kinds of database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DatabaseEngine {
    /// A file for each service.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
    /// MongoDB.
    Mongodb,
}

/// `[service.NAME.auth]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Auth {
    /// What holds where no rule matches.
    pub default: AuthDefault,
    /// The rules; the first that matches decides.
    pub rules: Vec<AuthRule>,
}

/// What holds where no rule matches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuthDefault {
    /// Anyone.
    Public,
    /// Whoever has a valid token.
    Authenticated,
    /// Nobody.
    Deny,
}

/// One rule of [`Auth`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthRule {
    /// The paths, with `*` and `**`.
    pub path: String,
    /// The methods; empty: all.
    pub methods: Vec<String>,
    /// The roles, of which the caller has one.
    pub roles: Vec<String>,
}

/// A workload that may call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Caller {
    /// The gateway.
    Gateway,
    /// A service.
    Service(ServiceName),
}

/// `[service.NAME.limits]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long a request may take.
    pub timeout: Option<HumanDuration>,
    /// How many requests may be in progress.
    pub concurrency: Option<u32>,
}

impl Manifest {
    /// The service of this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name.as_str() == name)
    }

    /// The file, absolute.
    pub fn file(&self) -> PathBuf {
        self.root.join(self.path.file_name().unwrap_or_else(|| crate::FILE_NAME.as_ref()))
    }

    /// Its state folder, `.pinnace` beside the file.
    pub fn state_dir(&self) -> PathBuf {
        self.root.join(".pinnace")
    }
}

impl Service {
    /// Whether it lives outside of the system.
    pub const fn is_external(&self) -> bool {
        matches!(self.run, Run::External { .. })
    }

    /// Whether its listening sockets are opened for it, and outlive its processes.
    pub const fn inherits_sockets(&self) -> bool {
        matches!(self.run, Run::Hosted { .. }) || self.socket_activation
    }
}

impl DatabaseEngine {
    /// Every kind, as the file spells it.
    pub(crate) const NAMES: &'static [&'static str] = &["sqlite", "postgres", "redis", "mongodb"];

    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Mongodb => "mongodb",
        }
    }

    /// The schemes that its address may have.
    pub(crate) const fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[],
            Self::Postgres => &["postgres", "postgresql"],
            Self::Redis => &["redis", "rediss"],
            Self::Mongodb => &["mongodb", "mongodb+srv"],
        }
    }
}
