//! Bytes of a client into messages.

use bytes::Buf as _;
use bytes::Bytes;
use bytes::BytesMut;

use super::Deflate;
use super::MAX_CONTROL;
use super::Message;
use super::Opcode;
use super::Violation;
use super::deflate::Inflater;
use super::is_close_code;

/// Reads a client's frames; a message is at most `max_message` bytes, compressed and expanded.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    max_message: usize,
    deflate: Option<Inflater>,
    /// The message whose fragments are coming.
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    kind: Opcode,
    compressed: bool,
    data: BytesMut,
}

/// A frame's head.
#[derive(Clone, Copy, Debug)]
struct Head {
    is_final: bool,
    compressed: bool,
    opcode: Opcode,
    mask: [u8; 4],
    /// Bytes of the head itself.
    size: usize,
    length: usize,
}

impl Decoder {
    /// A decoder for a connection that has agreed on this.
    pub fn new(max_message: usize, deflate: Option<&Deflate>) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_message,
            deflate: deflate.map(|agreed| Inflater::new(agreed.keeps_client_context())),
            partial: None,
        }
    }

    /// Where bytes from the client are appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next message; nothing where more bytes are needed first.
    pub fn next_message(&mut self) -> Result<Option<Message>, Violation> {
        while let Some(head) = self.head()? {
            let size = head.size + head.length;
            if self.buffer.len() < size {
                // No more than has come already: who only announces a large message gets no memory for it.
                self.buffer.reserve((size - self.buffer.len()).min(self.buffer.len()));
                return Ok(None);
            }
            self.buffer.advance(head.size);
            let mut payload = self.buffer.split_to(head.length);
            unmask(&mut payload, head.mask);
            let message =
                if head.opcode.is_control() { Some(control(head.opcode, payload)?) } else { self.data(head, payload)? };
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    fn head(&self) -> Result<Option<Head>, Violation> {
        let bytes = &self.buffer[..];
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::from_bits(first & 0x0F).ok_or(Violation::Protocol("the opcode is reserved"))?;
        let is_final = first & 0x80 != 0;
        let compressed = first & 0x40 != 0;
        if first & 0x30 != 0 {
            return Err(Violation::Protocol("a reserved bit is set"));
        }
        if compressed && (self.deflate.is_none() || opcode.is_control() || opcode == Opcode::Continuation) {
            return Err(Violation::Protocol("the bit of compression is set where it may not be"));
        }
        if second & 0x80 == 0 {
            return Err(Violation::Protocol("a client's frame is not masked"));
        }
        if opcode.is_control() && !is_final {
            return Err(Violation::Protocol("a control frame is fragmented"));
        }
        match (opcode, &self.partial) {
            (Opcode::Continuation, None) => return Err(Violation::Protocol("nothing is to be continued")),
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::Protocol("a message begins within another one"));
            }
            _ => {}
        }
        let (length, extended) = match second & 0x7F {
            126 => {
                let [high, low, ..] = rest else { return Ok(None) };
                let length = u64::from(u16::from_be_bytes([*high, *low]));
                if length < 126 {
                    return Err(Violation::Protocol("a length is not written in the shortest way"));
                }
                (length, 2)
            }
            127 => {
                let Some(bytes) = rest.first_chunk::<8>() else { return Ok(None) };
                let length = u64::from_be_bytes(*bytes);
                if length >> 63 != 0 || u16::try_from(length).is_ok() {
                    return Err(Violation::Protocol("a length is not written in the shortest way"));
                }
                (length, 8)
            }
            short => (u64::from(short), 0),
        };
        if opcode.is_control() && length > MAX_CONTROL as u64 {
            return Err(Violation::Protocol("a control frame is too long"));
        }
        let limit = self.max_message;
        let before = self.partial.as_ref().map_or(0, |partial| partial.data.len());
        let length = usize::try_from(length).map_err(|_| Violation::TooLarge { limit })?;
        if !opcode.is_control() && before.saturating_add(length) > limit {
            return Err(Violation::TooLarge { limit });
        }
        let Some(mask) = rest.get(extended..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(None) };
        Ok(Some(Head { is_final, compressed, opcode, mask: *mask, size: 2 + extended + 4, length }))
    }

    fn data(&mut self, head: Head, payload: BytesMut) -> Result<Option<Message>, Violation> {
        let partial = match self.partial.take() {
            Some(mut partial) => {
                partial.data.unsplit(payload);
                partial
            }
            None => Partial { kind: head.opcode, compressed: head.compressed, data: payload },
        };
        if !head.is_final {
            self.partial = Some(partial);
            return Ok(None);
        }
        let data = match &mut self.deflate {
            Some(inflater) if partial.compressed => inflater.expand(&partial.data, self.max_message)?,
            _ => partial.data.freeze(),
        };
        Ok(Some(if partial.kind == Opcode::Text {
            let text = String::from_utf8(data.into()).map_err(|_| Violation::Data("a text is no UTF-8"))?;
            Message::Text(text)
        } else {
            Message::Binary(data)
        }))
    }
}

