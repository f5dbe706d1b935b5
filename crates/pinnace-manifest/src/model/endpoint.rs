//! The address of something outside: `scheme://[user:password@]host[:port][/…]`.
//!
//! It may carry a password, so that `Debug` and `Display` leave the user part out; the full text is asked for by name.

use std::fmt;
use std::str::FromStr;

/// An address with a scheme and a host.
#[derive(Clone, Eq, PartialEq)]
pub struct Endpoint {
    text: Box<str>,
    scheme_end: usize,
    authority_end: usize,
}

/// Why a text is no address; the text itself may hold a secret and is not repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// No `scheme://`.
    #[error("an address starts with a scheme and `://`")]
    NoScheme,
    /// Nothing between `://` and the path.
    #[error("there is no host after `://`")]
    NoHost,
    /// The port is none.
    #[error("the port is no number from 1 to 65535")]
    Port,
    /// A blank or a control character.
    #[error("an address has no blanks and no control characters in it")]
    Character,
}

impl Endpoint {
    /// The whole address, with the password that may be in it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What stands before `://`.
    pub fn scheme(&self) -> &str {
        &self.text[..self.scheme_end]
    }

    /// `host:port`, or a list of them, as written; without user and password.
    pub fn authority(&self) -> &str {
        let authority = &self.text[self.scheme_end + 3..self.authority_end];
        authority.rfind('@').map_or(authority, |at| &authority[at + 1..])
    }

    /// The address up to the host and port; what identifies the server and hides the password.
    fn public(&self) -> (&str, &str, &str) {
        let rest = &self.text[self.authority_end..];
        (self.scheme(), self.authority(), rest.split(['?', '#']).next().unwrap_or_default())
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(InvalidEndpoint::Character);
        }
        let scheme_end = text.find("://").ok_or(InvalidEndpoint::NoScheme)?;
        let scheme = &text[..scheme_end];
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.chars().all(letters) {
            return Err(InvalidEndpoint::NoScheme);
        }
        let start = scheme_end + 3;
        let authority_end = text[start..].find(['/', '?', '#']).map_or(text.len(), |length| start + length);
        let endpoint = Self { text: text.into(), scheme_end, authority_end };
        for address in endpoint.authority().split(',') {
            check_address(address)?;
        }
        Ok(endpoint)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, authority, path) = self.public();
        write!(formatter, "{scheme}://{authority}{path}")
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Endpoint({self})")
    }
}

fn check_address(address: &str) -> Result<(), InvalidEndpoint> {
    // An IPv6 address stands in brackets and has colons of its own.
    let after_host = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some(("", _)) => return Err(InvalidEndpoint::NoHost),
        Some((_, after)) => after,
        None => address.find(':').map_or("", |colon| &address[colon..]),
    };
    if address.is_empty() || address.starts_with(':') {
        return Err(InvalidEndpoint::NoHost);
    }
    match after_host.strip_prefix(':') {
        Some(port) if port.parse::<u16>().is_ok_and(|port| port != 0) => Ok(()),
        None if after_host.is_empty() => Ok(()),
        _ => Err(InvalidEndpoint::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, InvalidEndpoint};

    #[test]
    fn a_password_is_not_shown() {
        let endpoint: Endpoint = "amqp://shop:hunter2@broker:5672/vhost?key=hunter2".parse().unwrap();
        assert_eq!(endpoint.to_string(), "amqp://broker:5672/vhost");
        assert_eq!(format!("{endpoint:?}"), "Endpoint(amqp://broker:5672/vhost)");
        assert_eq!(endpoint.expose(), "amqp://shop:hunter2@broker:5672/vhost?key=hunter2");
    }

    #[test]
    fn its_parts_are_found() {
        let endpoint: Endpoint = "kafka://a:9092,b:9092".parse().unwrap();
        assert_eq!((endpoint.scheme(), endpoint.authority()), ("kafka", "a:9092,b:9092"));
        let endpoint: Endpoint = "http://[::1]:80/x".parse().unwrap();
        assert_eq!(endpoint.authority(), "[::1]:80");
    }

    #[test]
    fn what_reaches_nothing_is_refused() {
        let cases = [
            ("broker:5672", InvalidEndpoint::NoScheme),
            ("AMQP://broker", InvalidEndpoint::NoScheme),
            ("amqp://", InvalidEndpoint::NoHost),
            ("amqp:///vhost", InvalidEndpoint::NoHost),
            ("amqp://user@:5672", InvalidEndpoint::NoHost),
            ("amqp://broker:x", InvalidEndpoint::Port),
            ("amqp://broker:0", InvalidEndpoint::Port),
            ("amqp://bro ker", InvalidEndpoint::Character),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }
}
