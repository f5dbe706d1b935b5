//! The flags of `pinnace serve`. `crate::serve_options` completes them: variables, and the names of other servers.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use pinnace_supervisor::serve::{Advertise, Bind};
use pinnace_types::worker::{Interface, Lifespan, LogFormat, LogLevel};
use pinnace_types::{ByteSize, HumanDuration, TrustedProxies};

use super::{bind, variables};

/// The arguments of `pinnace serve`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct ServeArgs {
    /// The application, `module:attribute`; found by convention where it is not given
    pub(super) target: Option<String>,
    /// The folder of the application, and the workers' working folder
    #[arg(long, visible_aliases = ["chdir", "working-dir"], default_value = ".", value_name = "FOLDER")]
    pub(super) app_dir: PathBuf,
    /// Where to listen: `HOST:PORT`, `:PORT` for all addresses, `unix:PATH`, or `fd://N`; may be given several times
    /// [default: what --host, --port, --uds or --fd say]
    #[arg(long, short = 'b', value_name = "ADDRESS", value_parser = bind::parse, conflicts_with_all = ["host", "port", "uds", "fd"])]
    pub(super) bind: Vec<Bind>,
    /// The address to listen on [default: `127.0.0.1`]
    #[arg(long, value_name = "ADDRESS", value_parser = bind::host)]
    pub(super) host: Option<IpAddr>,
    /// The port; 0 takes a free one [default: `$PORT`, else 8000]
    #[arg(long)]
    pub(super) port: Option<u16>,
    /// Listen on a Unix socket at this path instead
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host", "port", "fd"])]
    pub(super) uds: Option<PathBuf>,
    /// Who may connect to a Unix socket, as `chmod` writes it
    #[arg(long, visible_alias = "uds-permissions", default_value = "666", value_name = "MODE", value_parser = bind::mode)]
    pub(super) uds_mode: u32,
    /// Listen on the socket that was inherited under this number instead
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["host", "port"], value_parser = clap::value_parser!(i32).range(3..=1024))]
    pub(super) fd: Option<i32>,
    /// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`
    #[arg(long, default_value_t = pinnace_os::BACKLOG, value_parser = clap::value_parser!(i32).range(1..=65_535))]
    pub(super) backlog: i32,
    /// Worker processes, 1 to 64 [default: `$WEB_CONCURRENCY`, else 1]
    #[arg(long, short = 'w', value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) workers: Option<u32>,
    /// Threads of each worker for synchronous work
    #[arg(long, visible_alias = "blocking-threads", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) threads: u32,
    /// Requests of each worker that may wait for a thread
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(super) queue: u32,
    /// The interpreter [default: that of `$VIRTUAL_ENV`, of this binary's own environment, `python3`]
    #[arg(long, value_name = "PATH")]
    pub(super) python: Option<PathBuf>,
    /// What the application is: `auto`, `asgi` or `wsgi`
    #[arg(long, default_value = "auto", value_parser = interface)]
    pub(super) interface: Interface,
    /// Whether the ASGI lifespan protocol is spoken
    #[arg(long, visible_alias = "asgi-lifespan", value_enum, default_value_t = LifespanArg::Auto)]
    pub(super) lifespan: LifespanArg,
    /// The target is called without arguments and gives the application [default: found out]
    #[arg(long, requires = "target")]
    pub(super) factory: bool,
    /// What the application is mounted under
    #[arg(long, visible_alias = "url-path-prefix", default_value = "", value_name = "PATH")]
    pub(super) root_path: String,
    /// The proxies whose `X-Forwarded-For` and `-Proto`, or `Forwarded`, are believed: addresses and networks, `*` for
    /// everybody [default: `$FORWARDED_ALLOW_IPS`, else `127.0.0.1,::1`]
    #[arg(long, value_name = "LIST")]
    pub(super) forwarded_allow_ips: Option<TrustedProxies>,
    /// Believe forwarded headers, which is the default
    #[arg(long, overrides_with = "no_proxy_headers")]
    pub(super) proxy_headers: bool,
    /// Believe nobody's forwarded headers
    #[arg(long, conflicts_with = "forwarded_allow_ips")]
    pub(super) no_proxy_headers: bool,
    /// Bytes that a WebSocket message of a client may have, such as `1MiB`
    #[arg(long, visible_alias = "websocket-max-message-size", default_value = "16MiB", value_name = "SIZE", value_parser = size)]
    pub(super) ws_max_size: ByteSize,
    /// After how long a silent WebSocket client is pinged, such as `20s`; 0: never
    #[arg(long, default_value = "20s", value_name = "DURATION", value_parser = pause)]
    pub(super) ws_ping_interval: Duration,
    /// How long a WebSocket client that was pinged may be silent; 0: for ever
    #[arg(long, default_value = "20s", value_name = "DURATION", value_parser = pause)]
    pub(super) ws_ping_timeout: Duration,
    /// Whether WebSocket messages are compressed for clients that offer it
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub(super) ws_per_message_deflate: bool,
    /// A header field of every answer of the application besides its own, `Name:Value`; may be given several times
    #[arg(long, value_name = "FIELD", value_parser = variables::field)]
    pub(super) header: Vec<(String, String)>,
    /// Send `Server: pinnace`; without it there is no such field but the application's own
    #[arg(long)]
    pub(super) server_header: bool,
    /// Prefix of the paths for health, info and metrics
    #[arg(long, default_value = "/-", value_name = "PATH")]
    pub(super) management_prefix: String,
    /// Bytes that the body of a request may have, such as `10MiB` [default: no limit]
    #[arg(long, value_name = "SIZE")]
    pub(super) max_body: Option<ByteSize>,
    /// Replace the workers when a file of the application changes, for development
    #[arg(long)]
    pub(super) reload: bool,
    /// With --reload, a folder that is followed instead of the application's; may be given several times
    #[arg(long, visible_alias = "reload-paths", value_name = "FOLDER")]
    pub(super) reload_dir: Vec<PathBuf>,
    /// With --reload, a glob of files that count besides, also where `.gitignore` leaves them out; may be given several times
    #[arg(long, visible_alias = "reload-extra-file", value_name = "GLOB")]
    pub(super) reload_include: Vec<String>,
    /// With --reload, a pattern of files that do not count, as in `.gitignore`; may be given several times
    #[arg(long, value_name = "PATTERN")]
    pub(super) reload_exclude: Vec<String>,
    /// A file of variables for the workers, `NAME=value` a line; those that are set already stay; may be given several times
    #[arg(long, visible_alias = "env-files", value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,
    /// A variable for the workers; may be given several times
    #[arg(long, short = 'e', value_name = "NAME=VALUE", value_parser = variables::assignment)]
    pub(super) env: Vec<(String, String)>,
    /// Folders, joined by commas, in which the workers look for modules after the application's
    #[arg(long, value_name = "FOLDERS")]
    pub(super) pythonpath: Option<String>,
    /// How long a worker may take until it answers
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = pause)]
    pub(super) ready_timeout: Duration,
    /// How long a worker's event loop may be blocked until the worker is replaced; 0, or `--reload`: for ever
    #[arg(long, short = 't', visible_alias = "timeout", default_value = "1m", value_name = "DURATION", value_parser = pause)]
    pub(super) worker_timeout: Duration,
    /// How long requests may take to finish after a stop or a reload
    #[arg(
        long,
        visible_aliases = ["graceful-timeout", "timeout-graceful-shutdown", "workers-kill-timeout"],
        default_value = "30s",
        value_name = "DURATION",
        value_parser = pause
    )]
    pub(super) grace: Duration,
    /// Requests that a worker answers until another takes its place; 0: no limit [default: no limit]
    #[arg(long, visible_alias = "limit-max-requests", value_name = "NUMBER")]
    pub(super) max_requests: Option<u64>,
    /// Up to so many requests more, drawn for each worker
    #[arg(long, visible_alias = "limit-max-requests-jitter", default_value_t = 0, value_name = "NUMBER")]
    pub(super) max_requests_jitter: u64,
    /// Resident memory of a worker at which another takes its place, such as `512MiB` [default: no limit]
    #[arg(long, value_name = "SIZE", conflicts_with = "workers_max_rss")]
    pub(super) max_memory: Option<ByteSize>,
    /// The same in MiB, as granian writes it
    #[arg(long, value_name = "MEBIBYTES", hide = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) workers_max_rss: Option<u32>,
    /// How long a worker answers until another takes its place, such as `1h`; 0: no limit [default: no limit]
    #[arg(long, visible_alias = "workers-lifetime", value_name = "DURATION", value_parser = pause)]
    pub(super) max_lifetime: Option<Duration>,
    /// Up to so much longer, drawn for each worker [default: a tenth of --max-lifetime]
    #[arg(long, value_name = "DURATION", value_parser = pause)]
    pub(super) max_lifetime_jitter: Option<Duration>,
    /// The service's name in logs and metrics [default: the folder's name]
    #[arg(long, short = 'n', visible_alias = "process-name")]
    pub(super) name: Option<String>,
    /// A file that holds the number of this process for as long as it runs
    #[arg(long, short = 'p', visible_alias = "pid-file", value_name = "FILE")]
    pub(super) pid: Option<PathBuf>,
    /// The registry to register with: `consul`, `consul://HOST:PORT`, `eureka` or
    /// `eureka://[USER:PASSWORD@]HOST:PORT[/PATH]` [default: `$PINNACE_REGISTRY`, else none]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) registry: Option<String>,
    /// Where others reach this instance [default: the address listened on; where that is all of them, the one that leads to
    /// the registry]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(super) advertise: Option<Advertise>,
    /// A word in the registry by which callers choose, such as `canary`; may be given several times
    #[arg(long, value_name = "TAG", value_parser = tag)]
    pub(super) tag: Vec<String>,
    /// This instance's share of the requests beside the others', 1 to 65535
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub(super) weight: u32,
    /// From which level on Pinnace's own lines are written; above `info` there is no access log either
    /// [default: `$PINNACE_LOG`, else `info`]
    #[arg(long, value_enum, ignore_case = true)]
    pub(super) log_level: Option<LogLevelArg>,
    /// How log lines look [default: text on a terminal, else json]
    #[arg(long, value_enum)]
    pub(super) log_format: Option<LogFormatArg>,
    /// Log requests, which is the default
    #[arg(long, overrides_with = "no_access_log")]
    pub(super) access_log: bool,
    /// Do not log requests
    #[arg(long)]
    pub(super) no_access_log: bool,
    /// Answer 503 to what would wait too long in an overload, which is the default
    #[arg(long, overrides_with = "no_shed")]
    pub(super) shed: bool,
    /// Let every request wait, however many there are
    #[arg(long, overrides_with = "shed")]
    pub(super) no_shed: bool,
    /// How long all requests of a worker may wait for their turn until it is overloaded
    #[arg(long, default_value = "250ms", value_name = "DURATION", value_parser = pause)]
    pub(super) shed_wait: Duration,
    /// Requests that a worker may have in flight, overloaded or not; more are answered with 503 [default: no limit]
    #[arg(long, alias = "max-concurrency", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit_concurrency: Option<u32>,
    /// How long a connection may be idle between two requests, at least 1s
    #[arg(long, visible_alias = "keep-alive", default_value = "75s", value_name = "DURATION", value_parser = at_least_a_second)]
    pub(super) timeout_keep_alive: Duration,
    /// How long a request's head may take from its first byte on, at least 1s; then 408
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = at_least_a_second)]
    pub(super) header_timeout: Duration,
    /// Bytes that a request's head may have, 8KiB to 1MiB; more is 431
    #[arg(long, visible_alias = "h11-max-incomplete-event-size", default_value = "64KiB", value_name = "SIZE", value_parser = head_size)]
    pub(super) max_header_size: ByteSize,
    /// Fields that a request's head may have; more is 431
    #[arg(long, visible_alias = "limit-request-fields", default_value_t = 100, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=32_768))]
    pub(super) max_header_fields: u32,
    /// Connections that a worker may have; more wait to be accepted
    #[arg(long, visible_alias = "worker-connections", default_value_t = 10_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) max_connections: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LifespanArg {
    Auto,
    On,
    Off,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormatArg {
    Text,
    Json,
}

