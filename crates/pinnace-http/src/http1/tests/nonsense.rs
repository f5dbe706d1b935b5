//! Bytes that were broken by a seed: nothing panics, nothing depends on how it is cut, and what is taken is read by httparse
//! in the same way.
//!
//! The corpus is the table of cases. A run is short and always the same; `make soak` runs the long ones in release mode.

use super::LIMITS;
use super::cases::CASES;
use super::reader::{Message, Pieces, messages, read};

/// Xorshift: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default() % sides.max(1)
    }
}

/// What matters to a parser, more than other bytes do.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"0",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"\0",
    b"\x7f",
    b"\xff",
    b"\"",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: a\r\n",
    b"Host: b\r\n",
    b"chunked",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"ffffffffffffffff",
    b"+",
    b"-",
    b"1;a=b",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"http://a/",
    b"*",
    b"#",
    b"@",
    b"\\",
    b"[::1]",
];

fn broken(dice: &mut Dice, corpus: &[&[u8]]) -> Vec<u8> {
    let mut bytes = corpus[dice.roll(corpus.len())].to_vec();
    for _ in 0..=dice.roll(6) {
        let place = dice.roll(bytes.len() + 1);
        match dice.roll(6) {
            0 if place < bytes.len() => bytes[place] ^= 1 << dice.roll(8),
            1 => {
                let end = (place + 1 + dice.roll(8)).min(bytes.len());
                bytes.drain(place..end);
            }
            2 => {
                let other = corpus[dice.roll(corpus.len())];
                let end = dice.roll(other.len() + 1);
                bytes.splice(place..place, other[end..].iter().copied());
            }
            3 => {
                let end = (place + dice.roll(24)).min(bytes.len());
                let again = bytes[place..end].to_vec();
                bytes.splice(place..place, again);
            }
            _ => {
                let piece = PIECES[dice.roll(PIECES.len())];
                bytes.splice(place..place, piece.iter().copied());
            }
        }
    }
    bytes.truncate(4096);
    bytes
}

/// Heads that we take are heads for httparse as well, and say the same.
fn agrees_with_httparse(bytes: &[u8], messages: &[Message]) {
    let Some(first) = messages.first() else { return };
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let status = request.parse(bytes).unwrap_or_else(|error| panic!("httparse: {error}: {}", bytes.escape_ascii()));
    assert!(status.is_complete(), "{}", bytes.escape_ascii());
    assert_eq!(request.method, Some(first.head.method.as_str()));
    assert_eq!(request.version, Some(u8::from(first.head.version == http::Version::HTTP_11)));
    assert_eq!(request.headers.len(), first.head.headers.len());
    for field in request.headers.iter() {
        let ours = first.head.headers.get_all(field.name);
        assert!(ours.iter().any(|value| value.as_bytes() == field.value), "{}", bytes.escape_ascii());
    }
}

fn throw(seed: u64, count: usize, corpus: &[&[u8]]) -> usize {
    let mut dice = Dice(seed | 1);
    let mut taken = 0;
    for _ in 0..count {
        let bytes = broken(&mut dice, corpus);
        let (whole, _) = messages(&Pieces::whole(&bytes), LIMITS);
        agrees_with_httparse(&bytes, &whole);
        taken += usize::from(!whole.is_empty());
        let said = read(&Pieces::whole(&bytes), LIMITS);
        let mut borders: Vec<_> = (0..dice.roll(5)).map(|_| dice.roll(bytes.len() + 1)).collect();
        borders.sort_unstable();
        assert_eq!(read(&Pieces::cut(&bytes, &borders), LIMITS), said, "{} {borders:?}", bytes.escape_ascii());
    }
    taken
}

fn heads() -> Vec<&'static [u8]> {
    CASES.iter().map(|case| case.1.as_bytes()).filter(|bytes| bytes.len() < 1024).collect()
}

fn chunks() -> Vec<&'static [u8]> {
    heads().into_iter().filter(|bytes| bytes.windows(7).any(|part| part == b"chunked")).collect()
}

#[test]
fn broken_heads_are_read_in_one_way_or_refused() {
    let taken = throw(1, 20_000, &heads());
    assert!(taken > 1_000, "{taken} only: what is thrown never gets past the first check");
}

#[test]
fn broken_chunks_are_read_in_one_way_or_refused() {
    let taken = throw(2, 20_000, &chunks());
    assert!(taken > 500, "{taken} only: what is thrown never gets past the first check");
}

#[test]
#[ignore = "millions of inputs: `make soak` runs it"]
fn broken_heads_for_long() {
    for seed in 1..=400 {
        throw(seed * 7919, 20_000, &heads());
    }
}

#[test]
#[ignore = "millions of inputs: `make soak` runs it"]
fn broken_chunks_for_long() {
    for seed in 1..=400 {
        throw(seed * 104_729, 20_000, &chunks());
    }
}
