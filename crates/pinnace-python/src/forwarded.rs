//! Who the client is when a proxy stands between: `X-Forwarded-For` and `-Proto`, or `Forwarded` (RFC 7239), from
//! proxies that are trusted and from nobody else.
//!
//! A chain is read from its end, which is the nearest proxy's word, up to the first address that is no trusted proxy.
//! Where any `X-Forwarded` field is there, `Forwarded` is not looked at: a proxy that knows only the former passes the
//! latter on as its client wrote it.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;
use pinnace_http::{Connection, Peer};
use pinnace_types::TrustedProxies;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Where a request comes from, as an application is told it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The client's address; nothing on a Unix socket. Port 0: not known.
    pub(crate) client: Option<SocketAddr>,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
}

impl Origin {
    /// What is known of a request's client.
    pub(crate) fn of(connection: &Connection, headers: &HeaderMap, trusted: &TrustedProxies) -> Self {
        let mut origin = Self { client: connection.peer.address(), scheme: connection.scheme };
        let believes = match connection.peer {
            Peer::Tcp(address) => trusted.trusts(address.ip()),
            // Who may connect to a Unix socket, its file's mode says.
            Peer::Unix => !trusted.is_nobody(),
        };
        if !believes {
            return origin;
        }
        let x_forwarded = headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(X_FORWARDED_PROTO);
        if x_forwarded {
            origin.take_addresses(elements(headers, X_FORWARDED_FOR), trusted);
            origin.take_scheme(elements(headers, X_FORWARDED_PROTO).next_back());
        } else if headers.contains_key(FORWARDED) {
            let parameter = |name: &'static str| {
                elements(headers, FORWARDED.as_str()).filter_map(move |element| parameter(element, name))
            };
            origin.take_addresses(parameter("for"), trusted);
            origin.take_scheme(parameter("proto").next_back());
        }
        origin
    }

    fn take_addresses<'a>(&mut self, chain: impl DoubleEndedIterator<Item = &'a str>, trusted: &TrustedProxies) {
        for element in chain.rev() {
            let Some(address) = address(element) else { return };
            self.client = Some(address);
            if !trusted.trusts(address.ip()) {
                return;
            }
        }
    }

    fn take_scheme(&mut self, said: Option<&str>) {
        let Some(said) = said else { return };
        if ["https", "wss"].iter().any(|known| known.eq_ignore_ascii_case(said)) {
            self.scheme = "https";
        } else if ["http", "ws"].iter().any(|known| known.eq_ignore_ascii_case(said)) {
            self.scheme = "http";
        }
    }
}

/// The elements of a list that may stand in several fields; one that is no text counts as empty.
fn elements<'a>(headers: &'a HeaderMap, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
    let fields: Vec<&str> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    fields.into_iter().flat_map(|field| field.split(',')).map(str::trim)
}

/// A parameter of a `Forwarded` element, without its quotes.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`.
fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 0));
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse().ok().map(|address| SocketAddr::new(IpAddr::V6(address), 0));
    }
    text.parse().ok()
}
