//! Responses as bytes: the head, and how the body ends.

use http::{HeaderMap, Method, StatusCode, Version, header};
use http_body::SizeHint;
use hyper::ext::ReasonPhrase;

use super::date;

/// What the request said that matters for the answer.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that a client says")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Asked {
    pub(crate) is_head: bool,
    pub(crate) is_connect: bool,
    pub(crate) version: Version,
    pub(crate) takes_trailers: bool,
    pub(crate) upgrades: bool,
}

/// How the body of a response is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// Not at all; the length of what HEAD or 304 stand for is told where it is known.
    Nothing(Option<u64>),
    Exactly(u64),
    Chunked,
    /// Until the connection ends: HTTP/1.0 has nothing better for a stream.
    UntilClose,
    /// What follows is no HTTP.
    Switched,
}

/// What the head says about the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Persistence {
    Keep,
    Close,
}

/// A response that cannot be sent as HTTP; the client gets 500.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unsendable(pub(crate) &'static str);

impl Asked {
    pub(crate) fn new(method: &Method, version: Version) -> Self {
        Self {
            is_head: *method == Method::HEAD,
            is_connect: *method == Method::CONNECT,
            version,
            takes_trailers: false,
            upgrades: false,
        }
    }
}

/// Decides how a response's body is sent (RFC 9112 section 6).
pub(crate) fn framing(
    asked: Asked,
    status: StatusCode,
    headers: &HeaderMap,
    hint: &SizeHint,
) -> Result<Framing, Unsendable> {
    if status == StatusCode::SWITCHING_PROTOCOLS || (asked.is_connect && status.is_success()) {
        return if asked.upgrades { Ok(Framing::Switched) } else { Err(Unsendable("nobody asked for an upgrade")) };
    }
    if status.is_informational() {
        return Err(Unsendable("an interim status is no answer"));
    }
    let declared = declared_length(headers)?;
    if status == StatusCode::NO_CONTENT {
        return Ok(Framing::Nothing(None));
    }
    if status == StatusCode::NOT_MODIFIED {
        return Ok(Framing::Nothing(declared));
    }
    if asked.is_head {
        // A handler that cuts the body off itself leaves none; then its length is not known.
        return Ok(Framing::Nothing(declared.or_else(|| hint.exact().filter(|length| *length > 0))));
    }
    let declared = declared.filter(|_| !headers.contains_key(header::TRANSFER_ENCODING));
    Ok(match declared.or_else(|| hint.exact()) {
        Some(length) => Framing::Exactly(length),
        None if asked.version == Version::HTTP_10 => Framing::UntilClose,
        None => Framing::Chunked,
    })
}

fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, Unsendable> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match (digits.and_then(|digits| digits.parse().ok()), values.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(Unsendable("the answer's Content-Length is not one number")),
    }
}

/// Appends the head of a response. What concerns this connection is ours to say, whatever the handler said.
pub(crate) fn head(
    output: &mut Vec<u8>,
    (status, reason): (StatusCode, Option<&ReasonPhrase>),
    headers: &HeaderMap,
    framing: Framing,
    persistence: Option<Persistence>,
) {
    status_line(output, status, reason);
    let switched = framing == Framing::Switched;
    let mut has_date = false;
    for (name, value) in headers {
        let is_ours = match name.as_str() {
            "content-length" | "transfer-encoding" => true,
            "connection" => !switched,
            "date" => {
                has_date = true;
                false
            }
            _ => false,
        };
        if !is_ours {
            field(output, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    match framing {
        Framing::Nothing(Some(length)) | Framing::Exactly(length) => {
            output.extend_from_slice(b"content-length: ");
            decimal(output, length);
            output.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => output.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Nothing(None) | Framing::UntilClose | Framing::Switched => {}
    }
    match persistence {
        Some(Persistence::Close) => output.extend_from_slice(b"connection: close\r\n"),
        Some(Persistence::Keep) => output.extend_from_slice(b"connection: keep-alive\r\n"),
        None => {}
    }
    if !has_date {
        output.extend_from_slice(b"date: ");
        date::append(output);
        output.extend_from_slice(b"\r\n");
    }
    output.extend_from_slice(b"\r\n");
}

/// Appends an interim response (RFC 9110 section 15.2).
pub(crate) fn interim(output: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    status_line(output, status, None);
    for (name, value) in headers {
        if !matches!(name.as_str(), "content-length" | "transfer-encoding" | "connection") {
            field(output, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    output.extend_from_slice(b"\r\n");
}

/// Appends what stands before a chunk's bytes; CRLF must stand after them.
pub(crate) fn chunk_start(output: &mut Vec<u8>, length: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let significant = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..significant).rev() {
        output.push(DIGITS[(length >> (place * 4)) & 15]);
    }
    output.extend_from_slice(b"\r\n");
}

/// Appends the end of a chunked body.
pub(crate) fn chunked_end(output: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    output.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        if super::fields::may_trail(name) {
            field(output, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    output.extend_from_slice(b"\r\n");
}

fn status_line(output: &mut Vec<u8>, status: StatusCode, reason: Option<&ReasonPhrase>) {
    if status == StatusCode::OK && reason.is_none() {
        output.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    output.extend_from_slice(b"HTTP/1.1 ");
    output.extend_from_slice(status.as_str().as_bytes());
    output.push(b' ');
    let standard = status.canonical_reason().unwrap_or_default().as_bytes();
    output.extend_from_slice(reason.map_or(standard, ReasonPhrase::as_bytes));
    output.extend_from_slice(b"\r\n");
}

fn field(output: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    output.extend_from_slice(name);
    output.extend_from_slice(b": ");
    output.extend_from_slice(value);
    output.extend_from_slice(b"\r\n");
}

fn decimal(output: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    output.extend_from_slice(&digits[start..]);
}
