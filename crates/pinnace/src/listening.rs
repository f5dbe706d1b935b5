//! Where a service listens: on what it is given, on what it inherits, on `PORT`, or on its own address, in that order.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};

use pinnace_os::{INSTANCE_SOCKET, InheritedListener, LifetimeEnd, inherited_listeners, listen};
use pinnace_types::environment;

use crate::ServiceError;

/// Where a service listens if nobody says otherwise.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) given: Option<TcpListener>,
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) listener: TcpListener,
    /// Whether no other process accepts on it.
    pub(crate) is_own: bool,
}

/// What a process inherits, once: a second service in the same process has nothing of it.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) sockets: Vec<Socket>,
    /// Tells when the process that started this one is gone.
    pub(crate) starter: Option<LifetimeEnd>,
}

impl Inherited {
    pub(crate) fn take() -> Result<Self, ServiceError> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Ok(Self::default());
        }
        let starter = LifetimeEnd::inherited().map_err(ServiceError::System)?;
        let sockets = inherited_listeners().map_err(ServiceError::System)?;
        let socket = |inherited: InheritedListener| Socket {
            is_own: inherited.name == INSTANCE_SOCKET,
            listener: inherited.socket,
        };
        Ok(Self { sockets: sockets.into_iter().map(socket).collect(), starter })
    }
}

impl Listening {
    /// The sockets, ready to accept.
    pub(crate) fn sockets(self, inherited: &mut Inherited) -> Result<Vec<Socket>, ServiceError> {
        if let Some(given) = self.given {
            given.set_nonblocking(true).map_err(ServiceError::System)?;
            return Ok(vec![Socket { listener: given, is_own: false }]);
        }
        if !inherited.sockets.is_empty() {
            return Ok(std::mem::take(&mut inherited.sockets));
        }
        let port = match std::env::var(environment::PORT) {
            Ok(text) => text.trim().parse().map_err(|_| ServiceError::Port { text })?,
            Err(_) => self.port,
        };
        let address = SocketAddr::new(self.host, port);
        let listener = listen(address).map_err(|source| ServiceError::Listen { address, source })?;
        Ok(vec![Socket { listener, is_own: false }])
    }
}