fn control(opcode: Opcode, payload: BytesMut) -> Result<Message, Violation> {
    let payload: Bytes = payload.freeze();
    Ok(match opcode {
        Opcode::Ping => Message::Ping(payload),
        Opcode::Pong => Message::Pong(payload),
        _ => match &payload[..] {
            [] => Message::Close(None),
            [_] => return Err(Violation::Protocol("a close has half a code")),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !is_close_code(code) {
                    return Err(Violation::Protocol("a close has a code that may not be sent"));
                }
                let reason = std::str::from_utf8(reason).map_err(|_| Violation::Data("a reason is no UTF-8"))?;
                Message::Close(Some((code, reason.to_owned())))
            }
        },
    })
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let length = u8::try_from(payload.len()).unwrap();
        assert!(length < 126);
        let mut bytes = vec![first, 0x80 | length];
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<Message>, Violation> {
        let mut decoder = Decoder::new(1000, None);
        let mut messages = Vec::new();
        // Byte by byte, so that every place where more is needed is passed.
        for byte in bytes {
            decoder.buffer().extend_from_slice(&[*byte]);
            while let Some(message) = decoder.next_message()? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    #[test]
    fn fragments_are_joined_and_control_frames_come_between_them() {
        let bytes = [frame(0x01, b"one "), frame(0x89, b"now"), frame(0x80, b"two"), frame(0x82, b"\xff")].concat();
        assert_eq!(
            read(&bytes),
            Ok(vec![
                Message::Ping(Bytes::from_static(b"now")),
                Message::Text("one two".to_owned()),
                Message::Binary(Bytes::from_static(b"\xff")),
            ])
        );
    }

    #[test]
    fn a_message_that_is_only_announced_takes_no_memory() {
        let mut decoder = Decoder::new(16 << 20, None);
        decoder.buffer().extend_from_slice(&[0x82, 0xFF, 0, 0, 0, 0, 0, 0xFF, 0, 0, 1, 2, 3, 4, 5]);
        assert_eq!(decoder.next_message(), Ok(None));
        assert!(decoder.buffer().capacity() < 1024);
    }

    #[test]
    fn what_the_rfc_does_not_allow_is_refused_with_its_code() {
        for (bytes, code) in [
            (vec![0x81, 0x01, b'x'], 1002),
            (frame(0xC1, b"x"), 1002),
            (frame(0xA1, b"x"), 1002),
            (frame(0x83, b"x"), 1002),
            (frame(0x09, b"x"), 1002),
            (frame(0x80, b"x"), 1002),
            ([frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002),
            (frame(0x88, b"\x03"), 1002),
            (frame(0x88, b"\x03\xed"), 1002),
            (frame(0x88, b"\x03\xe8\xff"), 1007),
            (frame(0x81, b"\xed\xa0\x80"), 1007),
            (vec![0x82, 0xFE, 0x00, 0x03], 1002),
            (vec![0x82, 0xFE, 0x03, 0xE9], 1009),
            (vec![0x82, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0], 1002),
            (vec![0x82, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0], 1009),
        ] {
            assert_eq!(read(&bytes).map_err(Violation::code), Err(code), "{bytes:x?}");
        }
    }
}
