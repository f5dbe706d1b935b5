//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692), the server's side, without any I/O.
//!
//! [`Decoder`] turns bytes into messages and refuses what the RFC does not allow, with the code that the connection is to
//! be closed with; [`Encoder`] makes frames. Whoever owns the socket moves the bytes.

mod decoder;
mod deflate;
mod encoder;

use bytes::Bytes;
use http::HeaderMap;
use http::header;

pub use decoder::Decoder;
pub use deflate::Deflate;
pub use encoder::Encoder;

/// Longest payload of a control frame.
const MAX_CONTROL: usize = 125;
/// Appended to a client's key (RFC 6455 section 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What one side says to the other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Bytes),
    /// A ping.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The end, with its code and reason where they were given.
    Close(Option<(u16, String)>),
}

/// What a client has done wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Violation {
    /// The bytes are no frames, or not in an order that frames may have.
    #[error("{0}")]
    Protocol(&'static str),
    /// A text is no UTF-8, or a compressed message cannot be expanded.
    #[error("{0}")]
    Data(&'static str),
    /// A message is larger than may be.
    #[error("the message is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

/// The opcodes (RFC 6455 section 11.8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

impl Violation {
    /// The code to close with (RFC 6455 section 7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Data(_) => 1007,
            Self::TooLarge { .. } => 1009,
        }
    }
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        self as u8 >= 0x8
    }
}

/// The answer to a client's key; nothing where it is no key: sixteen bytes in base64 (RFC 6455 section 4.2.1).
pub fn accept_key(key: &[u8]) -> Option<String> {
    use base64::Engine as _;
    use sha1::Digest as _;

    let base64 = base64::engine::general_purpose::STANDARD;
    if base64.decode(key).ok()?.len() != 16 {
        return None;
    }
    let mut hash = sha1::Sha1::new();
    hash.update(key);
    hash.update(MAGIC);
    Some(base64.encode(hash.finalize()))
}

/// Whether a code may stand in a close frame (RFC 6455 section 7.4 and IANA's registry).
pub fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The first of the client's offers of permessage-deflate that can be met.
pub fn negotiate_deflate(headers: &HeaderMap) -> Option<Deflate> {
    let fields = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',')).find_map(Deflate::from_offer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_answered_and_what_is_no_key_is_not() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ==").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        for key in [&b""[..], b"short", b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZSBub25jZTEyMw==", b"\xff"] {
            assert_eq!(accept_key(key), None);
        }
    }
}
