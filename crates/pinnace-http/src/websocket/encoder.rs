//! Messages of the server into frames.

use bytes::BufMut as _;
use bytes::BytesMut;

use super::Deflate;
use super::MAX_CONTROL;
use super::Message;
use super::Opcode;
use super::deflate::compress;

/// Messages below this are sent as they are: what deflate saves there is less than it costs.
const COMPRESS_FROM: usize = 256;

/// Writes the server's frames.
#[derive(Debug)]
pub struct Encoder {
    compresses: bool,
}

impl Encoder {
    /// An encoder for a connection that has agreed on this.
    pub fn new(deflate: Option<&Deflate>) -> Self {
        Self { compresses: deflate.is_some() }
    }

    /// Appends a message as one frame. What is too long for a control frame is cut.
    pub fn write(&self, message: &Message, out: &mut BytesMut) {
        match message {
            Message::Text(text) => self.data(Opcode::Text, text.as_bytes(), out),
            Message::Binary(data) => self.data(Opcode::Binary, data, out),
            Message::Ping(payload) => control(Opcode::Ping, payload, out),
            Message::Pong(payload) => control(Opcode::Pong, payload, out),
            Message::Close(None) => control(Opcode::Close, &[], out),
            Message::Close(Some((code, reason))) => {
                let mut payload = code.to_be_bytes().to_vec();
                payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(MAX_CONTROL - 2)]);
                control(Opcode::Close, &payload, out);
            }
        }
    }

    fn data(&self, opcode: Opcode, payload: &[u8], out: &mut BytesMut) {
        if self.compresses && payload.len() >= COMPRESS_FROM {
            let compressed = compress(payload);
            head(0x40 | opcode as u8, compressed.len(), out);
            out.extend_from_slice(&compressed);
        } else {
            head(opcode as u8, payload.len(), out);
            out.extend_from_slice(payload);
        }
    }
}

fn control(opcode: Opcode, payload: &[u8], out: &mut BytesMut) {
    let payload = &payload[..payload.len().min(MAX_CONTROL)];
    head(opcode as u8, payload.len(), out);
    out.extend_from_slice(payload);
}

fn head(bits: u8, length: usize, out: &mut BytesMut) {
    out.reserve(10 + length);
    out.put_u8(0x80 | bits);
    match length {
        0..126 => out.put_u8(u8::try_from(length).unwrap_or(0)),
        126..=0xFFFF => {
            out.put_u8(126);
            out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn written(message: &Message) -> Vec<u8> {
        let mut out = BytesMut::new();
        Encoder::new(None).write(message, &mut out);
        out.to_vec()
    }

    #[test]
    fn lengths_are_written_in_the_shortest_way() {
        for (length, head) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 255, 255]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let bytes = written(&Message::Binary(Bytes::from(vec![0; length])));
            assert_eq!((&bytes[..head.len()], bytes.len()), (head, head.len() + length));
        }
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let bytes = written(&Message::Close(Some((1000, "é".repeat(100)))));
        assert_eq!(bytes[1], 124);
        assert!(std::str::from_utf8(&bytes[4..]).is_ok());
    }
}
