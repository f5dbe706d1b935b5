//! Why a system could not be run, or did not run as it was asked.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use pinnace_manifest::Diagnostics;
use pinnace_os::port_owners;
use pinnace_types::{ExitCode, ServiceName};

use super::folder::FolderError;
use super::prepare::Unprepared;
use super::variables::MissingSecret;

/// The end of `pinnace up` that is none of the user's will.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpError {
    /// The manifest asks for what this version does not enforce.
    #[error("the manifest asks for what this version does not enforce")]
    NotEnforced(Diagnostics),
    /// The state folder cannot be used, or another `up` uses it.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file of the state folder cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A service asks for secrets that nobody gives.
    #[error("{} of `{}` not set: {}", if .0.names.len() == 1 { "a secret" } else { "secrets" }, .0.service, .0.names.join(", "))]
    MissingSecret(MissingSecret),
    /// What a service needs could not be made ready.
    #[error("{}", .0.message)]
    Unprepared(Box<Unprepared>),
    /// An address cannot be listened on.
    #[error("{who} cannot listen on {address}: {source}")]
    Listen {
        /// Whose it is.
        who: ServiceName,
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused something that it should not.
    #[error("the operating system refused: {0}")]
    System(#[from] io::Error),
    /// A service was not ready until the end.
    #[error("`{service}` was never ready: {reason}")]
    NeverReady {
        /// Its name.
        service: ServiceName,
        /// Why.
        reason: String,
        /// What it wrote last, where nobody has seen it yet.
        last_lines: Vec<String>,
        /// How the command ends.
        code: ExitCode,
    },
}

impl UpError {
    /// How the command ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::NotEnforced(_) => ExitCode::NotEnforced,
            Self::Folder(error) => error.exit_code(),
            Self::Storage { .. } => ExitCode::Storage,
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => ExitCode::AddressInUse,
            Self::NeverReady { code, .. } => *code,
            Self::Unprepared(unprepared) => unprepared.code,
            Self::MissingSecret(_) | Self::Listen { .. } | Self::System(_) => ExitCode::Failure,
        }
    }

    /// More lines: the places in the manifest, who has an address, what a service wrote last.
    pub fn detail(&self) -> Vec<String> {
        match self {
            Self::NotEnforced(found) => found.render().lines().map(str::to_owned).collect(),
            Self::NeverReady { last_lines, .. } => last_lines.clone(),
            Self::Unprepared(unprepared) => unprepared.detail.clone(),
            Self::Listen { address, source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                let owners = port_owners(address.port()).into_iter();
                owners.map(|owner| format!("process {} ({}) listens there", owner.pid, owner.name)).collect()
            }
            Self::Folder(_) | Self::Storage { .. } | Self::MissingSecret(_) | Self::Listen { .. } | Self::System(_) => {
                Vec::new()
            }
        }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Folder(error) => error.hint(),
            Self::Unprepared(unprepared) => unprepared.hint.clone(),
            Self::Storage { .. } => Some("free space on the disk, or mend the rights of the folder".to_owned()),
            Self::MissingSecret(_) => Some("export it, or write it to `.env` beside `pinnace.toml`".to_owned()),
            Self::Listen { who, address, source } if source.kind() == io::ErrorKind::AddrInUse => {
                Some(format!("end what listens there, or choose another with --{who} {}:PORT", address.ip()))
            }
            Self::NeverReady { service, .. } => Some(format!("`.pinnace/logs/{service}.log` has what it wrote")),
            Self::NotEnforced(_) | Self::Listen { .. } | Self::System(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::UpError;

    #[test]
    fn whoever_has_an_address_is_named() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = taken.local_addr().unwrap();
        let source = pinnace_os::listen(address).unwrap_err();
        let error = UpError::Listen { who: "gateway".parse().unwrap(), address, source };
        assert!(error.detail()[0].starts_with(&format!("process {} (", std::process::id())), "{:?}", error.detail());
        assert!(error.hint().unwrap().contains("--gateway 127.0.0.1:PORT"));
    }
}
