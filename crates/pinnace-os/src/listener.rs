//! Listening sockets: opened once by whoever keeps them, handed on by systemd's protocol.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use pinnace_types::environment;
use socket2::{Domain, Protocol, Socket, Type};

use crate::lifetime::own_inherited;

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// The name of a socket that all instances of a service accept on.
pub const SERVICE_SOCKET: &str = "service";
/// The name of a socket that belongs to one instance alone.
pub const INSTANCE_SOCKET: &str = "instance";
/// The name of the sockets on which resolvers are answered.
pub const NAMES_SOCKET: &str = "dns";

/// A listening socket that this process was started with.
#[derive(Debug)]
pub struct InheritedListener {
    /// Its name in `LISTEN_FDNAMES`, or nothing.
    pub name: String,
    /// The socket, non-blocking and closed to children.
    pub socket: TcpListener,
}

/// A socket for datagrams that this process was started with.
#[derive(Debug)]
pub struct InheritedDatagrams {
    /// Its name in `LISTEN_FDNAMES`, or nothing.
    pub name: String,
    /// The socket, non-blocking and closed to children.
    pub socket: UdpSocket,
}

/// The sockets for resolvers, both at one address: they ask over UDP, and over TCP what was too long for it (RFC 7766).
#[derive(Debug)]
pub struct NameSockets {
    /// Where questions come in datagrams.
    pub datagrams: UdpSocket,
    /// Where they come over connections.
    pub connections: TcpListener,
}

/// Opens a listening socket: non-blocking, `SO_REUSEADDR`, closed to children, with a backlog of 4096.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    listen_with(address, BACKLOG)
}

pub(crate) fn listen_with(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without it an address is refused for a minute after connections to it were open. It shares nothing on Linux.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Opens the sockets for resolvers, non-blocking; port 0 takes one that is free for both.
pub fn listen_for_names(address: SocketAddr) -> io::Result<NameSockets> {
    // A port that is free for one of the two may be taken for the other.
    let mut tries = if address.port() == 0 { 16 } else { 1 };
    loop {
        let connections = listen(address)?;
        match UdpSocket::bind(connections.local_addr()?) {
            Ok(datagrams) => {
                datagrams.set_nonblocking(true)?;
                return Ok(NameSockets { datagrams, connections });
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 1 => tries -= 1,
            Err(error) => return Err(error),
        }
    }
}

/// A port that nobody uses at this moment, for a program that binds by itself.
pub fn free_port() -> io::Result<u16> {
    let probe = TcpListener::bind(("127.0.0.1", 0))?;
    Ok(probe.local_addr()?.port())
}

/// The listening sockets that this process inherited (`LISTEN_FDS`), if they are meant for it. To be asked once.
pub fn inherited_listeners() -> io::Result<Vec<InheritedListener>> {
    inherited_sockets().map(|(listeners, _)| listeners)
}

/// The same with the sockets for datagrams.
pub fn inherited_sockets() -> io::Result<(Vec<InheritedListener>, Vec<InheritedDatagrams>)> {
    let (mut listeners, mut datagrams) = (Vec::new(), Vec::new());
    for (name, socket) in inherited()? {
        if socket.r#type()? == Type::DGRAM {
            datagrams.push(InheritedDatagrams { name, socket: socket.into() });
        } else {
            listeners.push(InheritedListener { name, socket: socket.into() });
        }
    }
    Ok((listeners, datagrams))
}

/// Every socket that this process inherited, with its name.
pub(crate) fn inherited() -> io::Result<Vec<(String, Socket)>> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<i32>().ok());
    if number(environment::LISTEN_PID) != Some(std::process::id().cast_signed()) {
        return Ok(Vec::new());
    }
    let count = number(environment::LISTEN_FDS).unwrap_or(0).clamp(0, 1024);
    let names = std::env::var(environment::LISTEN_FDNAMES).unwrap_or_default();
    let mut names = names.split(':');
    let mut sockets = Vec::new();
    for descriptor in 3..3 + count {
        let name = names.next().unwrap_or_default().to_owned();
        let Some(owned) = own_inherited(descriptor) else { continue };
        let socket = Socket::from(owned);
        socket.local_addr()?;
        socket.set_nonblocking(true)?;
        sockets.push((name, socket));
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::listen_for_names;

    #[test]
    fn resolvers_find_both_sockets_at_one_address() {
        let first = listen_for_names(([127, 0, 0, 1], 0).into()).unwrap();
        let address = first.connections.local_addr().unwrap();
        assert_eq!(first.datagrams.local_addr().unwrap(), address);
        drop(first.connections);
        let taken = listen_for_names(address).unwrap_err();
        assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse, "the other half of it is taken");
    }
}
