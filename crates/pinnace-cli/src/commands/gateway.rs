//! `pinnace gateway`: run the gateway (started by `up`).

use std::future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use pinnace_discovery::{ConnectError, RegistryAddress, connect};
use pinnace_gateway::{Discovery, Gateway, Table, control_task};
use pinnace_http::{Drain, Listener, Server, ServerConfig};
use pinnace_os::LifetimeEnd;
use pinnace_telemetry::logging;
use pinnace_types::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

use super::serve::LogFormatArg;
use super::{runtime, status};
use crate::Complaint;

/// How long requests may take to finish after a stop.
const GRACE: Duration = Duration::from_secs(10);
/// How long idle connections are still answered once another gateway has taken over.
const LINGER: Duration = Duration::from_secs(6);

/// The arguments of `pinnace gateway`.
#[derive(Args, Debug)]
pub(crate) struct GatewayArgs {
    /// The table of routes; read again at SIGHUP
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The address to listen on, where no socket is inherited
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The registry whose instances get the requests: `consul`, `consul://HOST:PORT`, `eureka` or `eureka://HOST:PORT`
    /// [default: none, the sockets in the table get them]
    #[arg(long, value_name = "ADDRESS")]
    registry: Option<RegistryAddress>,
    /// The Unix socket on which `pinnace ps --gateway` is answered
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// How log lines look [default: text on a terminal, else json]
    #[arg(long, value_enum)]
    log_format: Option<LogFormatArg>,
    /// Do not log requests
    #[arg(long)]
    no_access_log: bool,
}

impl GatewayArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        let format = self.log_format.map_or_else(logging::default_format, LogFormatArg::format);
        logging::init(format, "gateway", logging::level_from_environment());
        let table = read(&self.config).map_err(|message| Complaint::new(ExitCode::Failure, message))?;
        let access_log = (!self.no_access_log).then_some(format);
        let (config, listen) = (self.config, self.listen);
        runtime::block_on(async {
            let discovery = self.registry.as_ref().map(discovery).transpose()?;
            let gateway = Gateway::new(table, discovery, access_log);
            // It ends with the process, and a gateway that nobody can ask still serves.
            let asked = self.control.map(|path| tokio::spawn(answer_questions(gateway.clone(), path)));
            let end = serve(gateway, &config, listen).await;
            asked.iter().for_each(tokio::task::JoinHandle::abort);
            Ok::<_, Complaint>(end)
        })??
        .map_err(|error| Complaint::new(ExitCode::Failure, format!("the gateway cannot start: {error}")))??;
        Ok(ExitCode::Ok)
    }
}

/// Serves until it is told to stop, or its starter is gone.
async fn serve(gateway: Gateway, config: &Path, address: SocketAddr) -> std::io::Result<Result<(), Complaint>> {
    // The handlers come first: whoever sees it listen may signal it.
    let mut reload = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut retire = signal(SignalKind::user_defined1())?;
    let lifetime = LifetimeEnd::inherited()?;
    let listeners = match listeners(address)? {
        Ok(listeners) => listeners,
        Err(complaint) => return Ok(Err(complaint)),
    };
    let drain = Drain::new();
    let serving = Server::new(ServerConfig::default(), gateway.clone()).serve(listeners, drain.clone());
    tokio::pin!(serving);
    let orphaned = async {
        match &lifetime {
            Some(lifetime) => lifetime.ended().await,
            None => future::pending().await,
        }
    };
    tokio::pin!(orphaned);
    status::tell_ready();
    loop {
        tokio::select! {
            () = &mut serving => return Ok(Ok(())),
            // Nobody is left to wait for what is on its way.
            () = &mut orphaned => return Ok(Ok(())),
            _ = reload.recv() => match read(config) {
                Ok(table) => {
                    gateway.replace(table);
                    tracing::debug!("table read again");
                }
                Err(error) => tracing::warn!(error, "table refused, the old one stays"),
            },
            _ = terminate.recv() => drain.drain(Duration::ZERO, GRACE),
            _ = retire.recv() => drain.drain(LINGER, GRACE),
            _ = interrupt.recv() => drain.drain(Duration::ZERO, GRACE),
        }
    }
}

fn discovery(address: &RegistryAddress) -> Result<Discovery, Complaint> {
    let lookup = |name: &str| std::env::var(name).ok();
    let refused = |error: ConnectError| Complaint::new(ExitCode::Usage, error.to_string());
    let registry = connect(address, lookup).map_err(refused)?;
    let place = address.place(lookup).map_err(refused)?;
    let kind = address.to_string();
    let kind = kind.split("://").next().unwrap_or_default();
    Ok(Discovery { registry, address: format!("{kind}://{}", place.authority()) })
}

async fn answer_questions(gateway: Gateway, path: PathBuf) {
    if let Err(error) = control_task(gateway, &path).await {
        tracing::warn!(%error, "`pinnace ps --gateway` cannot be answered");
    }
}

fn listeners(address: SocketAddr) -> std::io::Result<Result<Vec<Listener>, Complaint>> {
    let mut sockets: Vec<_> =
        pinnace_os::inherited_listeners()?.into_iter().map(|inherited| inherited.socket).collect();
    if sockets.is_empty() {
        match pinnace_os::listen(address) {
            Ok(socket) => sockets.push(socket),
            Err(error) => {
                let code = match error.kind() {
                    std::io::ErrorKind::AddrInUse => ExitCode::AddressInUse,
                    _ => ExitCode::Failure,
                };
                return Ok(Err(Complaint::new(code, format!("cannot listen on {address}: {error}"))
                    .with_hint("choose another address with --listen")));
            }
        }
    }
    for socket in &sockets {
        let address = socket.local_addr()?;
        tracing::info!(%address, "listening");
    }
    sockets.into_iter().map(Listener::from_std).collect::<std::io::Result<_>>().map(Ok)
}

/// The table in a file, or a sentence with every cause.
fn read(file: &Path) -> Result<Table, String> {
    Table::read(file).map_err(|error| {
        let mut sentence = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            sentence = format!("{sentence}: {error}");
            cause = error.source();
        }
        sentence
    })
}
