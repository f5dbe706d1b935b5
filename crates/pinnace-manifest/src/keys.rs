//! The one table of keys: what may stand where, what it means, what holds where it is absent, and since when.
//!
//! The reader takes its suggestions from here, and the JSON Schema and the reference page are generated from it.

/// A table of the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Section {
    /// `[system]`
    System,
    /// `[engines]`
    Engines,
    /// `[context.NAME]`
    Context,
    /// `[service.NAME]`
    Service,
    /// `database` of a service
    Database,
    /// `auth` of a service
    Auth,
    /// A rule of `auth`
    AuthRule,
    /// `limits` of a service
    Limits,
    /// `serve` of a service
    Serve,
}

impl Section {
    /// How the file writes it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::System => "[system]",
            Self::Engines => "[engines]",
            Self::Context => "[context.NAME]",
            Self::Service => "[service.NAME]",
            Self::Database => "database of a service",
            Self::Auth => "auth of a service",
            Self::AuthRule => "a rule of auth",
            Self::Limits => "limits of a service",
            Self::Serve => "serve of a service",
        }
    }
}

/// The form of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A text or a list of texts.
    TextOrTexts,
    /// A whole number from 1 to this.
    Number(u32),
    /// `true` or `false`.
    Flag,
    /// A table of texts.
    TextTable,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A duration such as `10s`.
    Duration,
    /// A size such as `512MiB`.
    Size,
    /// Another table.
    Table(Section),
    /// A list of tables.
    Tables(Section),
}

/// A key.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Key {
    /// Where it stands.
    pub section: Section,
    /// Its name.
    pub name: &'static str,
    /// The form of its value.
    pub shape: Shape,
    /// Whether it has to be there.
    pub required: bool,
    /// What it means.
    pub meaning: &'static str,
    /// What holds where it is absent.
    pub default: &'static str,
}

/// Every key, in the order of the reference page.
pub const fn table() -> &'static [Key] {
    KEYS
}

/// The words of `pinnace serve` that a key of [`Section::Serve`] stands for, with its value as a text.
pub fn serve_flag(name: &str, value: &str) -> Vec<String> {
    let flag = name.replace('_', "-");
    match (name, value) {
        ("access_log" | "shed", "false") => vec![format!("--no-{flag}")],
        ("access_log" | "factory" | "shed" | "server_header", "true") => vec![format!("--{flag}")],
        ("factory" | "server_header", _) => Vec::new(),
        _ => vec![format!("--{flag}={value}")],
    }
}

/// The names of the keys of a section.
pub(crate) fn names(section: Section) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(move |key| key.section == section).map(|key| key.name)
}

const fn key(section: Section, name: &'static str, shape: Shape, default: &'static str, meaning: &'static str) -> Key {
    Key { section, name, shape, required: false, meaning, default }
}

const fn required(section: Section, name: &'static str, shape: Shape, meaning: &'static str) -> Key {
    Key { section, name, shape, required: true, meaning, default: "" }
}

use Section::{Auth, AuthRule, Context, Database, Engines, Limits, Serve, Service, System};
use Shape::{Duration, Flag, Number, Size, Table, Tables, Text, TextOrTexts, TextTable, Texts, Word};

