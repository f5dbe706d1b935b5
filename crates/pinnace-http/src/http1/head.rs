//! The head of a request: request line, fields, and how long its body is.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Uri, Version, header};
use pinnace_types::ErrorCode;

use super::fields::{self, Said, is_token_byte};
use super::refusal::Refusal;
use super::scan::{FirstEmpty, Scanner};
use super::target::target;
use crate::FieldOrder;

/// The bounds of a head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Limits {
    pub(crate) max_bytes: usize,
    pub(crate) max_fields: usize,
}

/// A request without its body.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that a client says")]
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) length: BodyLength,
    /// Whether the client wants to keep the connection.
    pub(crate) keep_alive: bool,
    /// Whether the client waits for 100 before it sends the body.
    pub(crate) expects_continue: bool,
    /// Whether the client asks for another protocol.
    pub(crate) upgrades: bool,
    /// Whether the client understands trailers.
    pub(crate) takes_trailers: bool,
    /// How the fields came, where `headers` does not tell.
    pub(crate) order: Option<FieldOrder>,
}

/// How the end of a request's body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodyLength {
    /// So many bytes; none where nothing was said.
    Exactly(u64),
    Chunked,
}

impl Head {
    /// Whether the client would leave HTTP/1 for something that a handler may know. HTTP/2 is not reached in this way any
    /// more (RFC 9113 section 3.1), but clients ask for it with the first request of a connection, whatever that is.
    pub(crate) fn asks_to_upgrade(&self) -> bool {
        self.upgrades && self.headers.get_all(header::UPGRADE).iter().any(|value| value != "h2c")
    }
}

/// The most bytes that a method has (`UPDATEREDIRECTREF` has 17).
const MAX_METHOD: usize = 20;
/// The most that [`Uri`] holds.
const MAX_TARGET: usize = 65_534;

/// Takes a head out of the input, when it is complete. The scanner must be fresh, or know the beginning of this input.
pub(crate) fn parse(
    input: &mut BytesMut,
    scanner: &mut Scanner,
    limits: Limits,
    spare: &mut HeaderMap,
) -> Result<Option<Head>, Refusal> {
    let complete = scanner.scan(input, limits.max_fields + 1, FirstEmpty::Skipped)?;
    if complete.unwrap_or(input.len()) > limits.max_bytes {
        return Err(if scanner.lines().is_empty() {
            Refusal::new(ErrorCode::TargetTooLong, "the request line is too long")
        } else {
            Refusal::large("the request's head is too large")
        });
    }
    let Some(length) = complete else { return Ok(None) };
    let bytes = input.split_to(length).freeze();
    let [line, lines @ ..] = scanner.lines() else {
        return Err(Refusal::malformed("there is no request line"));
    };
    let (method, uri, version) = request_line(&bytes, *line)?;
    let mut headers = std::mem::take(spare);
    headers.reserve(lines.len());
    let mut said = Said::default();
    let mut is_regrouped = false;
    for (place, line) in lines.iter().enumerate() {
        let (name, value) = fields::field(&bytes, *line)?;
        said.note(&name, &value, version)?;
        if headers.append(name, value) {
            is_regrouped |= fields::name_of(&bytes, *line)? != fields::name_of(&bytes, lines[place - 1])?;
        }
    }
    let order = is_regrouped.then(|| lines.iter().map(|line| fields::name_of(&bytes, *line)).collect()).transpose()?;
    scanner.reset();
    let length = body_length(&method, &said)?;
    check_host(&uri, version, &said)?;
    let keep_alive = !said.close && (version == Version::HTTP_11 || said.keep_alive);
    let upgrades = version == Version::HTTP_11
        && length == BodyLength::Exactly(0)
        && ((said.upgrade && said.upgrade_option) || method == Method::CONNECT);
    Ok(Some(Head {
        method,
        uri,
        version,
        headers,
        length,
        keep_alive,
        expects_continue: said.expects_continue,
        upgrades,
        takes_trailers: said.takes_trailers,
        order: order.map(FieldOrder::new),
    }))
}

fn request_line(head: &Bytes, line: (usize, usize)) -> Result<(Method, Uri, Version), Refusal> {
    let bytes = &head[line.0..line.1];
    let mut parts = bytes.splitn(3, |byte| *byte == b' ');
    let (Some(method), Some(path), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Refusal::malformed("the request line is not a method, a target and a version"));
    };
    let version = match version {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(Refusal::new(ErrorCode::VersionNotSupported, "this version of HTTP is not spoken here"));
        }
        _ => return Err(Refusal::malformed("the request line has no version of HTTP after its target")),
    };
    // As gunicorn does: what some servers would turn into another method is refused.
    let is_method = (3..=MAX_METHOD).contains(&method.len())
        && method.iter().all(|byte| is_token_byte(*byte) && !byte.is_ascii_lowercase() && *byte != b'#');
    let known = is_method.then(|| Method::from_bytes(method));
    let Some(Ok(known)) = known else {
        return Err(Refusal::malformed("the method is not 3 to 20 capital letters"));
    };
    let start = line.0 + method.len() + 1;
    if path.len() > MAX_TARGET {
        return Err(Refusal::new(ErrorCode::TargetTooLong, "the request's target is too long"));
    }
    let uri = target(&known, head.slice(start..start + path.len()))?;
    Ok((known, uri, version))
}

fn body_length(method: &Method, said: &Said) -> Result<BodyLength, Refusal> {
    let length = match (said.chunked, said.content_length) {
        (true, Some(_)) => {
            return Err(Refusal::malformed("there are both Content-Length and Transfer-Encoding"));
        }
        (true, None) => BodyLength::Chunked,
        (false, length) => BodyLength::Exactly(length.unwrap_or(0)),
    };
    if length != BodyLength::Exactly(0) && matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Refusal::malformed("a request with this method has no body"));
    }
    Ok(length)
}

fn check_host(uri: &Uri, version: Version, said: &Said) -> Result<(), Refusal> {
    let Some(host) = &said.host else {
        return if version == Version::HTTP_11 { Err(Refusal::malformed("there is no Host")) } else { Ok(()) };
    };
    // Two servers could otherwise answer for two hosts (RFC 9112 section 3.2.2).
    let is_another = uri.authority().is_some_and(|authority| {
        uri.scheme().is_some() && !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes())
    });
    if is_another { Err(Refusal::malformed("Host names another host than the target")) } else { Ok(()) }
}
