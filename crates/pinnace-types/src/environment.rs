//! Every environment variable that Pinnace reads or sets, in one table.
//!
//! docs/reference/environment.md is generated from [`table`]. Variables named after a service (`<SERVICE>_URL`) are made
//! by [`service_url`].

use crate::ServiceName;

/// The worker's configuration as JSON; set by a `serve` parent.
pub const WORKER: &str = "PINNACE_WORKER";
/// A descriptor that reads end of file when the supervisor is gone.
pub const LIFETIME_FD: &str = "PINNACE_LIFETIME_FD";
/// A descriptor on which status lines are written.
pub const STATUS_FD: &str = "PINNACE_STATUS_FD";
/// The folder with the Python runtime.
pub const RUNTIME_DIR: &str = "PINNACE_RUNTIME_DIR";
/// The token of the hub's API.
pub const HUB_TOKEN: &str = "PINNACE_HUB_TOKEN";
/// The level of Pinnace's own logs.
pub const LOG: &str = "PINNACE_LOG";
/// How log lines of a Rust service look.
pub const LOG_FORMAT: &str = "PINNACE_LOG_FORMAT";
/// The service's name.
pub const SERVICE: &str = "PINNACE_SERVICE";
/// The registry that a service registers with by itself.
pub const REGISTRY: &str = "PINNACE_REGISTRY";
/// The instance's id.
pub const INSTANCE: &str = "PINNACE_INSTANCE";
/// How many descriptors are inherited, from 3 on.
pub const LISTEN_FDS: &str = "LISTEN_FDS";
/// The process that they are meant for.
pub const LISTEN_PID: &str = "LISTEN_PID";
/// Their names, joined by colons.
pub const LISTEN_FDNAMES: &str = "LISTEN_FDNAMES";
/// The proxies whose word about a client is taken.
pub const FORWARDED_ALLOW_IPS: &str = "FORWARDED_ALLOW_IPS";
/// Worker processes, as other servers read it.
pub const WEB_CONCURRENCY: &str = "WEB_CONCURRENCY";
/// The service's port.
pub const PORT: &str = "PORT";
/// The service's database.
pub const DATABASE_URL: &str = "DATABASE_URL";
/// The message broker, AMQP 0-9-1.
pub const AMQP_URL: &str = "AMQP_URL";
/// The same for Celery.
pub const CELERY_BROKER_URL: &str = "CELERY_BROKER_URL";
/// Kafka's bootstrap servers.
pub const KAFKA_BOOTSTRAP_SERVERS: &str = "KAFKA_BOOTSTRAP_SERVERS";
/// Where the registry speaks Consul.
pub const CONSUL_HTTP_ADDR: &str = "CONSUL_HTTP_ADDR";
/// The service's token there.
pub const CONSUL_HTTP_TOKEN: &str = "CONSUL_HTTP_TOKEN";
/// Where the registry speaks Eureka, with the service's token.
pub const EUREKA_SERVER: &str = "EUREKA_SERVER";
/// The service's name for OpenTelemetry SDKs.
pub const OTEL_SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
/// The active virtual environment.
pub const VIRTUAL_ENV: &str = "VIRTUAL_ENV";
/// Where a user's sockets are.
pub const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
/// Any value: no colour.
pub const NO_COLOR: &str = "NO_COLOR";

/// One row of the table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Who sets it.
    pub set_by: SetBy,
    /// What it holds.
    pub meaning: &'static str,
    /// The version that brought it.
    pub since: &'static str,
}

/// Who sets a variable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SetBy {
    /// The user; Pinnace reads it.
    User,
    /// `pinnace up`, for the services.
    Up,
    /// Pinnace, for its own processes.
    Pinnace,
}

/// Every variable, in the order of the reference page.
pub const fn table() -> &'static [Variable] {
    TABLE
}

/// The variable that holds the address of a service: `ORDERS_URL`.
pub fn service_url(service: &ServiceName) -> String {
    format!("{}_URL", service.environment_prefix())
}

/// Whether nobody but Pinnace may set a variable for a service: where it listens, who it is, and what it inherits.
pub fn is_reserved(name: &str) -> bool {
    matches!(name, PORT | VIRTUAL_ENV | LISTEN_FDS | LISTEN_PID | LISTEN_FDNAMES | "PYTHONHOME")
        || (name.starts_with("PINNACE_") && !matches!(name, LOG | LOG_FORMAT | RUNTIME_DIR))
}

