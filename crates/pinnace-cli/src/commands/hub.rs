//! `pinnace hub`: run the hub (started by `up`).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use pinnace_http::{Drain, Listener};
use pinnace_hub::{Hub, HubConfig, HubError, RegistryConfig};
use pinnace_os::{FolderLock, LifetimeEnd, LockError, inherited_listeners, listen};
use pinnace_telemetry::logging;
use pinnace_types::{ExitCode, Secret};
use tokio::net::UdpSocket;
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
    /// Answer resolvers here, over UDP: NAME.service.consul; port 0 takes a free one
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
        let listeners = self.listeners()?;
        let names = self.names().await?;
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

    fn listeners(&self) -> Result<Vec<Listener>, Complaint> {
        let failed = |error: std::io::Error| Complaint::new(ExitCode::Failure, format!("cannot listen: {error}"));
        let mut sockets: Vec<_> = inherited_listeners().map_err(failed)?.into_iter().map(|one| one.socket).collect();
        if sockets.is_empty() {
            let address = SocketAddr::new(self.host, self.port);
            sockets.push(listen(address).map_err(|error| {
                match error.kind() {
                    std::io::ErrorKind::AddrInUse => {
                        Complaint::new(ExitCode::AddressInUse, format!("{address} is in use by another process"))
                            .with_hint("choose another port with --port")
                    }
                    _ => failed(error),
                }
            })?);
        }
        for socket in &sockets {
            if let Ok(address) = socket.local_addr() {
                tracing::info!(%address, "listening");
            }
        }
        sockets.into_iter().map(|socket| Listener::from_std(socket).map_err(failed)).collect()
    }

    /// The socket for resolvers, where one is asked for.
    async fn names(&self) -> Result<Option<UdpSocket>, Complaint> {
        let Some(address) = self.dns else { return Ok(None) };
        let failed = |error: std::io::Error| {
            let code = match error.kind() {
                std::io::ErrorKind::AddrInUse => ExitCode::AddressInUse,
                _ => ExitCode::Failure,
            };
            Complaint::new(code, format!("cannot answer resolvers on {address}: {error}"))
                .with_hint("choose another address with --dns")
        };
        let socket = UdpSocket::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        tracing::info!(%address, "resolvers are answered");
        Ok(Some(socket))
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
