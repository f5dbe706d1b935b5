//! Whose word about a client is taken: the proxies before a server.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Addresses and networks, joined by commas; `*` is everybody, an empty text nobody.
///
/// ```
/// use pinnace_types::TrustedProxies;
///
/// let trusted: TrustedProxies = "127.0.0.1, 10.0.0.0/8".parse()?;
/// assert!(trusted.trusts("10.1.2.3".parse().unwrap()));
/// assert!(!trusted.trusts("11.1.2.3".parse().unwrap()));
/// # Ok::<(), pinnace_types::InvalidTrustedProxies>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustedProxies(Trusted);

/// Why a text is no list of proxies.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{part}` is no address and no network: write `127.0.0.1`, `10.0.0.0/8`, `fd00::/8`, or `*` for everybody")]
pub struct InvalidTrustedProxies {
    part: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Trusted {
    Everybody,
    Networks(Vec<Network>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

impl TrustedProxies {
    /// Nobody's word is taken.
    pub const fn nobody() -> Self {
        Self(Trusted::Networks(Vec::new()))
    }

    /// Whether what this peer says about its client is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        match &self.0 {
            Trusted::Everybody => true,
            Trusted::Networks(networks) => networks.iter().any(|network| network.contains(peer.to_canonical())),
        }
    }

    /// Whether nobody is trusted.
    pub fn is_nobody(&self) -> bool {
        matches!(&self.0, Trusted::Networks(networks) if networks.is_empty())
    }
}

impl Default for TrustedProxies {
    /// This machine.
    fn default() -> Self {
        let loopback = |address| Network { address, prefix: Network::longest(address) };
        Self(Trusted::Networks(vec![loopback(Ipv4Addr::LOCALHOST.into()), loopback(Ipv6Addr::LOCALHOST.into())]))
    }
}

impl FromStr for TrustedProxies {
    type Err = InvalidTrustedProxies;

    fn from_str(text: &str) -> Result<Self, InvalidTrustedProxies> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let mut networks = Vec::new();
        for part in parts {
            if part == "*" {
                return Ok(Self(Trusted::Everybody));
            }
            networks.push(part.parse().map_err(|()| InvalidTrustedProxies { part: part.to_owned() })?);
        }
        Ok(Self(Trusted::Networks(networks)))
    }
}

impl TryFrom<String> for TrustedProxies {
    type Error = InvalidTrustedProxies;

    fn try_from(text: String) -> Result<Self, InvalidTrustedProxies> {
        text.parse()
    }
}

impl From<TrustedProxies> for String {
    fn from(proxies: TrustedProxies) -> Self {
        proxies.to_string()
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Trusted::Everybody => formatter.write_str("*"),
            Trusted::Networks(networks) => {
                for (index, network) in networks.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(formatter, "{comma}{network}")?;
                }
                Ok(())
            }
        }
    }
}

impl Network {
    const fn longest(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }

    fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.prefix);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.prefix);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let longest = Self::longest(address);
        let prefix = prefix.map_or(Ok(longest), |prefix| prefix.parse::<u8>().map_err(|_| ()))?;
        if prefix > longest { Err(()) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == Self::longest(self.address) {
            write!(formatter, "{}", self.address)
        } else {
            write!(formatter, "{}/{}", self.address, self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_compared_by_their_prefix() {
        let trusted: TrustedProxies = "10.0.0.0/8,192.168.1.1,fd00::/8,0.0.0.0/32".parse().unwrap();
        for (address, believed) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.168.1.1", true),
            ("192.168.1.2", false),
            ("::ffff:10.0.0.1", true),
            ("fd12::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(trusted.trusts(address.parse().unwrap()), believed, "{address}");
        }
        assert!("0.0.0.0/0".parse::<TrustedProxies>().unwrap().trusts("8.8.8.8".parse().unwrap()));
    }

    #[test]
    fn a_list_is_written_as_it_is_read() {
        for text in ["*", "", "127.0.0.1,::1", "10.0.0.0/8,fd00::/8"] {
            assert_eq!(text.parse::<TrustedProxies>().unwrap().to_string(), text);
        }
        assert_eq!(TrustedProxies::default().to_string(), "127.0.0.1,::1");
        assert!("10.0.0.0/33".parse::<TrustedProxies>().is_err());
        assert!("example.org".parse::<TrustedProxies>().is_err());
    }
}