const fn variable(name: &'static str, set_by: SetBy, meaning: &'static str) -> Variable {
    Variable { name, set_by, meaning, since: "0.1" }
}

const TABLE: &[Variable] = &[
    variable(RUNTIME_DIR, SetBy::User, "folder with the Python runtime; default: beside the binary"),
    variable(
        LOG,
        SetBy::User,
        "level of Pinnace's own log lines: `error`, `warn`, `info` (default), `debug` or `trace`",
    ),
    variable(
        LOG_FORMAT,
        SetBy::User,
        "how log lines of a Rust service look: `text` or `json`; default: text on a terminal and under `up`, else JSON",
    ),
    variable(
        FORWARDED_ALLOW_IPS,
        SetBy::User,
        "what `--forwarded-allow-ips` of `pinnace serve` is where it is not given",
    ),
    variable(
        "PINNACE_SERVE_<OPTION>",
        SetBy::User,
        "what an option of `pinnace serve` is where it is not given, such as `PINNACE_SERVE_MAX_REQUESTS` for `--max-requests`",
    ),
    variable(
        WEB_CONCURRENCY,
        SetBy::User,
        "what `--workers` of `pinnace serve` is where neither it nor `PINNACE_SERVE_WORKERS` is given",
    ),
    variable(HUB_TOKEN, SetBy::User, "token of the hub's API for commands; default: read from `.pinnace/run`"),
    variable(
        VIRTUAL_ENV,
        SetBy::User,
        "environment whose interpreter `pinnace serve` uses where `--python` is not given",
    ),
    variable(
        XDG_RUNTIME_DIR,
        SetBy::User,
        "folder of the control socket; default: a private folder below the temporary one",
    ),
    variable(NO_COLOR, SetBy::User, "any value: no colour, also on a terminal"),
    variable(
        PORT,
        SetBy::Up,
        "port on which the service is reached; a `command` service listens on it. Where you set it, `pinnace serve` listens on it \
         without `--port`",
    ),
    variable(
        "<SERVICE>_URL",
        SetBy::Up,
        "address of each service named in `calls`, such as `CATALOG_URL=http://127.0.0.1:41231`",
    ),
    variable(DATABASE_URL, SetBy::Up, "the service's own database, where it has one"),
    variable(AMQP_URL, SetBy::Up, "message broker, where `engines.amqp` names one"),
    variable(CELERY_BROKER_URL, SetBy::Up, "the same for Celery"),
    variable(KAFKA_BOOTSTRAP_SERVERS, SetBy::Up, "Kafka's `host:port` list, where `engines.kafka` names one"),
    variable(CONSUL_HTTP_ADDR, SetBy::Up, "`host:port` at which the registry speaks Consul's HTTP API"),
    variable(
        CONSUL_HTTP_TOKEN,
        SetBy::Up,
        "the service's token there: it reads everything and registers that service alone",
    ),
    variable(
        EUREKA_SERVER,
        SetBy::Up,
        "address at which the registry speaks Eureka, with the same token as its user info",
    ),
    variable(
        OTEL_SERVICE_NAME,
        SetBy::Up,
        "the service's name, for an OpenTelemetry SDK that the service brings itself",
    ),
    variable(
        REGISTRY,
        SetBy::User,
        "registry that a service registers with by itself: `consul`, `eureka` or their addresses; default: none",
    ),
    variable(SERVICE, SetBy::Up, "the service's name"),
    variable(INSTANCE, SetBy::Up, "the instance's id, such as `orders-1`"),
    variable(
        LISTEN_FDS,
        SetBy::Pinnace,
        "number of listening sockets that are inherited, from descriptor 3 on (systemd's protocol)",
    ),
    variable(LISTEN_PID, SetBy::Pinnace, "process that they are meant for"),
    variable(LISTEN_FDNAMES, SetBy::Pinnace, "their names: `service`, `instance`"),
    variable(WORKER, SetBy::Pinnace, "configuration of a worker"),
    variable(LIFETIME_FD, SetBy::Pinnace, "descriptor that reads end of file when the supervisor is gone"),
    variable(STATUS_FD, SetBy::Pinnace, "descriptor for status lines to the supervisor"),
];