/// From which level on lines are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogLevelArg {
    #[value(alias = "critical")]
    Error,
    #[value(alias = "warning")]
    Warn,
    Info,
    Debug,
    #[value(alias = "notset")]
    Trace,
}

impl LifespanArg {
    pub(super) const fn lifespan(self) -> Lifespan {
        match self {
            Self::Auto => Lifespan::Auto,
            Self::On => Lifespan::On,
            Self::Off => Lifespan::Off,
        }
    }
}

impl LogFormatArg {
    pub(crate) const fn format(self) -> LogFormat {
        match self {
            Self::Text => LogFormat::Text,
            Self::Json => LogFormat::Json,
        }
    }
}

impl LogLevelArg {
    pub(super) const fn level(self) -> LogLevel {
        match self {
            Self::Error => LogLevel::Error,
            Self::Warn => LogLevel::Warn,
            Self::Info => LogLevel::Info,
            Self::Debug => LogLevel::Debug,
            Self::Trace => LogLevel::Trace,
        }
    }
}

/// The interface by its name here or elsewhere.
fn interface(text: &str) -> Result<Interface, &'static str> {
    match text {
        "auto" => Ok(Interface::Auto),
        "asgi" | "asgi3" => Ok(Interface::Asgi),
        "wsgi" => Ok(Interface::Wsgi),
        "asgi2" => Err("an ASGI 2 application is recognised with `auto`, and hosted"),
        "asginl" => Err("write `--interface asgi --lifespan off`"),
        "rsgi" => Err("RSGI is granian's own protocol: give the ASGI or WSGI application"),
        _ => Err("there are `auto`, `asgi` and `wsgi`"),
    }
}

