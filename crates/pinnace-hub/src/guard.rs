//! Who may ask: a browser page from elsewhere may not, and without the token almost nothing is answered.
//!
//! A page of a foreign site can reach a loopback port by a name that it controls (DNS rebinding) or by a plain cross-site
//! request. The first shows in `Host`, the second in `Origin`; both are refused before the token is looked at.

use http::{HeaderMap, Uri, header};
use pinnace_types::{ErrorCode, Secret};

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

    use super::{check_origin, check_token};

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
    fn only_the_whole_token_is_accepted() {
        let token = Secret::new("abc".to_owned());
        assert!(check_token(&headers(&[("authorization", "bearer abc")]), &token).is_ok());
        for value in ["Bearer ab", "Bearer abcd", "Basic abc", "abc", "Bearer", ""] {
            assert!(check_token(&headers(&[("authorization", value)]), &token).is_err(), "{value}");
        }
    }
}
