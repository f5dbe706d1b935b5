//! Why a service cannot be served, how its process ends then, and the way out.

use std::io;
use std::net::SocketAddr;

use pinnace_discovery::{ConnectError, InvalidAdvertise, InvalidRegistryAddress};
use pinnace_telemetry::MetricsError;
use pinnace_types::{ExitCode, InvalidName};

/// The end of a service that nobody has asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The service's name cannot be a host name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// `PORT` holds no port.
    #[error("`{text}` in PORT is no port")]
    Port {
        /// What it holds.
        text: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The address of the registry is none. It is not repeated: there may be a password in it.
    #[error("{origin}: {source}")]
    RegistryAddress {
        /// The variable or the setting that holds it.
        origin: &'static str,
        /// What is wrong with it.
        source: InvalidRegistryAddress,
    },
    /// What the address of the registry refers to leads nowhere.
    #[error(transparent)]
    Registry(ConnectError),
    /// The address that others are to reach the service at is none.
    #[error(transparent)]
    Advertise(InvalidAdvertise),
    /// The metrics could not be made.
    #[error("cannot make the metrics: {0}")]
    Metrics(MetricsError),
    /// The operating system refused something that it should not.
    #[error("the operating system refused: {0}")]
    System(io::Error),
}

impl ServiceError {
    /// The number that the process ends with, the same as that of a `pinnace` command which fails for this reason.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let error = pinnace::Service::new("no host name").serve().await.unwrap_err();
    /// assert_eq!(error.exit_number(), 2);
    /// # }
    /// ```
    pub fn exit_number(&self) -> u8 {
        self.exit_code().number()
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => Some(taken(*address)),
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("ports below 1024 need rights; choose another with PORT".to_owned())
            }
            Self::Port { .. } => Some("write a number from 0 to 65535; 0 takes a free port".to_owned()),
            Self::Advertise(_)
            | Self::Listen { .. }
            | Self::Metrics(_)
            | Self::Name(_)
            | Self::Registry(_)
            | Self::RegistryAddress { .. }
            | Self::System(_) => None,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => ExitCode::AddressInUse,
            Self::Advertise(_)
            | Self::Name(_)
            | Self::Port { .. }
            | Self::Registry(_)
            | Self::RegistryAddress { .. } => ExitCode::Usage,
            Self::Listen { .. } | Self::Metrics(_) | Self::System(_) => ExitCode::Failure,
        }
    }

    /// As it is shown where it ends a process.
    pub(crate) fn render(&self) -> String {
        let hint = self.hint().map_or_else(String::new, |hint| format!("hint: {hint}\n"));
        format!("error: {self}\n{hint}")
    }
}

/// Who has the address, where that can be seen, and what to do.
fn taken(address: SocketAddr) -> String {
    let owners = pinnace_os::port_owners(address.port());
    let named = |owner: &pinnace_os::PortOwner| format!("{} (process {})", owner.name, owner.pid);
    let holders: Vec<String> = owners.iter().map(named).collect();
    if holders.is_empty() {
        "end the process that listens there, or choose another port with PORT".to_owned()
    } else {
        format!("{} listens there; end it, or choose another port with PORT", holders.join(", "))
    }
}
