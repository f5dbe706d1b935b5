//! Field lines, and what the fields say about framing and the connection (RFC 9110 section 5, RFC 9112 sections 5 to 7).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Version};
use pinnace_types::ErrorCode;

use super::refusal::Refusal;
use super::target::is_host;

/// What the fields of one request say about how it is to be read.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that a client says")]
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) host: Option<HeaderValue>,
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade_option: bool,
    pub(crate) upgrade: bool,
    pub(crate) expects_continue: bool,
    pub(crate) takes_trailers: bool,
}

const TOKEN: [bool; 256] = token();

/// `tchar` of RFC 9110 section 5.6.2.
const fn token() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 256")]
        let character = byte as u8;
        table[byte] = character.is_ascii_alphanumeric()
            || matches!(
                character,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Splits a line that the scanner has found into name and value.
pub(crate) fn field(head: &Bytes, line: (usize, usize)) -> Result<(HeaderName, HeaderValue), Refusal> {
    let name = name_of(head, line)?;
    let offset = line.0 + name.as_str().len() + 1;
    let value = &head[offset..line.1];
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    let value = HeaderValue::from_maybe_shared(head.slice(offset + start..offset + end))
        .map_err(|_| Refusal::malformed("a field's value has a character that none may have"))?;
    Ok((name, value))
}

/// The name with which a line begins.
pub(crate) fn name_of(head: &[u8], line: (usize, usize)) -> Result<HeaderName, Refusal> {
    let bytes = &head[line.0..line.1];
    let name_length = bytes.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(bytes.len());
    match (name_length, bytes.get(name_length)) {
        (0, Some(b' ' | b'\t')) => return Err(Refusal::malformed("a header field is folded over lines")),
        (0, _) => return Err(Refusal::malformed("a header field has no name")),
        (_, Some(b':')) => {}
        (_, Some(b' ' | b'\t')) => return Err(Refusal::malformed("white space stands before the colon of a field")),
        (_, Some(_)) => return Err(Refusal::malformed("a field's name has a character that none may have")),
        (_, None) => return Err(Refusal::malformed("a header field has no colon")),
    }
    HeaderName::from_bytes(&bytes[..name_length]).map_err(|_| Refusal::malformed("a field's name is not understood"))
}

impl Said {
    /// Takes note of one field.
    pub(crate) fn note(&mut self, name: &HeaderName, value: &HeaderValue, version: Version) -> Result<(), Refusal> {
        match name.as_str() {
            "host" => {
                if self.host.is_some() {
                    return Err(Refusal::malformed("there is more than one Host"));
                }
                if !is_host(value.as_bytes()) {
                    return Err(Refusal::malformed("Host is not a host and a port"));
                }
                self.host = Some(value.clone());
            }
            "content-length" => {
                if self.content_length.is_some() {
                    return Err(Refusal::malformed("there is more than one Content-Length"));
                }
                self.content_length = Some(length(value.as_bytes())?);
            }
            "transfer-encoding" => self.note_coding(value.as_bytes(), version)?,
            "connection" => {
                for option in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.upgrade_option |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            "upgrade" => self.upgrade = true,
            "expect" if version == Version::HTTP_11 => {
                if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::new(ErrorCode::ExpectationFailed, "only 100-continue can be expected"));
                }
                self.expects_continue = true;
            }
            "te" => {
                let mut codings = value.as_bytes().split(|byte| *byte == b',');
                self.takes_trailers |= codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"));
            }
            _ => {}
        }
        Ok(())
    }

    fn note_coding(&mut self, value: &[u8], version: Version) -> Result<(), Refusal> {
        if version != Version::HTTP_11 {
            return Err(Refusal::malformed("Transfer-Encoding is not part of HTTP/1.0"));
        }
        if self.chunked {
            return Err(Refusal::malformed("there is more than one Transfer-Encoding"));
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        // Where the last coding is not `chunked`, nobody knows where the body ends (RFC 9112 section 6.3).
        let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).rev();
        let ends_chunked = codings.next().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
        let is_known = |coding: &[u8]| {
            [&b"gzip"[..], b"x-gzip", b"deflate", b"compress", b"x-compress"]
                .iter()
                .any(|known| coding.eq_ignore_ascii_case(known))
        };
        if ends_chunked && codings.all(is_known) {
            return Err(Refusal::new(ErrorCode::NotImplemented, "no transfer coding but `chunked` is understood"));
        }
        Err(Refusal::malformed("Transfer-Encoding is not exactly `chunked`"))
    }
}

/// Digits alone, and no more than a length can have.
fn length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::malformed("Content-Length is not a number"));
    }
    if value.len() > 19 {
        return Err(Refusal::malformed("Content-Length has too many digits"));
    }
    Ok(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// Whether a field may stand in trailers: none that is needed before the body (RFC 9110 section 6.5.1).
pub(crate) fn may_trail(name: &HeaderName) -> bool {
    let text = name.as_str();
    let forbidden = matches!(
        text,
        "age"
            | "authorization"
            | "cache-control"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "date"
            | "expect"
            | "expires"
            | "forwarded"
            | "host"
            | "keep-alive"
            | "location"
            | "max-forwards"
            | "pragma"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "range"
            | "retry-after"
            | "set-cookie"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "vary"
            | "warning"
            | "www-authenticate"
    );
    !forbidden && !text.starts_with("if-") && !text.starts_with("x-forwarded-")
}
