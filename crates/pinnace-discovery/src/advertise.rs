//! Where others reach an instance, as its user says it or as it is found out.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::{UdpSocket, lookup_host};

use crate::Endpoint;

/// `HOST` or `HOST:PORT` that a registry is told; without a port, the one that is listened on.
///
/// ```
/// use pinnace_discovery::Advertise;
///
/// let given: Advertise = "orders.internal:80".parse()?;
/// assert_eq!(given.to_string(), "orders.internal:80");
/// assert_eq!("::1".parse::<Advertise>()?.to_string(), "[::1]");
/// assert!("http://orders".parse::<Advertise>().is_err());
/// # Ok::<(), pinnace_discovery::InvalidAdvertise>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advertise {
    host: String,
    port: Option<u16>,
}

/// Why a text is no place to advertise.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is no `HOST` or `HOST:PORT`")]
pub struct InvalidAdvertise {
    text: String,
}

impl Advertise {
    /// Where others reach what listens on this port.
    pub fn endpoint(&self, port: u16) -> Option<Endpoint> {
        Endpoint::try_new(&self.host, self.port.unwrap_or(port)).ok()
    }
}

impl FromStr for Advertise {
    type Err = InvalidAdvertise;

    fn from_str(text: &str) -> Result<Self, InvalidAdvertise> {
        let refused = || InvalidAdvertise { text: text.to_owned() };
        let (host, port) = match text.rsplit_once(':') {
            _ if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().map_err(|_| refused())?)),
            _ => (text, None),
        };
        let endpoint = Endpoint::try_new(host, port.unwrap_or(80)).map_err(|_| refused())?;
        if endpoint.host().parse().is_ok_and(|address: IpAddr| address.is_unspecified()) {
            return Err(refused());
        }
        Ok(Self { host: endpoint.host().to_owned(), port })
    }
}

impl std::fmt::Display for Advertise {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let brackets = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(formatter, "{}{}{}", brackets.0, self.host, brackets.1)?;
        self.port.map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

/// The address by which others reach a socket: its own, or where it listens on all, that from which this machine would
/// speak to the registry.
pub(crate) async fn own_address(listening: SocketAddr, registry: &Endpoint) -> io::Result<IpAddr> {
    if !listening.ip().is_unspecified() {
        return Ok(listening.ip());
    }
    let mut addresses = lookup_host((registry.host(), registry.port())).await?;
    let peer = addresses.next().ok_or_else(|| io::Error::other("its name has no address"))?;
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connecting a datagram socket sends nothing; it only chooses the route.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(peer).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::{Advertise, own_address};

    #[test]
    fn a_port_that_is_not_given_is_the_one_listened_on() {
        for (text, expected) in [
            ("orders", "orders:8000"),
            ("10.0.0.7:80", "10.0.0.7:80"),
            ("::1", "[::1]:8000"),
            ("[::1]", "[::1]:8000"),
            ("[::1]:80", "[::1]:80"),
        ] {
            let given: Advertise = text.parse().unwrap();
            assert_eq!(given.endpoint(8000).unwrap().authority(), expected);
        }
        for text in ["", ":80", "a:b", "a:0", "a:70000", "http://a", "a/b", "a b", "u@a", "0.0.0.0", "[::]:80"] {
            assert!(text.parse::<Advertise>().is_err(), "{text} was accepted");
        }
    }

    #[tokio::test]
    async fn one_that_listens_everywhere_is_reached_by_the_address_of_its_route_to_the_registry() {
        let registry = "http://127.0.0.1:8500".parse().unwrap();
        for (listening, expected) in
            [("0.0.0.0:80", "127.0.0.1"), ("[::]:80", "127.0.0.1"), ("127.0.0.9:80", "127.0.0.9")]
        {
            let found = own_address(listening.parse().unwrap(), &registry).await.unwrap();
            assert_eq!(found.to_string(), expected, "{listening}");
        }
    }
}
