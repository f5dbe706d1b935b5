//! Listening sockets: opened once by whoever keeps them, handed on by systemd's protocol.

use std::io;
use std::net::{SocketAddr, TcpListener};

use pinnace_types::environment;
use socket2::{Domain, Protocol, Socket, Type};

use crate::lifetime::own_inherited;

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The name of a socket that all instances of a service accept on.
pub const SERVICE_SOCKET: &str = "service";
/// The name of a socket that belongs to one instance alone.
pub const INSTANCE_SOCKET: &str = "instance";

/// A listening socket that this process was started with.
#[derive(Debug)]
pub struct InheritedListener {
    /// Its name in `LISTEN_FDNAMES`, or nothing.
    pub name: String,
    /// The socket, non-blocking and closed to children.
    pub socket: TcpListener,
}

/// Opens a listening socket: non-blocking, `SO_REUSEADDR`, closed to children, with a backlog of 4096.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without it an address is refused for a minute after connections to it were open. It shares nothing on Linux.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A port that nobody uses at this moment, for a program that binds by itself.
pub fn free_port() -> io::Result<u16> {
    let probe = TcpListener::bind(("127.0.0.1", 0))?;
    Ok(probe.local_addr()?.port())
}

/// The sockets that this process inherited (`LISTEN_FDS`), if they are meant for it. To be asked once.
pub fn inherited_listeners() -> io::Result<Vec<InheritedListener>> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<i32>().ok());
    if number(environment::LISTEN_PID) != Some(std::process::id().cast_signed()) {
        return Ok(Vec::new());
    }
    let count = number(environment::LISTEN_FDS).unwrap_or(0).clamp(0, 1024);
    let names = std::env::var(environment::LISTEN_FDNAMES).unwrap_or_default();
    let mut names = names.split(':');
    let mut listeners = Vec::new();
    for descriptor in 3..3 + count {
        let name = names.next().unwrap_or_default().to_owned();
        let Some(owned) = own_inherited(descriptor) else { continue };
        let socket = TcpListener::from(owned);
        socket.local_addr()?;
        socket.set_nonblocking(true)?;
        listeners.push(InheritedListener { name, socket });
    }
    Ok(listeners)
}
