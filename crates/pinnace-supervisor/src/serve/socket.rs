//! Where a service listens: sockets that it inherits, or those that it was told to open.

use std::net::SocketAddr;

use pinnace_os::{INSTANCE_SOCKET, ListeningAt, SERVICE_SOCKET, SocketFile, StreamListener};

use super::{Bind, ServeConfig, ServeError};

/// A listening socket and where it is.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) name: String,
    pub(super) at: ListeningAt,
    pub(super) listener: StreamListener,
    /// Whether callers choose this instance by it: no other instance listens there, or a registry names it.
    pub(super) is_own: bool,
    /// Takes the socket's file away with the socket.
    _file: Option<SocketFile>,
}

impl Socket {
    /// Its address, where it has one.
    pub(super) const fn address(&self) -> Option<SocketAddr> {
        match self.at {
            ListeningAt::Address(address) => Some(address),
            ListeningAt::File(_) => None,
        }
    }
}

/// The sockets that this process inherited by systemd's protocol, else those that it was told to open.
pub(super) fn open_all(config: &ServeConfig) -> Result<Vec<Socket>, ServeError> {
    let inherited = StreamListener::inherited().map_err(ServeError::System)?;
    if inherited.is_empty() {
        let mut sockets = config.binds.iter().map(|bind| open(bind, config)).collect::<Result<Vec<_>, _>>()?;
        if config.registration.is_some()
            && let Some(named) = sockets.iter_mut().find(|socket| socket.address().is_some())
        {
            named.is_own = true;
        }
        return Ok(sockets);
    }
    // The one that is registered: it is named for that, or the first.
    let own = inherited.iter().position(|(name, _)| name == INSTANCE_SOCKET);
    let own = own.or_else(|| config.registration.is_some().then_some(0));
    let sockets = inherited.into_iter().enumerate();
    sockets
        .map(|(index, (name, listener))| {
            let at = listener.local().map_err(ServeError::System)?;
            Ok(Socket { name, at, listener, is_own: own == Some(index), _file: None })
        })
        .collect()
}

fn open(bind: &Bind, config: &ServeConfig) -> Result<Socket, ServeError> {
    let opened = match bind {
        Bind::Tcp(address) => StreamListener::bind(*address, config.backlog).map(|listener| (listener, None)),
        Bind::File(path) => StreamListener::bind_file(path, config.socket_mode, config.backlog)
            .map(|(listener, file)| (listener, Some(file))),
        Bind::Descriptor(number) => StreamListener::take(*number, config.backlog).map(|listener| (listener, None)),
    };
    let (listener, file) = opened.map_err(|source| ServeError::Listen { bind: bind.clone(), source })?;
    let at = listener.local().map_err(ServeError::System)?;
    Ok(Socket { name: SERVICE_SOCKET.to_owned(), at, listener, is_own: false, _file: file })
}
