//! What the gateway changes in heads: what belongs to one connection is taken out, what the service has to know about
//! the client is put in. Nothing that a client says about itself in those fields is believed: the gateway is the only door.

use std::net::SocketAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Version, request};
use pinnace_http::Peer;
use pinnace_telemetry::{REQUEST_ID_HEADER, new_request_id};
use pinnace_types::RequestId;

/// Fields that end at this hop (RFC 9110 section 7.6.1, and what came before it).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    // Answered by our own server, and the variable `HTTP_PROXY` of CGI (CVE-2016-5385).
    "expect",
];

/// The id of a request: the client's if it has a good one, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> RequestId {
    headers
        .get(REQUEST_ID_HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| RequestId::try_new(text).ok())
        .unwrap_or_else(new_request_id)
}

/// The authority that a request is for; nothing if it names none or two.
pub(crate) fn authority<B>(request: &Request<B>) -> Option<String> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return None;
    }
    // A target in absolute form overrules `Host` (RFC 9112 section 3.2.2).
    let authority = match (request.uri().authority(), host) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => host.to_str().ok()?,
        (None, None) => return (request.version() == Version::HTTP_10).then(String::new),
    };
    // It is put between quotes for the service, so it holds nothing but what a host and a port consist of.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(&byte);
    authority.bytes().all(allowed).then(|| authority.to_owned())
}

/// The host of an authority in lower case, without its port and the dot of the root.
pub(crate) fn host_without_port(authority: &str) -> String {
    let host = match authority.rfind(']') {
        Some(end) => &authority[..=end],
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether the client asks for a WebSocket. No other upgrade is passed: h2c would be a way around every check.
pub(crate) fn is_websocket(request: &request::Parts) -> bool {
    let names = |name: HeaderName, wanted: &str| {
        let values = request.headers.get_all(name);
        values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(wanted)))
    };
    request.method == http::Method::GET
        && request.version == Version::HTTP_11
        && names(header::CONNECTION, "upgrade")
        && names(header::UPGRADE, "websocket")
}

/// Takes out what belongs to the connection, and what `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| !matches!(*name, header::HOST | header::CONTENT_LENGTH))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove("proxy");
}

/// Makes a request's head what the service should see.
pub(crate) fn prepare(headers: &mut HeaderMap, authority: &str, scheme: &'static str, peer: Peer, id: &RequestId) {
    remove_hop_by_hop(headers);
    // `X_Forwarded_For` and `X-Forwarded-For` are one variable to a WSGI application.
    let forged: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name.as_str())).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    join_cookies(headers);
    let (address, node) = match peer {
        Peer::Tcp(address) => (canonical(address).to_string(), node(address)),
        Peer::Unix => ("127.0.0.1".to_owned(), "127.0.0.1".to_owned()),
    };
    let forwarded = format!("for={node};host=\"{authority}\";proto={scheme}");
    for (name, text) in [
        ("x-forwarded-for", address.as_str()),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-host", authority),
        ("forwarded", forwarded.as_str()),
        (REQUEST_ID_HEADER, id.as_str()),
        ("host", authority),
    ] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

fn is_ours(name: &str) -> bool {
    let name = name.replace('_', "-");
    name.starts_with("x-forwarded-") || ["forwarded", "x-real-ip", REQUEST_ID_HEADER].contains(&name.as_str())
}

/// HTTP/2 may split a cookie; HTTP/1 has it in one field (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let all: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(value) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(header::COOKIE, value);
    }
}

fn canonical(address: SocketAddr) -> std::net::IpAddr {
    address.ip().to_canonical()
}

/// RFC 7239 section 6.
fn node(address: SocketAddr) -> String {
    match canonical(address) {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("\"[{address}]\""),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use pinnace_http::Peer;
    use pinnace_types::RequestId;

    use super::{host_without_port, prepare};

    #[test]
    fn what_a_client_says_about_itself_is_replaced_and_the_connections_own_fields_are_gone() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-for", "6.6.6.6"),
            ("x_forwarded_host", "evil"),
            ("x-real-ip", "6.6.6.6"),
            ("connection", "close, x-secret"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let peer = Peer::Tcp("[::1]:9".parse().unwrap());
        prepare(&mut headers, "shop.example:8080", "http", peer, &RequestId::try_new("abc").unwrap());
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "cookie: a=1; b=2",
                "forwarded: for=\"[::1]\";host=\"shop.example:8080\";proto=http",
                "host: shop.example:8080",
                "x-forwarded-for: ::1",
                "x-forwarded-host: shop.example:8080",
                "x-forwarded-proto: http",
                "x-request-id: abc",
            ]
        );
    }

    #[test]
    fn a_host_has_no_port_no_case_and_no_last_dot() {
        assert_eq!(host_without_port("Shop.Example.:80"), "shop.example");
        assert_eq!(host_without_port("[::1]:80"), "[::1]");
    }
}
