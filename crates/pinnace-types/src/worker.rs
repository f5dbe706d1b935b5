//! What a `serve` parent and its workers say to each other.
//!
//! A worker is a fresh interpreter that inherits the listening sockets, one end of a socket pair for control, and the
//! shared metrics. Its [`WorkerConfig`] stands as JSON in [`crate::environment::WORKER`]. On the control socket both sides
//! write one JSON document a line: [`WorkerEvent`] upwards, [`WorkerCommand`] downwards. End of file means that the
//! other side is gone: a worker ends at once, a parent reaps it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::TrustedProxies;

/// All that a worker has to know; there are no other settings.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerConfig {
    /// The parent's version; a worker of another one refuses.
    pub version: String,
    /// Which worker this is, from 0; also its slot in the shared metrics.
    pub index: u32,
    /// The service's name, for logs.
    pub service: String,
    /// `module:attribute`, or nothing: found by convention.
    pub target: Option<String>,
    /// The folder that is put first on `sys.path`.
    pub app_dir: String,
    /// What the target is.
    pub interface: Interface,
    /// Whether the ASGI lifespan protocol is spoken.
    pub lifespan: Lifespan,
    /// The listening sockets' descriptors.
    pub listen_fds: Vec<i32>,
    /// Those of them that belong to this instance alone; see [`WorkerCommand::Drain`].
    #[serde(default)]
    pub instance_fds: Vec<i32>,
    /// The control socket's descriptor.
    pub control_fd: i32,
    /// The shared metrics' descriptor.
    pub metrics_fd: i32,
    /// Threads for synchronous work.
    pub threads: u32,
    /// Requests that may wait for such a thread; more are answered with 503.
    pub queue: u32,
    /// Prefix of the management paths, `/-`.
    pub management_prefix: String,
    /// What the application is mounted under, ASGI's `root_path` and WSGI's `SCRIPT_NAME`.
    pub root_path: String,
    /// The proxies whose word about a client is taken.
    #[serde(default)]
    pub forwarded_allow: TrustedProxies,
    /// How WebSocket is spoken.
    #[serde(default)]
    pub websocket: WebSocketLimits,
    /// Whether each request is logged.
    pub access_log: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Bytes that a request body may have; nothing: no limit.
    pub max_body_bytes: Option<u64>,
    /// Milliseconds between two signs of life in the shared metrics, given whenever the event loop has its turn; 0: none.
    #[serde(default)]
    pub beat_ms: u64,
    /// When requests are refused.
    #[serde(default)]
    pub shedding: Shedding,
    /// Whether the target is called without arguments and gives the application, whatever it looks like.
    #[serde(default)]
    pub factory: bool,
    /// Header fields that every answer of the application gets besides its own.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// From which level on the worker's own lines are written.
    #[serde(default)]
    pub log_level: LogLevel,
    /// What `breakpoint()` can do.
    #[serde(default)]
    pub debugger: Debugger,
    /// What one connection may take, and how many there may be.
    #[serde(default)]
    pub connections: ConnectionLimits,
}

/// What one connection may take, and how many there may be. Defaults: idle for 75 s, a head within 30 s, of 64 KiB and 100
/// fields, 10 000 connections.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionLimits {
    /// How long a connection may be idle between two requests.
    pub idle: Duration,
    /// How long a request's head may take from its first byte on.
    pub head: Duration,
    /// Bytes that a request's head may have.
    pub max_head_bytes: u32,
    /// Fields that a request's head may have.
    pub max_fields: u32,
    /// Connections of a worker at a time.
    pub max_connections: u32,
}

/// From which level on Pinnace's own lines are written, the most urgent first.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// What does not work.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// What helps to find a mistake.
    Debug,
    /// Everything.
    Trace,
}

/// What `breakpoint()` can do in a worker.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Debugger {
    /// The worker has the terminal: the debugger talks to whoever sits there.
    Terminal,
    /// Nobody would answer, since several workers cannot share a terminal.
    SeveralWorkers,
    /// Nobody would answer, since the parent has no terminal.
    #[default]
    NoTerminal,
}

