//! One place where a service answers.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Host and port of an instance that speaks plain HTTP.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is no `http://HOST:PORT`")]
pub struct InvalidEndpoint {
    /// What was given.
    pub text: String,
}

impl Endpoint {
    /// From a host (a name or an address, an IPv6 one with or without brackets) and a port above 0.
    pub fn try_new(host: &str, port: u16) -> Result<Self, InvalidEndpoint> {
        let bracketed = host.contains(':') && !host.starts_with('[');
        let text = if bracketed { format!("http://[{host}]:{port}") } else { format!("http://{host}:{port}") };
        text.parse()
    }

    /// The host: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, as it stands in a `Host` header.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn parse(text: &str) -> Option<Self> {
        let authority = text.strip_prefix("http://")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, 80),
        };
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let valid = match inner {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
            }
        };
        (valid && port != 0).then(|| Self { host: host.to_owned(), port })
    }
}

impl TryFrom<SocketAddr> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(address: SocketAddr) -> Result<Self, InvalidEndpoint> {
        Self::try_new(&address.ip().to_string(), address.port())
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        Self::parse(text).ok_or_else(|| InvalidEndpoint { text: text.to_owned() })
    }
}

impl TryFrom<String> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(text: String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn what_is_printed_is_read_back() {
        for text in ["http://127.0.0.1:41231", "http://catalog:80", "http://[::1]:9"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("http://catalog/".parse::<Endpoint>().unwrap().port(), 80);
        assert_eq!("http://[::1]:9".parse::<Endpoint>().unwrap().host(), "::1");
        for host in ["::1", "[::1]"] {
            assert_eq!(Endpoint::try_new(host, 9).unwrap().authority(), "[::1]:9");
        }
        let address: std::net::SocketAddr = "127.0.0.1:5".parse().unwrap();
        assert_eq!(Endpoint::try_from(address).unwrap().to_string(), "http://127.0.0.1:5");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "catalog:80",
            "https://a:1",
            "http://",
            "http://:80",
            "http://a:0",
            "http://a:b",
            "http://a/b",
            "http://u@a:1",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text} was accepted");
        }
        for host in ["", "a b", "a:b", "u@a", "[::1", "a/b"] {
            assert!(Endpoint::try_new(host, 1).is_err(), "{host} was accepted");
        }
    }
}
