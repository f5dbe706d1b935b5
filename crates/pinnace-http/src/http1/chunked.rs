//! The decoder of `Transfer-Encoding: chunked` (RFC 9112 section 7.1): sizes of hexadecimal digits alone, extensions that
//! are read, checked and dropped within a small bound, trailers of which none may change what came before.

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;

use super::fields::{self, is_token_byte};
use super::head::Limits;
use super::refusal::Refusal;
use super::scan::{FirstEmpty, Scanner};

/// Where the decoder is.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    /// Bytes of extensions so far.
    extensions: usize,
    scanner: Scanner,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Ended,
}

/// What the decoder found.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Decoded {
    /// Nothing: more input is needed.
    Needs,
    Data(Bytes),
    /// The last byte was taken.
    End(Option<HeaderMap>),
}

/// `u64` has as many hexadecimal digits.
const MAX_SIZE_DIGITS: usize = 16;
/// Bytes of a chunk's first line.
const MAX_SIZE_LINE: usize = 256;
/// Bytes of extensions in a whole body.
const MAX_EXTENSIONS: usize = 4096;

impl Chunked {
    /// Takes what it can use from the input.
    pub(crate) fn decode(&mut self, input: &mut BytesMut, limits: Limits) -> Result<Decoded, Refusal> {
        loop {
            match &mut self.state {
                State::Size => {
                    let Some(line) = size_line(input)? else { return Ok(Decoded::Needs) };
                    let (size, extension) = chunk_size(&input[..line])?;
                    self.extensions += extension;
                    if self.extensions > MAX_EXTENSIONS {
                        return Err(Refusal::malformed("there are too many chunk extensions"));
                    }
                    input.advance(line + 2);
                    self.state = if size == 0 { State::Trailers } else { State::Data(size) };
                }
                State::Data(left) => {
                    if input.is_empty() {
                        return Ok(Decoded::Needs);
                    }
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= length as u64;
                    if *left == 0 {
                        self.state = State::DataEnd;
                    }
                    return Ok(Decoded::Data(input.split_to(length).freeze()));
                }
                State::DataEnd => match **input {
                    [b'\r', b'\n', ..] => {
                        input.advance(2);
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok(Decoded::Needs),
                    _ => return Err(Refusal::malformed("a chunk is longer than its size")),
                },
                State::Trailers => {
                    let found = self.scanner.scan(input, limits.max_fields, FirstEmpty::Ends)?;
                    if found.unwrap_or(input.len()) > limits.max_bytes {
                        return Err(Refusal::large("the trailers are too large"));
                    }
                    let Some(length) = found else { return Ok(Decoded::Needs) };
                    let trailers = trailers(&input.split_to(length).freeze(), self.scanner.lines())?;
                    self.state = State::Ended;
                    return Ok(Decoded::End(trailers));
                }
                State::Ended => return Ok(Decoded::End(None)),
            }
        }
    }
}

/// The length of a chunk's first line without its CRLF, when it is complete.
fn size_line(input: &[u8]) -> Result<Option<usize>, Refusal> {
    let end = input.iter().take(MAX_SIZE_LINE + 1).position(|byte| matches!(byte, b'\r' | b'\n'));
    match end.map(|end| (end, input[end], input.get(end + 1))) {
        None if input.len() > MAX_SIZE_LINE => Err(Refusal::malformed("a chunk's first line is too long")),
        None | Some((_, b'\r', None)) => Ok(None),
        Some((end, b'\r', Some(b'\n'))) => Ok(Some(end)),
        Some((_, b'\r', Some(_))) => Err(Refusal::malformed("a carriage return stands without its line feed")),
        Some(_) => Err(Refusal::malformed("a line ends without a carriage return")),
    }
}

/// The size that a line tells, and how many bytes of extensions follow it.
fn chunk_size(line: &[u8]) -> Result<(u64, usize), Refusal> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    if digits == 0 {
        return Err(Refusal::malformed("a chunk has no size"));
    }
    if digits > MAX_SIZE_DIGITS {
        return Err(Refusal::malformed("a chunk's size has too many digits"));
    }
    let size = line[..digits].iter().fold(0, |size: u64, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            letter => (letter | 0x20) - b'a' + 10,
        };
        (size << 4) | u64::from(value)
    });
    let extensions = &line[digits..];
    if !are_extensions(extensions) {
        return Err(Refusal::malformed("what follows a chunk's size is no chunk extension"));
    }
    Ok((size, extensions.len()))
}

/// `*( ";" name [ "=" value ] )`. The white space that the grammar tolerates is not taken: nobody needs to send it.
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(after) = rest.strip_prefix(b";").and_then(after_token) else { return false };
        rest = match after.strip_prefix(b"=") {
            None => after,
            Some(value) => match after_token(value).or_else(|| after_quoted(value)) {
                Some(after) => after,
                None => return false,
            },
        };
    }
    true
}

fn after_token(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(text.len());
    (length > 0).then(|| &text[length..])
}

fn after_quoted(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', escaped, rest @ ..] if is_text(*escaped) => rest,
            [byte, rest @ ..] if is_text(*byte) && *byte != b'\\' => rest,
            _ => return None,
        };
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn trailers(bytes: &Bytes, lines: &[(usize, usize)]) -> Result<Option<HeaderMap>, Refusal> {
    if lines.is_empty() {
        return Ok(None);
    }
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let (name, value) = fields::field(bytes, *line)?;
        if !fields::may_trail(&name) {
            return Err(Refusal::malformed("a trailer is a field that must stand before the body"));
        }
        trailers.append(name, value);
    }
    Ok(Some(trailers))
}