/// How WebSocket is spoken. Defaults are uvicorn's: messages of 16 MiB, a ping every 20 s, 20 s for its answer,
/// compression where the client offers it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocketLimits {
    /// Bytes that a message of a client may have.
    pub max_message_bytes: u64,
    /// After how long a silent client is pinged; nothing: never.
    pub ping_interval: Option<Duration>,
    /// How long a client that was pinged may be silent; nothing: for ever.
    pub ping_timeout: Option<Duration>,
    /// Whether permessage-deflate is agreed to.
    pub compresses: bool,
}

/// When a worker refuses requests with 503. Defaults: when it is overloaded, which begins where all wait for 250 ms; however
/// many are in flight.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Shedding {
    /// Whether requests are refused in overload.
    pub adapts: bool,
    /// How long requests may wait for their turn.
    pub wait: Duration,
    /// Requests in flight beyond which more are refused at any time; nothing: no limit.
    pub max_in_flight: Option<u32>,
}

/// What a target is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// Found out from the object itself.
    #[default]
    Auto,
    /// An ASGI 3 application.
    Asgi,
    /// A WSGI application (PEP 3333).
    Wsgi,
}

/// Whether the lifespan protocol is spoken.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifespan {
    /// Tried; an application that raises on it is served without.
    #[default]
    Auto,
    /// Demanded: an application that raises on it does not start.
    On,
    /// Not spoken.
    Off,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people, in one line, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What a worker tells its parent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum WorkerEvent {
    /// The application was imported.
    Loaded {
        /// `module:attribute` as it was found.
        target: String,
        /// What it turned out to be.
        interface: Interface,
        /// Name and version, such as `FastAPI 0.163.0`; `ASGI` or `WSGI` where it is none that is known.
        framework: String,
        /// The interpreter, such as `CPython 3.11.7`.
        python: String,
    },
    /// It answers requests from now on.
    Ready,
    /// It cannot start, and ends with this.
    Failed(Failure),
    /// It has drained, its lifespan has ended, and it ends now.
    Stopped,
    /// A debugger is at work in it, so that it may be silent for as long as it likes.
    Debugging {
        /// What it is, in a few words.
        by: String,
    },
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(75),
            head: Duration::from_secs(30),
            max_head_bytes: 64 << 10,
            max_fields: 100,
            max_connections: 10_000,
        }
    }
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        let pause = Some(Duration::from_secs(20));
        Self { max_message_bytes: 16 << 20, ping_interval: pause, ping_timeout: pause, compresses: true }
    }
}

impl Default for Shedding {
    fn default() -> Self {
        Self { adapts: true, wait: Duration::from_millis(250), max_in_flight: None }
    }
}

/// What a parent tells a worker.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum WorkerCommand {
    /// Accept no more, finish what is there, end.
    Drain {
        /// For how long an idle keep-alive connection is still answered (with `Connection: close`) before it is closed:
        /// a client that writes at the very moment of closing would lose its request.
        linger_ms: u64,
        /// After this long everything is cut off.
        timeout_ms: u64,
        /// Whether the whole instance ends while others go on. Then connections are still accepted on its own sockets
        /// until nobody makes any: callers that chose this instance learn only now that it leaves.
        #[serde(default)]
        retires: bool,
    },
}

/// Why a service cannot start.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// One sentence.
    pub message: String,
    /// More lines: the traceback, or what was tried.
    pub detail: Vec<String>,
    /// The way out, where there is one.
    pub hint: Option<String>,
}

/// The kinds of [`Failure`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// No application at the target, or none by convention.
    NotFound,
    /// The module raises on import.
    Import,
    /// The lifespan's startup failed.
    Lifespan,
    /// The interpreter cannot host: no runtime for it, another version, no interpreter.
    Interpreter,
    /// It ended or hung before it was ready.
    Died,
}
