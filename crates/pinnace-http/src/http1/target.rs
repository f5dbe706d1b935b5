//! A request's target in its four forms (RFC 9112 section 3.2), and the grammar of a host.

use bytes::Bytes;
use http::{Method, Uri};

use super::refusal::Refusal;

/// Reads a target; which form it may have depends on the method.
pub(crate) fn target(method: &Method, bytes: Bytes) -> Result<Uri, Refusal> {
    let refused = Refusal::malformed("the request's target is malformed");
    if bytes.iter().any(|byte| matches!(byte, b'#' | b'\t')) {
        return Err(Refusal::malformed("the request's target has a character that none may have"));
    }
    if *method == Method::CONNECT {
        let is_host_and_port = bytes
            .iter()
            .rposition(|byte| *byte == b':')
            .is_some_and(|colon| colon > 0 && colon + 1 < bytes.len() && is_host(&bytes));
        let uri = is_host_and_port.then(|| Uri::from_maybe_shared(bytes));
        return match uri {
            Some(Ok(uri)) if uri.authority().is_some() && uri.path_and_query().is_none() => Ok(uri),
            _ => Err(Refusal::malformed("the target of CONNECT is not a host and a port")),
        };
    }
    match *bytes {
        [b'/', ..] => Uri::from_maybe_shared(bytes).map_err(|_| refused),
        [b'*'] if *method == Method::OPTIONS => Ok(Uri::from_static("*")),
        _ => absolute(bytes).ok_or(refused),
    }
}

/// `http://host[:port]/path`: no other scheme, nobody's name and password, not without a host.
fn absolute(bytes: Bytes) -> Option<Uri> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let scheme = &bytes[..colon];
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let after = bytes[colon..].strip_prefix(b"://")?;
    let authority = after.split(|byte| matches!(byte, b'/' | b'?')).next()?;
    if authority.is_empty() || authority.starts_with(b":") || !is_host(authority) {
        return None;
    }
    Uri::from_maybe_shared(bytes).ok().filter(|uri| uri.authority().is_some())
}

/// Whether this is `uri-host [":" port]` (RFC 9110 section 7.2); it may be empty.
pub(crate) fn is_host(value: &[u8]) -> bool {
    let (is_name, port) = if let Some(literal) = value.strip_prefix(b"[") {
        let Some(end) = literal.iter().position(|byte| *byte == b']') else { return false };
        let address = std::str::from_utf8(&literal[..end]).ok();
        (address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()), &literal[end + 1..])
    } else {
        let end = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
        (is_registered_name(&value[..end]), &value[end..])
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_name && is_port
}

/// `reg-name` of RFC 3986 section 3.2.2.
fn is_registered_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => tail,
            (
                b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=',
                _,
            ) => tail,
            (letter, _) if letter.is_ascii_alphanumeric() => tail,
            _ => return false,
        };
    }
    true
}
