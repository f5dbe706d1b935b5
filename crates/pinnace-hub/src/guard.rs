//! Who may ask: a browser page from elsewhere may not, and without the token almost nothing is answered.
//!
//! A page of a foreign site can reach a loopback port by a name that it controls (DNS rebinding) or by a plain cross-site
//! request. The first shows in `Host`, the second in `Origin`; both are refused before the token is looked at.

use http::{HeaderMap, Uri, header};
use pinnace_registry::Caller;
use pinnace_types::{ErrorCode, Secret, service_of_token};

use crate::refusal::Refusal;

const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Refuses requests that are addressed to, or come from, a name that is not this machine's own.
pub(crate) fn check_origin(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| headers.get(header::HOST).and_then(|host| host.to_str().ok()))
        .unwrap_or_default();
    if headers.get_all(header::HOST).iter().count() > 1 || !is_loopback(host) {
        return Err(Refusal::new(ErrorCode::Forbidden, "the `Host` of the request is not this machine's own")
            .with_hint("use http://127.0.0.1 or http://localhost with the hub's port"));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let same =
        origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://")).is_some_and(|origin| origin == host);
    if same {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::Forbidden, "the request comes from a page of another origin"))
}

/// Whose token a request to the registry's faces carries, in one of the places where their clients put it: `X-Consul-Token`,
/// `Authorization` (as a bearer token, or as the password of an address's user info), and Consul's old `?token=`.
pub(crate) fn caller(uri: &Uri, headers: &HeaderMap, hub: &Secret<String>) -> Option<Caller> {
    let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
    let own = headers.get("x-consul-token").and_then(text);
    let authorization = headers.get(header::AUTHORIZATION).and_then(text).and_then(|value| {
        let (scheme, credentials) = value.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(credentials.trim().to_owned());
        }
        let basic = scheme.eq_ignore_ascii_case("basic").then(|| base64(credentials.trim())).flatten()?;
        let (user, password) = basic.split_once(':')?;
        Some(if password.is_empty() { user.to_owned() } else { password.to_owned() })
    });
    let in_query = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("token="));
    let token = own.filter(|token| !token.is_empty()).or(authorization).or_else(|| in_query.map(str::to_owned))?;
    if hub.matches(&token) {
        return Some(Caller::Operator);
    }
    service_of_token(hub, &token).map(Caller::Service)
}

/// Refuses requests without the token.
pub(crate) fn check_token(headers: &HeaderMap, token: &Secret<String>) -> Result<(), Refusal> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = given.and_then(|value| {
        let (scheme, credentials) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| credentials.trim())
    });
    if bearer.is_some_and(|candidate| token.matches(candidate)) {
        return Ok(());
    }
    let detail = if given.is_some() { "the token is not the hub's" } else { "the request carries no token" };
    Err(Refusal::new(ErrorCode::Unauthenticated, detail)
        .with_hint("send `Authorization: Bearer TOKEN`; `pinnace up` keeps the token in .pinnace/run"))
}

/// Text in base64 (RFC 4648 section 4), with or without its padding.
fn base64(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        buffer = (buffer << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits).to_le_bytes()[0]);
        }
    }
    String::from_utf8(bytes).ok()
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
                return false;
            }
            name
        }
        _ => host,
    };
    LOOPBACK_NAMES.iter().any(|loopback| loopback.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Uri};
    use pinnace_types::Secret;

    use pinnace_registry::Caller;
    use pinnace_types::service_token;

    use super::{caller, check_origin, check_token};

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_this_machines_names_are_hosts() {
        let uri = Uri::from_static("/");
        for host in ["127.0.0.1:7070", "localhost:7070", "LOCALHOST", "[::1]:7070", "[::1]"] {
            assert!(check_origin(&uri, &headers(&[("host", host)])).is_ok(), "{host}");
        }
        for host in
            ["", "evil.example", "127.0.0.1.evil.example", "localhost:", "localhost:x", "127.0.0.1@evil", "0.0.0.0"]
        {
            assert!(check_origin(&uri, &headers(&[("host", host)])).is_err(), "{host}");
        }
        assert!(check_origin(&uri, &HeaderMap::new()).is_err());
    }

    #[test]
    fn only_the_hubs_own_pages_are_origins() {
        let uri = Uri::from_static("/");
        let from = |origin| check_origin(&uri, &headers(&[("host", "localhost:7070"), ("origin", origin)]));
        assert!(from("http://localhost:7070").is_ok());
        for origin in ["null", "http://localhost:8080", "https://localhost:7070", "http://evil.example"] {
            assert!(from(origin).is_err(), "{origin}");
        }
    }

    #[test]
    fn the_registrys_clients_put_their_token_where_they_are_used_to() {
        let hub = Secret::new("abc".to_owned());
        let of = |query: &str, fields: &[(&'static str, &str)]| {
            caller(&format!("/v1/agent/self?{query}").parse().unwrap(), &headers(fields), &hub)
        };
        for (query, fields) in [
            ("", &[("x-consul-token", "abc")][..]),
            ("", &[("authorization", "Bearer abc")]),
            ("", &[("authorization", "Basic b3JkZXJzOmFiYw==")]),
            ("", &[("authorization", "basic YWJjOg")]),
            ("x=1&token=abc", &[]),
        ] {
            assert_eq!(of(query, fields), Some(Caller::Operator), "{query} {fields:?}");
        }
        let orders = service_token(&hub, &"orders".parse().unwrap());
        let service = of("", &[("x-consul-token", orders.expose())]);
        assert_eq!(service, Some(Caller::Service("orders".parse().unwrap())));
        for fields in [
            &[("authorization", "Basic %%%")][..],
            &[("authorization", "Basic b3JkZXJz")],
            &[],
            &[("x-consul-token", "ab")],
        ] {
            assert_eq!(of("", fields), None, "{fields:?}");
        }
        assert!(check_token(&headers(&[("authorization", &format!("Bearer {}", orders.expose()))]), &hub).is_err());
    }

    #[test]
    fn only_the_whole_token_is_accepted() {
        let token = Secret::new("abc".to_owned());
        assert!(check_token(&headers(&[("authorization", "bearer abc")]), &token).is_ok());
        for value in ["Bearer ab", "Bearer abcd", "Basic abc", "abc", "Bearer", ""] {
            assert!(check_token(&headers(&[("authorization", value)]), &token).is_err(), "{value}");
        }
    }
}
