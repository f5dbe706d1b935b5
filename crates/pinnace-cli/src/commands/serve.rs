//! `pinnace serve`: host one ASGI or WSGI application.

mod arguments;
mod bind;
mod variables;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use pinnace_discovery::InvalidRegistryAddress;
use pinnace_supervisor::serve::{self, Bind, LifeLimits, RegistrationConfig, ServeConfig, ServeError};
use pinnace_telemetry::logging;
use pinnace_types::worker::{ConnectionLimits, LogFormat, LogLevel, Shedding, WebSocketLimits};
use pinnace_types::{ByteSize, ExitCode, InvalidTrustedProxies, TrustedProxies, environment};

use super::runtime;
use crate::{Complaint, serve_options};
pub(crate) use arguments::{LogFormatArg, ServeArgs};

/// Without another word, the moment at which a worker has lived long enough differs by up to this share of its lifetime.
const LIFETIME_JITTER: u32 = 10;
/// What no wait for a turn is shorter than: a turn of the event loop takes some milliseconds itself.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

impl ServeArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        let log_format = self.log_format.map_or_else(logging::default_format, LogFormatArg::format);
        let level = logging::level_from_environment();
        logging::init(log_format, "serve", self.log_level.map_or(level, |given| logging::filter(given.level())));
        // A supervisor has been told why the application does not start, and tells it on.
        let is_heard = std::env::var_os(environment::STATUS_FD).is_some();
        if !is_heard {
            serve_options::tell_unread_variables();
        }
        let config = self.config(log_format)?;
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
        let app_dir = folder(&self.app_dir, "--app-dir")?;
        let registration = self.registration()?;
        let forwarded_allow = self.forwarded_allow()?;
        let binds = self.binds()?;
        let workers = self.workers()?;
        let variables = self.variables()?;
        let life = self.life();
        let log_level = self.log_level.map_or_else(level_of_environment, arguments::LogLevelArg::level);
        let watched = self.reload_dir.iter().map(|watched| folder(watched, "--reload-dir"));
        let reload_folders = watched.collect::<Result<Vec<_>, _>>()?;
        let mut headers = self.header;
        if self.server_header {
            headers.insert(0, ("server".to_owned(), "pinnace".to_owned()));
        }
        let own_name = app_dir.file_name().map_or_else(|| "app".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(ServeConfig {
            target: self.target,
            binds,
            socket_mode: self.uds_mode,
            backlog: self.backlog,
            workers,
            threads: self.threads,
            queue: self.queue,
            python: self.python,
            interface: self.interface,
            lifespan: self.lifespan.lifespan(),
            factory: self.factory,
            forwarded_allow,
            websocket: WebSocketLimits {
                max_message_bytes: self.ws_max_size.bytes(),
                ping_interval: Some(self.ws_ping_interval).filter(|interval| !interval.is_zero()),
                ping_timeout: Some(self.ws_ping_timeout).filter(|timeout| !timeout.is_zero()),
                compresses: self.ws_per_message_deflate,
            },
            root_path: self.root_path,
            headers,
            variables,
            management_prefix: self.management_prefix,
            max_body: self.max_body,
            // Lines about requests are of the level `info`.
            access_log: (self.access_log || !self.no_access_log) && log_level >= LogLevel::Info,
            log_format,
            log_level,
            reload: self.reload,
            reload_folders,
            reload_include: self.reload_include,
            reload_exclude: self.reload_exclude,
            ready_timeout: self.ready_timeout,
            worker_timeout: Some(self.worker_timeout).filter(|timeout| !timeout.is_zero()),
            grace: self.grace,
            life,
            registration,
            shedding: Shedding {
                adapts: !self.no_shed,
                wait: self.shed_wait.max(SHORTEST_WAIT),
                max_in_flight: self.limit_concurrency,
            },
            pid_file: self.pid,
            connections: ConnectionLimits {
                idle: self.timeout_keep_alive,
                head: self.header_timeout,
                max_head_bytes: u32::try_from(self.max_header_size.bytes()).unwrap_or(u32::MAX),
                max_fields: self.max_header_fields,
                max_connections: self.max_connections,
            },
            ..ServeConfig::new(self.name.unwrap_or(own_name), app_dir)
        })
    }

    fn binds(&self) -> Result<Vec<Bind>, Complaint> {
        if !self.bind.is_empty() {
            return Ok(self.bind.clone());
        }
        if let Some(path) = &self.uds {
            return Ok(vec![Bind::File(path.clone())]);
        }
        if let Some(number) = self.fd {
            return Ok(vec![Bind::Descriptor(number)]);
        }
        let host = self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = match self.port {
            Some(port) => port,
            None => number_from(environment::PORT, 0..=u32::from(u16::MAX))?
                .and_then(|port| u16::try_from(port).ok())
                .unwrap_or(bind::PORT),
        };
        Ok(vec![Bind::Tcp(SocketAddr::new(host, port))])
    }

    fn workers(&self) -> Result<u32, Complaint> {
        match self.workers {
            Some(workers) => Ok(workers),
            None => Ok(number_from(environment::WEB_CONCURRENCY, 1..=64)?.unwrap_or(1)),
        }
    }

    fn life(&self) -> LifeLimits {
        let max_lifetime = self.max_lifetime.filter(|lifetime| !lifetime.is_zero());
        let share = max_lifetime.map_or(Duration::ZERO, |lifetime| lifetime / LIFETIME_JITTER);
        LifeLimits {
            max_requests: self.max_requests.filter(|requests| *requests > 0),
            max_requests_jitter: self.max_requests_jitter,
            max_memory: self
                .max_memory
                .or_else(|| self.workers_max_rss.map(|mebibytes| ByteSize::new(u64::from(mebibytes) << 20))),
            max_lifetime,
            max_lifetime_jitter: self.max_lifetime_jitter.unwrap_or(share),
        }
    }

    /// Of files, what is not set already; of flags, everything.
    fn variables(&self) -> Result<Vec<(String, String)>, Complaint> {
        let own = |name: &str| std::env::vars_os().find(|(known, _)| known == name).map(|(_, value)| value);
        let known = |name: &str| own(name).and_then(|value| value.into_string().ok());
        let mut found: Vec<(String, String)> = Vec::new();
        for file in &self.env_file {
            for (name, value) in variables::of_file(file, &known)? {
                if own(&name).is_none() && !found.iter().any(|(set, _)| *set == name) {
                    found.push((name, value));
                }
            }
        }
        found.extend(self.env.iter().cloned());
        if let Some(folders) = &self.pythonpath {
            let before = known("PYTHONPATH").filter(|before| !before.is_empty());
            let folders = folders.split(',').map(|folder| absolute(folder.trim()));
            let joined = folders.chain(before).collect::<Vec<_>>().join(":");
            found.push(("PYTHONPATH".to_owned(), joined));
        }
        match found.iter().find(|(name, _)| environment::is_reserved(name) && name != environment::PORT) {
            Some((name, _)) => Err(Complaint::new(ExitCode::Usage, format!("`{name}` is set by Pinnace alone"))
                .with_hint("take it out of --env and --env-file")),
            None => Ok(found),
        }
    }

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

