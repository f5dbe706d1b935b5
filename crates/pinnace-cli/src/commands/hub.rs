//! `pinnace hub`: run the hub (started by `up`).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use pinnace_http::{Drain, Listener};
use pinnace_hub::{Hub, HubConfig, HubError, Names, RegistryConfig};
use pinnace_os::{
    FolderLock, InheritedListener, LifetimeEnd, LockError, NAMES_SOCKET, NameSockets, inherited_sockets, listen,
    listen_for_names,
};
use pinnace_telemetry::logging;
use pinnace_types::{ExitCode, Secret};
use tokio::net;
use tokio::signal::unix::{SignalKind, signal};

use super::serve::LogFormatArg;
use super::{runtime, status};
use crate::Complaint;

/// How long a predecessor may take to let go of the folder: it may be draining.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long requests may take to finish after a stop.
const GRACE: Duration = Duration::from_secs(5);

/// The arguments of `pinnace hub`.
#[derive(Args, Debug)]
pub(crate) struct HubArgs {
    /// The folder that the hub owns
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// The supervisor's socket
    #[arg(long, value_name = "SOCKET")]
    control: PathBuf,
    /// The file with the token that callers have to show
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// The address to listen on, where no socket is inherited
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// The port, where no socket is inherited; 0 takes a free one
    #[arg(long, default_value_t = 7070)]
    port: u16,
    /// Answer resolvers here, over UDP and TCP, where no sockets are inherited: NAME.service.consul; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    dns: Option<SocketAddr>,
    /// Forget at most 15 % of Eureka's leases within a minute
    #[arg(long)]
    self_preservation: bool,
    /// How log lines look [default: text on a terminal, else json]
    #[arg(long, value_enum)]
    log_format: Option<LogFormatArg>,
}

