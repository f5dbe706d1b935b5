//! `pinnace serve`: host one ASGI or WSGI application.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use pinnace_discovery::InvalidRegistryAddress;
use pinnace_supervisor::serve::{self, Advertise, RegistrationConfig, ServeConfig, ServeError};
use pinnace_types::worker::{Interface, Lifespan, LogFormat, Shedding, WebSocketLimits};
use pinnace_types::{ByteSize, ExitCode, HumanDuration, InvalidTrustedProxies, TrustedProxies, environment};

use super::runtime;
use crate::Complaint;

/// What no wait for a turn is shorter than: a turn of the event loop takes some milliseconds itself.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

/// The arguments of `pinnace serve`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct ServeArgs {
    /// The application, `module:attribute`; found by convention where it is not given
    target: Option<String>,
    /// The folder of the application
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    app_dir: PathBuf,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Worker processes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Threads of each worker for synchronous work
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
    /// Requests of each worker that may wait for a thread
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    queue: u32,
    /// The interpreter [default: that of `$VIRTUAL_ENV`, of this binary's own environment, `python3`]
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// What the application is
    #[arg(long, value_enum, default_value_t = InterfaceArg::Auto)]
    interface: InterfaceArg,
    /// Whether the ASGI lifespan protocol is spoken
    #[arg(long, value_enum, default_value_t = LifespanArg::Auto)]
    lifespan: LifespanArg,
    /// What the application is mounted under
    #[arg(long, default_value = "", value_name = "PATH")]
    root_path: String,
    /// The proxies whose `X-Forwarded-For` and `-Proto`, or `Forwarded`, are believed: addresses and networks, `*` for
    /// everybody [default: `$FORWARDED_ALLOW_IPS`, else `127.0.0.1,::1`]
    #[arg(long, value_name = "LIST")]
    forwarded_allow_ips: Option<TrustedProxies>,
    /// Believe forwarded headers, which is the default
    #[arg(long, overrides_with = "no_proxy_headers")]
    proxy_headers: bool,
    /// Believe nobody's forwarded headers
    #[arg(long, conflicts_with = "forwarded_allow_ips")]
    no_proxy_headers: bool,
    /// Bytes that a WebSocket message of a client may have, such as `1MiB`
    #[arg(long, default_value = "16MiB", value_name = "SIZE", value_parser = size)]
    ws_max_size: ByteSize,
    /// After how long a silent WebSocket client is pinged, such as `20s`; 0: never
    #[arg(long, default_value = "20s", value_name = "DURATION", value_parser = pause)]
    ws_ping_interval: Duration,
    /// How long a WebSocket client that was pinged may be silent; 0: for ever
    #[arg(long, default_value = "20s", value_name = "DURATION", value_parser = pause)]
    ws_ping_timeout: Duration,
    /// Whether WebSocket messages are compressed for clients that offer it
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    ws_per_message_deflate: bool,
    /// Prefix of the paths for health, info and metrics
    #[arg(long, default_value = "/-", value_name = "PATH")]
    management_prefix: String,
    /// Bytes that the body of a request may have, such as `10MiB` [default: no limit]
    #[arg(long, value_name = "SIZE")]
    max_body: Option<ByteSize>,
    /// Replace the workers when a file of the application changes, for development
    #[arg(long)]
    reload: bool,
    /// How long a worker may take until it answers
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    ready_timeout: HumanDuration,
    /// How long a worker's event loop may be blocked until the worker is replaced; `0s`, or `--reload`: for ever
    #[arg(long, default_value = "1m", value_name = "DURATION")]
    worker_timeout: HumanDuration,
    /// How long requests may take to finish after a stop or a reload
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    grace: HumanDuration,
    /// The service's name in logs and metrics [default: the folder's name]
    #[arg(long)]
    name: Option<String>,
    /// The registry to register with: `consul`, `consul://HOST:PORT`, `eureka` or
    /// `eureka://[USER:PASSWORD@]HOST:PORT[/PATH]` [default: `$PINNACE_REGISTRY`, else none]
    #[arg(long, value_name = "ADDRESS")]
    registry: Option<String>,
    /// Where others reach this instance [default: the address listened on; where that is all of them, the one that leads to
    /// the registry]
    #[arg(long, value_name = "HOST[:PORT]")]
    advertise: Option<Advertise>,
    /// A word in the registry by which callers choose, such as `canary`; may be given several times
    #[arg(long, value_name = "TAG", value_parser = tag)]
    tag: Vec<String>,
    /// This instance's share of the requests beside the others', 1 to 65535
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    weight: u32,
    /// How log lines look [default: text on a terminal, else json]
    #[arg(long, value_enum)]
    log_format: Option<LogFormatArg>,
    /// Do not log requests
    #[arg(long)]
    no_access_log: bool,
    /// Answer 503 to what would wait too long in an overload, which is the default
    #[arg(long, overrides_with = "no_shed")]
    shed: bool,
    /// Let every request wait, however many there are
    #[arg(long, overrides_with = "shed")]
    no_shed: bool,
    /// How long all requests of a worker may wait for their turn until it is overloaded
    #[arg(long, default_value = "250ms", value_name = "DURATION", value_parser = pause)]
    shed_wait: Duration,
    /// Requests that a worker may have in flight, overloaded or not; more are answered with 503 [default: no limit]
    #[arg(long, alias = "max-concurrency", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    limit_concurrency: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum InterfaceArg {
    Auto,
    Asgi,
    Wsgi,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LifespanArg {
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

impl ServeArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        let log_format = self.log_format.map_or_else(pinnace_telemetry::logging::default_format, LogFormatArg::format);
        pinnace_telemetry::logging::init(log_format, "serve", pinnace_telemetry::logging::level_from_environment());
        let config = self.config(log_format)?;
        // A supervisor has been told why the application does not start, and tells it on.
        let is_heard = std::env::var_os(environment::STATUS_FD).is_some();
        match runtime::block_on(serve::run(config))? {
            Ok(()) => Ok(ExitCode::Ok),
            Err(error @ ServeError::Application(_)) if is_heard => Ok(error.exit_code()),
            Err(error) => Err(complaint(&error)),
        }
    }

    fn forwarded_allow(&self) -> Result<TrustedProxies, Complaint> {
        if self.no_proxy_headers && !self.proxy_headers {
            return Ok(TrustedProxies::nobody());
        }
        if let Some(given) = &self.forwarded_allow_ips {
            return Ok(given.clone());
        }
        let Some(text) = std::env::var(environment::FORWARDED_ALLOW_IPS).ok() else {
            return Ok(TrustedProxies::default());
        };
        text.parse().map_err(|error: InvalidTrustedProxies| {
            Complaint::new(ExitCode::Usage, format!("{}: {error}", environment::FORWARDED_ALLOW_IPS))
        })
    }

    fn config(self, log_format: LogFormat) -> Result<ServeConfig, Complaint> {
        let app_dir = fs_err::canonicalize(&self.app_dir).map_err(|error| {
            Complaint::new(ExitCode::Application, error.to_string())
                .with_hint("name the application's folder with --app-dir")
        })?;
        let registration = self.registration()?;
        let forwarded_allow = self.forwarded_allow()?;
        let folder = app_dir.file_name().map_or_else(|| "app".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(ServeConfig {
            target: self.target,
            host: self.host,
            port: self.port,
            workers: self.workers,
            threads: self.threads,
            queue: self.queue,
            python: self.python,
            interface: self.interface.interface(),
            lifespan: self.lifespan.lifespan(),
            forwarded_allow,
            websocket: WebSocketLimits {
                max_message_bytes: self.ws_max_size.bytes(),
                ping_interval: Some(self.ws_ping_interval).filter(|interval| !interval.is_zero()),
                ping_timeout: Some(self.ws_ping_timeout).filter(|timeout| !timeout.is_zero()),
                compresses: self.ws_per_message_deflate,
            },
            root_path: self.root_path,
            management_prefix: self.management_prefix,
            max_body: self.max_body,
            access_log: !self.no_access_log,
            log_format,
            reload: self.reload,
            ready_timeout: self.ready_timeout.as_duration(),
            worker_timeout: Some(self.worker_timeout.as_duration()).filter(|timeout| !timeout.is_zero()),
            grace: self.grace.as_duration(),
            registration,
            shedding: Shedding {
                adapts: !self.no_shed,
                wait: self.shed_wait.max(SHORTEST_WAIT),
                max_in_flight: self.limit_concurrency,
            },
            ..ServeConfig::new(self.name.unwrap_or(folder), app_dir)
        })
    }
}