fn folder(path: &PathBuf, flag: &str) -> Result<PathBuf, Complaint> {
    fs_err::canonicalize(path).map_err(|error| {
        Complaint::new(ExitCode::Application, error.to_string())
            .with_hint(format!("name a folder that is there with {flag}"))
    })
}

/// Workers run in the application's folder; what is named here is meant from this process's own.
fn absolute(folder: &str) -> String {
    std::path::absolute(folder).map_or_else(|_| folder.to_owned(), |folder| folder.to_string_lossy().into_owned())
}

/// A number that others set too; what is no number there is told and not passed over.
fn number_from(name: &str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, Complaint> {
    let Some(text) = std::env::var(name).ok().filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.trim().parse::<u32>() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => {
            let message = format!("{name}: `{text}` is no number from {} to {}", range.start(), range.end());
            Err(Complaint::new(ExitCode::Usage, message).with_hint("the flag of that meaning goes before the variable"))
        }
    }
}

fn level_of_environment() -> LogLevel {
    logging::level_of(logging::level_from_environment())
}

fn complaint(error: &ServeError) -> Complaint {
    let complaint = Complaint::new(error.exit_code(), error.to_string()).with_detail(error.detail());
    error.hint().into_iter().fold(complaint, Complaint::with_hint)
}
