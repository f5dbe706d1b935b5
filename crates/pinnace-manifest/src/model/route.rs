//! A place at the gateway: `/orders`, or `shop.example/orders` for one host.

use std::fmt;
use std::str::FromStr;

/// A host, or every host, and a path prefix on segment borders.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Route {
    host: Option<Box<str>>,
    path: Box<str>,
}

/// Why a text is no route.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidRoute {
    /// There is no path in it.
    #[error("a route has a path that starts with `/`")]
    NoPath,
    /// The host is none.
    #[error("`{0}` is no host name: labels of a–z, 0–9 and `-`, joined by dots, without a port")]
    Host(String),
    /// A `/` at the end.
    #[error("a route does not end with `/`: it covers everything below it anyway")]
    TrailingSlash,
    /// `//`, `.` or `..`.
    #[error("`{0}` is no segment of a path that a client can ask for")]
    Segment(String),
    /// A character that paths do not have.
    #[error("`{0}` is not allowed in a route: use letters, digits, `-`, `.`, `_` and `~` between slashes")]
    Character(char),
    /// The platform's own paths.
    #[error("what starts with `/-` is Pinnace's own and never routed")]
    Reserved,
}

impl Route {
    /// The host that it is for, in lower case; absent: every host.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The prefix; `/` for everything.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for Route {
    type Err = InvalidRoute;

    fn from_str(text: &str) -> Result<Self, InvalidRoute> {
        let start = text.find('/').ok_or(InvalidRoute::NoPath)?;
        let (host, path) = text.split_at(start);
        let host = match host {
            "" => None,
            host if is_host(host) => Some(host.into()),
            host => return Err(InvalidRoute::Host(host.to_owned())),
        };
        check_path(path)?;
        Ok(Self { host, path: path.into() })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.host.as_deref().unwrap_or_default(), self.path)
    }
}

fn check_path(path: &str) -> Result<(), InvalidRoute> {
    if path == "/" {
        return Ok(());
    }
    if let Some(bad) = path.chars().find(|c| !(c.is_ascii_alphanumeric() || "-._~/".contains(*c))) {
        return Err(InvalidRoute::Character(bad));
    }
    if path.ends_with('/') {
        return Err(InvalidRoute::TrailingSlash);
    }
    for (index, segment) in path.split('/').skip(1).enumerate() {
        match segment {
            "" => return Err(InvalidRoute::Segment("//".to_owned())),
            "." | ".." => return Err(InvalidRoute::Segment(segment.to_owned())),
            "-" if index == 0 => return Err(InvalidRoute::Reserved),
            _ => {}
        }
    }
    Ok(())
}

fn is_host(host: &str) -> bool {
    host.len() <= 253
        && host.split('.').all(|label| {
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(allowed)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::{InvalidRoute, Route};

    #[test]
    fn a_route_has_an_optional_host_and_a_path() {
        let route: Route = "shop.example/orders".parse().unwrap();
        assert_eq!((route.host(), route.path()), (Some("shop.example"), "/orders"));
        assert_eq!(route.to_string(), "shop.example/orders");
        assert_eq!("/".parse::<Route>().unwrap().host(), None);
    }

    #[test]
    fn what_no_client_can_ask_for_is_refused() {
        let cases = [
            ("orders", InvalidRoute::NoPath),
            ("Shop.example/x", InvalidRoute::Host("Shop.example".to_owned())),
            ("shop:80/x", InvalidRoute::Host("shop:80".to_owned())),
            ("/orders/", InvalidRoute::TrailingSlash),
            ("/a//b", InvalidRoute::Segment("//".to_owned())),
            ("/a/../b", InvalidRoute::Segment("..".to_owned())),
            ("/or ders", InvalidRoute::Character(' ')),
            ("/orders?x", InvalidRoute::Character('?')),
            ("/-", InvalidRoute::Reserved),
            ("/-/health", InvalidRoute::Reserved),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Route>(), Err(error), "{text}");
        }
    }
}
