//! What both suites need.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// An address where nobody listens, and nobody else can while the socket lives.
pub(crate) fn bound() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}
