//! Why a service could not be served.

use std::io;
use std::net::SocketAddr;

use pinnace_discovery::ConnectError;
use pinnace_telemetry::MetricsError;
use pinnace_types::worker::{Failure, FailureKind};
use pinnace_types::{ExitCode, InvalidName};

use super::interpreter::InterpreterError;

/// The end of `pinnace serve` that is none of the user's will.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
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
            Self::Name(_) | Self::Registry(_) => ExitCode::Usage,
            Self::Listen { .. } | Self::Watch { .. } | Self::Metrics(_) | Self::System(_) => ExitCode::Failure,
        }
    }

    /// More lines: a traceback, or what was tried.
    pub fn detail(&self) -> Vec<String> {
        match self {
            Self::Application(failure) => failure.detail.clone(),
            Self::Interpreter(error) => error.detail(),
            Self::Listen { .. }
            | Self::Watch { .. }
            | Self::Metrics(_)
            | Self::Name(_)
            | Self::Registry(_)
            | Self::System(_) => Vec::new(),
        }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => Some(format!(
                "`ss -ltnp 'sport = :{}'` names the process that has it; or choose another with --port",
                address.port()
            )),
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("ports below 1024 need rights; choose another with --port".to_owned())
            }
            Self::Application(failure) => failure.hint.clone(),
            Self::Interpreter(error) => Some(error.hint()),
            Self::Watch { hint } => Some(hint.clone()),
            Self::Name(_) => Some("name the service with --name".to_owned()),
            Self::Listen { .. } | Self::Metrics(_) | Self::Registry(_) | Self::System(_) => None,
        }
    }
}