impl HubArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        let format = self.log_format.map_or_else(logging::default_format, LogFormatArg::format);
        logging::init(format, "hub", logging::level_from_environment());
        runtime::block_on(self.serve())?
    }

    async fn serve(self) -> Result<ExitCode, Complaint> {
        let failed = |error: std::io::Error| Complaint::new(ExitCode::Failure, error.to_string());
        let lifetime = LifetimeEnd::inherited().map_err(failed)?;
        let (listeners, names) = self.sockets()?;
        let token = self.token()?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let _lock = self.lock().await?;
        let registry = RegistryConfig { self_preservation: self.self_preservation };
        let config = HubConfig { data: self.data, control: self.control, token, registry };
        let hub = Hub::open(config).map_err(|error| complaint(&error))?;
        let drain = hub.drain();
        let supervisor_gone = async {
            match &lifetime {
                Some(lifetime) => lifetime.ended().await,
                None => std::future::pending().await,
            }
        };
        status::tell_ready();
        tracing::info!(version = pinnace_types::VERSION, "the hub answers");
        tokio::select! {
            () = hub.serve(listeners, names) => {}
            () = supervisor_gone => {}
            () = stop(&mut terminate, &mut interrupt, &drain) => {}
        }
        Ok(ExitCode::Ok)
    }

    /// Where requests and questions come in: on the sockets that were inherited, else on new ones.
    fn sockets(&self) -> Result<(Vec<Listener>, Option<Names>), Complaint> {
        let (inherited, mut datagrams) = inherited_sockets().map_err(unheard)?;
        let is_for_names = |one: &InheritedListener| one.name == NAMES_SOCKET;
        let (mut for_names, for_requests): (Vec<_>, Vec<_>) = inherited.into_iter().partition(is_for_names);
        let listeners = self.listeners(for_requests)?;
        let names = match (for_names.pop(), datagrams.pop()) {
            (Some(connections), Some(datagrams)) => {
                Some(NameSockets { connections: connections.socket, datagrams: datagrams.socket })
            }
            _ => self.dns.map(names_at).transpose()?,
        };
        Ok((listeners, names.map(told_names).transpose()?))
    }

    fn listeners(&self, inherited: Vec<InheritedListener>) -> Result<Vec<Listener>, Complaint> {
        let mut sockets: Vec<_> = inherited.into_iter().map(|one| one.socket).collect();
        if sockets.is_empty() {
            let address = SocketAddr::new(self.host, self.port);
            sockets.push(listen(address).map_err(|error| {
                match error.kind() {
                    std::io::ErrorKind::AddrInUse => {
                        Complaint::new(ExitCode::AddressInUse, format!("{address} is in use by another process"))
                            .with_hint("choose another port with --port")
                    }
                    _ => unheard(error),
                }
            })?);
        }
        for socket in &sockets {
            if let Ok(address) = socket.local_addr() {
                tracing::info!(%address, "listening");
            }
        }
        sockets.into_iter().map(|socket| Listener::from_std(socket).map_err(unheard)).collect()
    }

    fn token(&self) -> Result<Secret<String>, Complaint> {
        let text = fs_err::read_to_string(&self.token_file)
            .map_err(|error| Complaint::new(ExitCode::Storage, format!("cannot read the token: {error}")))?;
        let token = text.trim();
        if token.len() < 16 {
            let message = format!("the token in `{}` has fewer than 16 characters", self.token_file.display());
            return Err(
                Complaint::new(ExitCode::Storage, message).with_hint("remove the file; `pinnace up` makes a new one")
            );
        }
        Ok(Secret::new(token.to_owned()))
    }

    /// Two hubs on one folder would contradict each other.
    async fn lock(&self) -> Result<FolderLock, Complaint> {
        let storage = |message: String| {
            Complaint::new(ExitCode::Storage, message).with_hint("free space on the disk, or mend the folder's rights")
        };
        fs_err::create_dir_all(&self.data).map_err(|error| storage(error.to_string()))?;
        let path = self.data.join("lock");
        let give_up = tokio::time::Instant::now() + LOCK_PATIENCE;
        loop {
            match FolderLock::acquire(&path) {
                Ok(lock) => return Ok(lock),
                Err(LockError::Held { .. }) if tokio::time::Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(held @ LockError::Held { .. }) => {
                    return Err(Complaint::new(ExitCode::AlreadyRunning, held.to_string()));
                }
                Err(error) => return Err(storage(error.to_string())),
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn unheard(error: std::io::Error) -> Complaint {
    Complaint::new(ExitCode::Failure, format!("cannot listen: {error}"))
}

/// New sockets for resolvers.
fn names_at(address: SocketAddr) -> Result<NameSockets, Complaint> {
    listen_for_names(address).map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::AddrInUse => ExitCode::AddressInUse,
            _ => ExitCode::Failure,
        };
        Complaint::new(code, format!("cannot answer resolvers on {address}: {error}"))
            .with_hint("choose another address with --dns")
    })
}

/// Says where resolvers are answered, and has the runtime look after the sockets.
fn told_names(sockets: NameSockets) -> Result<Names, Complaint> {
    if let Ok(address) = sockets.connections.local_addr() {
        tracing::info!(%address, "resolvers are answered");
    }
    Ok(Names {
        datagrams: net::UdpSocket::from_std(sockets.datagrams).map_err(unheard)?,
        connections: net::TcpListener::from_std(sockets.connections).map_err(unheard)?,
    })
}

/// The first signal drains and lets `serve` end; the second ends at once.
async fn stop(terminate: &mut tokio::signal::unix::Signal, interrupt: &mut tokio::signal::unix::Signal, drain: &Drain) {
    for attempt in 0..2 {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if attempt == 0 {
            drain.drain(Duration::ZERO, GRACE);
        }
    }
}

fn complaint(error: &HubError) -> Complaint {
    let chain = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let detail: Vec<_> = chain.map(ToString::to_string).collect();
    Complaint::new(ExitCode::Storage, error.to_string())
        .with_detail(detail)
        .with_hint("free space on the disk, mend the folder's rights, or use the version of pinnace that wrote it")
}