impl ServeArgs {
    fn registration(&self) -> Result<Option<RegistrationConfig>, Complaint> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (origin, text) = match (&self.registry, variable(environment::REGISTRY)) {
            (Some(given), _) => ("--registry", given.clone()),
            (None, Some(set)) => (environment::REGISTRY, set),
            (None, None) => return Ok(None),
        };
        // What was given is not repeated: there may be a password in it.
        let registry = text
            .parse()
            .map_err(|error: InvalidRegistryAddress| Complaint::new(ExitCode::Usage, format!("{origin}: {error}")))?;
        let advertise = self.advertise.clone();
        let instance = variable(environment::INSTANCE);
        Ok(Some(RegistrationConfig { registry, advertise, instance, tags: self.tag.clone(), weight: self.weight }))
    }
}

impl InterfaceArg {
    const fn interface(self) -> Interface {
        match self {
            Self::Auto => Interface::Auto,
            Self::Asgi => Interface::Asgi,
            Self::Wsgi => Interface::Wsgi,
        }
    }
}

impl LifespanArg {
    const fn lifespan(self) -> Lifespan {
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

/// Eureka has no tags of its own, so they are joined by commas there.
fn tag(text: &str) -> Result<String, &'static str> {
    let is_plain = !text.is_empty() && text.len() <= 255 && !text.contains(|c: char| c == ',' || c.is_control());
    if is_plain { Ok(text.to_owned()) } else { Err("a tag is a word of at most 255 bytes without a comma") }
}

/// A duration with its unit, or seconds without one, as uvicorn takes them.
fn pause(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    text.parse::<HumanDuration>().map(HumanDuration::as_duration).map_err(|error| error.to_string())
}

/// A size with its unit, or bytes without one, as uvicorn takes them.
fn size(text: &str) -> Result<ByteSize, String> {
    if let Ok(bytes) = text.parse::<u64>() {
        return Ok(ByteSize::new(bytes));
    }
    text.parse::<ByteSize>().map_err(|error| error.to_string())
}

fn complaint(error: &ServeError) -> Complaint {
    let complaint = Complaint::new(error.exit_code(), error.to_string()).with_detail(error.detail());
    error.hint().into_iter().fold(complaint, Complaint::with_hint)
}
