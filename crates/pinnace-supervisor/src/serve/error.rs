//! Why a service could not be served.

use std::io;

use pinnace_discovery::ConnectError;
use pinnace_os::{PortOwner, port_owners};
use pinnace_telemetry::MetricsError;
use pinnace_types::worker::{Failure, FailureKind};
use pinnace_types::{ExitCode, InvalidName};

use super::Bind;
use super::interpreter::InterpreterError;

/// Processes that are named as the owners of a port.
const MOST_OWNERS: usize = 4;

/// The end of `pinnace serve` that is none of the user's will.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {bind}: {source}")]
    Listen {
        /// The address, the file or the descriptor.
        bind: Bind,
        /// What the operating system said.
        source: io::Error,
    },
    /// No interpreter that can host.
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    /// The application cannot be started.
    #[error("{}", .0.message)]
    Application(Box<Failure>),
    /// The application's files cannot be followed.
    #[error("files cannot be watched")]
    Watch {
        /// The way out.
        hint: String,
    },
    /// What should not be followed cannot be read.
    #[error("`--reload-exclude`: {text}")]
    Pattern {
        /// What is wrong with it.
        text: String,
    },
    /// An instance that is to be registered listens on no address.
    #[error("the service cannot be registered: it listens on Unix sockets alone, and a registry names addresses")]
    NoAddress,
    /// The shared metrics could not be made.
    #[error("cannot make the shared metrics: {0}")]
    Metrics(MetricsError),
    /// The service's name cannot stand in a registry.
    #[error("the service cannot be registered under its name: {0}")]
    Name(InvalidName),
    /// The address of the registry leads nowhere.
    #[error(transparent)]
    Registry(ConnectError),
    /// The operating system refused something that it should not.
    #[error("the operating system refused: {0}")]
    System(io::Error),
}

impl ServeError {
    /// How the command ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => ExitCode::AddressInUse,
            Self::Interpreter(_) => ExitCode::Interpreter,
            Self::Application(failure) => match failure.kind {
                FailureKind::NotFound | FailureKind::Import => ExitCode::Application,
                FailureKind::Interpreter => ExitCode::Interpreter,
                FailureKind::Lifespan | FailureKind::Died => ExitCode::NotReady,
            },
            Self::Name(_) | Self::Registry(_) | Self::Pattern { .. } | Self::NoAddress => ExitCode::Usage,
            Self::Listen { .. } | Self::Watch { .. } | Self::Metrics(_) | Self::System(_) => ExitCode::Failure,
        }
    }

    /// More lines: a traceback, or what was tried.
    pub fn detail(&self) -> Vec<String> {
        match self {
            Self::Application(failure) => failure.detail.clone(),
            Self::Listen { bind: Bind::Tcp(address), source } if source.kind() == io::ErrorKind::AddrInUse => {
                let owners = port_owners(address.port());
                let owner = |owner: &PortOwner| format!("process {} has it ({})", owner.pid, owner.name);
                owners.iter().take(MOST_OWNERS).map(owner).collect()
            }
            Self::Interpreter(error) => error.detail(),
            Self::Listen { .. }
            | Self::Watch { .. }
            | Self::Pattern { .. }
            | Self::NoAddress
            | Self::Metrics(_)
            | Self::Name(_)
            | Self::Registry(_)
            | Self::System(_) => Vec::new(),
        }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { bind, source } => hint_for(bind, source.kind()),
            Self::Application(failure) => failure.hint.clone(),
            Self::Interpreter(error) => Some(error.hint()),
            Self::Watch { hint } => Some(hint.clone()),
            Self::Name(_) => Some("name the service with --name".to_owned()),
            Self::NoAddress => Some("add `--bind HOST:PORT`".to_owned()),
            Self::Pattern { .. } => {
                Some("patterns are written as in .gitignore, such as `*.tmp` or `data/`".to_owned())
            }
            Self::Metrics(_) | Self::Registry(_) | Self::System(_) => None,
        }
    }
}

/// The way out where a place cannot be listened on.
fn hint_for(bind: &Bind, kind: io::ErrorKind) -> Option<String> {
    let hint = match (bind, kind) {
        (Bind::Tcp(address), io::ErrorKind::AddrInUse) if port_owners(address.port()).is_empty() => format!(
            "another user's process has it, which `sudo ss -ltnp 'sport = :{}'` names; or choose another with --port",
            address.port()
        ),
        (Bind::Tcp(_), io::ErrorKind::AddrInUse) => {
            "end that process, or choose another port with --port; 0 takes a free one".to_owned()
        }
        (Bind::Tcp(address), io::ErrorKind::PermissionDenied) => format!(
            "ports below 1024 need rights: choose another with --port, take the socket from systemd, or \
             `sudo sysctl net.ipv4.ip_unprivileged_port_start={}`",
            address.port()
        ),
        (Bind::Tcp(_), io::ErrorKind::AddrNotAvailable) => {
            "this machine has no such address: `ip address` lists those that it has; 0.0.0.0 is all of them".to_owned()
        }
        (Bind::File(_), io::ErrorKind::AddrInUse) => {
            "end who listens there, take the file away, or choose another path".to_owned()
        }
        (Bind::File(path), io::ErrorKind::NotFound) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            format!(
                "make its folder: `mkdir -p {}`",
                folder.map_or_else(|| ".".into(), |folder| folder.display().to_string())
            )
        }
        (Bind::File(_), io::ErrorKind::PermissionDenied) => {
            "the user who starts this needs to write in that folder".to_owned()
        }
        (Bind::File(_), io::ErrorKind::InvalidInput) => {
            "the path of a Unix socket has at most 107 bytes: choose a shorter one".to_owned()
        }
        (Bind::Descriptor(_), _) => {
            "whoever starts this hands on a socket under that number, such as systemd or a shell; others use --port"
                .to_owned()
        }
        (Bind::Tcp(_) | Bind::File(_), _) => return None,
    };
    Some(hint)
}
