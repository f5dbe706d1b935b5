//! Reads pieces of bytes as a connection would, and says what came out in one line.

use bytes::BytesMut;
use http::HeaderMap;

use crate::http1::body::BodyDecoder;
use crate::http1::chunked::Decoded;
use crate::http1::head::{self, Head, Limits};
use crate::http1::refusal::Refusal;
use crate::http1::scan::Scanner;

/// Bytes and how they arrive.
pub(super) struct Pieces<'a>(Vec<&'a [u8]>);

impl<'a> Pieces<'a> {
    pub(super) fn whole(bytes: &'a [u8]) -> Self {
        Self(vec![bytes])
    }

    /// Cut at these borders, which ascend.
    pub(super) fn cut(bytes: &'a [u8], borders: &[usize]) -> Self {
        let mut pieces = Vec::new();
        let mut start = 0;
        for border in borders {
            pieces.push(&bytes[start..*border]);
            start = *border;
        }
        pieces.push(&bytes[start..]);
        Self(pieces)
    }
}

/// A request that was read whole.
pub(super) struct Message {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
}

/// How reading ended.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum End {
    /// At the border of a message.
    Clean,
    /// In the middle of one.
    Open,
    Refused(Refusal),
}

/// `GET /path` of each message, with its body and trailers where it has some, and how it ended: `...` for more to come, or
/// the status and the reason of a refusal.
pub(super) fn read(pieces: &Pieces<'_>, limits: Limits) -> String {
    let (messages, end) = messages(pieces, limits);
    let mut said: Vec<_> = messages.iter().map(told).collect();
    match end {
        End::Clean => {}
        End::Open => said.push("...".to_owned()),
        End::Refused(refusal) => said.push(format!("{} {}", refusal.code.http_status(), refusal.detail)),
    }
    said.join("; ")
}

fn told(message: &Message) -> String {
    let mut told = vec![message.head.method.to_string(), message.head.uri.to_string()];
    if !message.body.is_empty() {
        told.push(format!("[{}]", message.body.escape_ascii()));
    }
    for (name, value) in message.trailers.iter().flatten() {
        told.push(format!("{name}={}", value.as_bytes().escape_ascii()));
    }
    told.join(" ")
}

/// All messages, and how it ended.
pub(super) fn messages(pieces: &Pieces<'_>, limits: Limits) -> (Vec<Message>, End) {
    let mut reader = Reader { scanner: Scanner::default(), input: BytesMut::new(), begun: None, messages: Vec::new() };
    for piece in &pieces.0 {
        reader.input.extend_from_slice(piece);
        if let Err(refusal) = reader.advance(limits) {
            return (reader.messages, End::Refused(refusal));
        }
    }
    let end = if reader.begun.is_none() && reader.input.is_empty() { End::Clean } else { End::Open };
    (reader.messages, end)
}

struct Reader {
    scanner: Scanner,
    input: BytesMut,
    begun: Option<(Message, BodyDecoder)>,
    messages: Vec<Message>,
}

impl Reader {
    fn advance(&mut self, limits: Limits) -> Result<(), Refusal> {
        loop {
            let Some((message, decoder)) = &mut self.begun else {
                let mut spare = HeaderMap::new();
                let Some(head) = head::parse(&mut self.input, &mut self.scanner, limits, &mut spare)? else {
                    return Ok(());
                };
                let decoder = BodyDecoder::new(head.length);
                self.begun = Some((Message { head, body: Vec::new(), trailers: None }, decoder));
                continue;
            };
            match decoder.decode(&mut self.input, limits)? {
                Decoded::Needs => return Ok(()),
                Decoded::Data(data) => message.body.extend_from_slice(&data),
                Decoded::End(trailers) => {
                    message.trailers = trailers;
                    self.messages.extend(self.begun.take().map(|(message, _)| message));
                }
            }
        }
    }
}