/// Eureka has no tags of its own, so they are joined by commas there.
fn tag(text: &str) -> Result<String, &'static str> {
    let is_plain = !text.is_empty() && text.len() <= 255 && !text.contains(|c: char| c == ',' || c.is_control());
    if is_plain { Ok(text.to_owned()) } else { Err("a tag is a word of at most 255 bytes without a comma") }
}

/// A duration with its unit, or seconds without one, as other servers take them.
fn pause(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    text.parse::<HumanDuration>().map(HumanDuration::as_duration).map_err(|error| error.to_string())
}

/// A client that has just connected needs a moment too.
fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let duration = pause(text)?;
    if duration < Duration::from_secs(1) { Err("1s is the least".to_owned()) } else { Ok(duration) }
}

fn head_size(text: &str) -> Result<ByteSize, String> {
    let size = size(text)?;
    let is_allowed = (8 << 10..=1 << 20).contains(&size.bytes());
    if is_allowed { Ok(size) } else { Err("a head may have 8KiB to 1MiB".to_owned()) }
}

/// A size with its unit, or bytes without one, as other servers take them.
fn size(text: &str) -> Result<ByteSize, String> {
    if let Ok(bytes) = text.parse::<u64>() {
        return Ok(ByteSize::new(bytes));
    }
    text.parse::<ByteSize>().map_err(|error| error.to_string())
}