const KEYS: &[Key] = &[
    required(System, "name", Text, "the name of the whole system, a host name label"),
    key(Engines, "amqp", Text, "none", "`embedded`, or the broker's `amqp(s)://` address"),
    key(Engines, "kafka", Text, "none", "Kafka's `kafka://host:port`"),
    key(Engines, "events", Word(&["amqp", "kafka"]), "amqp", "what Pinnace's own events travel on"),
    key(
        Engines,
        "discovery",
        Text,
        "embedded",
        "`embedded`, `kubernetes`, `consul://host:port` or `eureka://host:port`",
    ),
    key(Engines, "telemetry", Text, "embedded", "`embedded`, or a collector's `otlp://` address"),
    key(Engines, "export", Texts, "none", "collectors that get telemetry besides"),
    key(Engines, "identity", Text, "embedded", "`embedded`, or the issuer's `https://` address"),
    required(Context, "services", Texts, "the services of this bounded context"),
    key(Service, "path", Text, "the service's name", "its folder, relative to the manifest"),
    key(
        Service,
        "app",
        Text,
        "found by convention",
        "the application, `module:attribute` or `package.wsgi:application`",
    ),
    key(Service, "command", Texts, "hosted", "runs any other program instead of hosting an application"),
    key(Service, "external", Flag, "false", "it lives outside of this system; nothing is started"),
    key(Service, "url", Text, "none", "the address of an external service"),
    key(Service, "python", Text, "any from 3.10", "the versions of Python that it runs on, such as `>=3.11`"),
    key(Service, "venv", Text, "made in `.pinnace/envs`", "its own environment, relative to its folder"),
    key(Service, "health", Text, "the server's own readiness", "a path of its own that says whether it is ready"),
    key(Service, "port", Flag, "true", "`false` for a program that listens to nothing"),
    key(
        Service,
        "socket_activation",
        Flag,
        "false",
        "a `command` takes its listening sockets from `up` (`LISTEN_FDS`, as systemd hands them on), which lets it be \
         scaled and restarted without a refused connection",
    ),
    key(Service, "route", TextOrTexts, "internal", "its places at the gateway, `/orders` or `shop.example/orders`"),
    key(
        Service,
        "route_tags",
        Texts,
        "none",
        "only instances with all of these tags in the registry get requests from the gateway",
    ),
    key(Service, "calls", Texts, "none", "the services that it calls"),
    key(Service, "publishes", Texts, "none", "the topics that it publishes"),
    key(Service, "subscribes", Texts, "none", "the topics that it subscribes to"),
    key(Service, "database", Table(Database), "none", "its own database"),
    key(Service, "workers", Number(64), "1", "processes within one instance"),
    key(Service, "threads", Number(1024), "8", "threads for synchronous work in each worker"),
    key(Service, "env", TextTable, "none", "variables that it gets"),
    key(Service, "secrets", Texts, "none", "variables that it gets and that are never shown"),
    key(Service, "auth", Table(Auth), "none", "who may do what"),
    key(Service, "callers", Texts, "any", "who may call it: `gateway` or services"),
    key(Service, "limits", Table(Limits), "none", "its limits"),
    key(Service, "serve", Table(Serve), "none", "more options of `pinnace serve`, for a service that it hosts"),
    key(Service, "ready_timeout", Duration, "60s", "how long it may take until it is ready"),
    key(Service, "stop_timeout", Duration, "30s", "how long it may take to end before it is killed"),
    key(Service, "watch", Texts, "none", "globs of more files whose change reloads it"),
    required(Database, "engine", Word(crate::model::DatabaseEngine::NAMES), "what kind it is"),
    key(Database, "url", Text, "a file, for SQLite", "its address"),
    key(Database, "migrate", Text, "none", "the program that brings its tables up to date"),
    key(Auth, "default", Word(&["public", "authenticated", "deny"]), "deny", "what holds where no rule matches"),
    key(Auth, "rules", Tables(AuthRule), "none", "the first rule that matches decides"),
    required(AuthRule, "path", Text, "the paths, with `*` and `**`"),
    key(AuthRule, "methods", Texts, "all", "the methods"),
    key(AuthRule, "roles", Texts, "any", "the roles, of which the caller has one"),
    key(Limits, "timeout", Duration, "none", "how long a request may take"),
    key(Limits, "concurrency", Number(1_000_000), "none", "how many requests may be in progress"),
    key(Serve, "queue", Number(65_536), "256", "requests of each worker that may wait for a thread"),
    key(Serve, "interface", Word(&["auto", "asgi", "wsgi"]), "auto", "what the application is"),
    key(Serve, "lifespan", Word(&["auto", "on", "off"]), "auto", "whether the ASGI lifespan protocol is spoken"),
    key(Serve, "factory", Flag, "found out", "`app` is called without arguments and gives the application"),
    key(Serve, "root_path", Text, "none", "what the application is mounted under"),
    key(
        Serve,
        "forwarded_allow_ips",
        Text,
        "this machine",
        "the proxies whose word about a client is believed: addresses and networks, `*` for everybody",
    ),
    key(Serve, "ws_max_size", Size, "16MiB", "bytes that a WebSocket message of a client may have"),
    key(Serve, "ws_ping_interval", Duration, "20s", "after how long a silent WebSocket client is pinged"),
    key(Serve, "ws_ping_timeout", Duration, "20s", "how long a WebSocket client that was pinged may be silent"),
    key(Serve, "ws_per_message_deflate", Flag, "true", "whether WebSocket messages are compressed"),
    key(Serve, "header", Texts, "none", "header fields of every answer, such as `X-Frame-Options:DENY`"),
    key(Serve, "server_header", Flag, "false", "send `Server: pinnace`"),
    key(Serve, "management_prefix", Text, "/-", "prefix of the paths for health, info and metrics"),
    key(Serve, "max_body", Size, "no limit", "bytes that the body of a request may have"),
    key(
        Serve,
        "worker_timeout",
        Duration,
        "1m",
        "how long a worker's event loop may be blocked until the worker is replaced",
    ),
    key(
        Serve,
        "max_requests",
        Number(u32::MAX),
        "no limit",
        "requests that a worker answers until another takes its place",
    ),
    key(Serve, "max_requests_jitter", Number(u32::MAX), "none", "up to so many requests more, drawn for each worker"),
    key(Serve, "max_memory", Size, "no limit", "resident memory of a worker at which another takes its place"),
    key(Serve, "max_lifetime", Duration, "no limit", "how long a worker answers until another takes its place"),
    key(Serve, "max_lifetime_jitter", Duration, "a tenth of it", "up to so much longer, drawn for each worker"),
    key(
        Serve,
        "log_level",
        Word(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "from which level on Pinnace's own lines are written",
    ),
    key(Serve, "timeout_keep_alive", Duration, "75s", "how long a connection may be idle between two requests"),
    key(Serve, "header_timeout", Duration, "30s", "how long a request's head may take from its first byte on"),
    key(Serve, "max_header_size", Size, "64KiB", "bytes that a request's head may have"),
    key(Serve, "max_header_fields", Number(32_768), "100", "fields that a request's head may have"),
    key(
        Serve,
        "max_connections",
        Number(1_000_000),
        "10000",
        "connections that a worker may have; more wait to be accepted",
    ),
    key(Serve, "shed", Flag, "true", "answer 503 to what would wait too long in an overload"),
    key(
        Serve,
        "shed_wait",
        Duration,
        "250ms",
        "how long requests of a worker may wait for their turn until it is overloaded",
    ),
    key(
        Serve,
        "limit_concurrency",
        Number(u32::MAX),
        "no limit",
        "requests that a worker may have in flight; more are answered with 503",
    ),
    key(Serve, "access_log", Flag, "true", "whether requests are logged"),
];
