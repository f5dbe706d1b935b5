//! Lines out of a stream of bytes, each within a bound.

use std::borrow::Cow;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::MAX_LINE;

/// Bytes that are read at once; a pipe holds as many.
const CHUNK: usize = 64 << 10;
/// Room for [`note`].
pub(super) const NOTE: usize = 40;

/// Reads to the end and hands over each line, without its end.
pub(super) async fn pump(mut pipe: impl AsyncRead + Send + Unpin, mut line: impl FnMut(String) + Send) {
    let mut chunk = vec![0; CHUNK];
    let mut lines = Lines::default();
    while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
        lines.take(&chunk[..length], &mut line);
        // A process that writes without pause must not keep others from being read.
        tokio::task::yield_now().await;
    }
    if lines.length > 0 {
        lines.end(&mut line);
    }
}

/// What stands behind a line that was cut.
pub(super) fn note(bytes: usize) -> String {
    format!(" … ({bytes} bytes more)")
}

/// The line that has not ended yet.
#[derive(Debug, Default)]
struct Lines {
    kept: Vec<u8>,
    /// The bytes of the line, those that are not kept included.
    length: usize,
}

impl Lines {
    fn take(&mut self, mut bytes: &[u8], line: &mut impl FnMut(String)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.add(&bytes[..end]);
            self.end(line);
            bytes = &bytes[end + 1..];
        }
        self.add(bytes);
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = (MAX_LINE + 1).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len();
    }

    fn end(&mut self, line: &mut impl FnMut(String)) {
        let mut kept = &self.kept[..];
        if self.length > MAX_LINE {
            // Cut where a character begins, as far as there are characters.
            let end = MAX_LINE - NOTE;
            let end = (end - 3..=end).rev().find(|end| kept[*end] & 0xC0 != 0x80).unwrap_or(end);
            kept = &kept[..end];
        } else if let Some(before) = kept.strip_suffix(b"\r") {
            kept = before;
        }
        let mut text = match String::from_utf8_lossy(kept) {
            Cow::Borrowed(text) => text.to_owned(),
            Cow::Owned(text) => text,
        };
        if self.length > MAX_LINE {
            text.push_str(&note(self.length - kept.len()));
        }
        line(text);
        self.kept.clear();
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, MAX_LINE, pump};

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        for piece in pieces {
            lines.take(piece, &mut |line| found.push(line));
        }
        if lines.length > 0 {
            lines.end(&mut |line| found.push(line));
        }
        found
    }

    #[test]
    fn a_line_may_come_in_pieces_and_the_last_without_an_end() {
        assert_eq!(lines(&[b"a", b"b\nc", b"\n", b"\r\n", b"d\re"]), ["ab", "c", "", "d\re"]);
        assert_eq!(lines(&[]), [""; 0]);
        assert_eq!(lines(&["größ".as_bytes().split_at(3).0, "größ".as_bytes().split_at(3).1, b"e\n"]), ["größe"]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_a_long_one() {
        let mut held = Lines::default();
        let mut found = Vec::new();
        for _ in 0..1000 {
            held.take(&vec![b'x'; 1 << 16], &mut |line| found.push(line));
        }
        assert!(held.kept.capacity() <= 4 * MAX_LINE, "{}", held.kept.capacity());
        held.take(b"\nnext\n", &mut |line| found.push(line));
        assert!(found[0].len() <= MAX_LINE);
        assert!(found[0].ends_with("x … (65470504 bytes more)"), "{}", &found[0][found[0].len() - 40..]);
        assert_eq!(found[1], "next");
        let exact = "y".repeat(MAX_LINE);
        assert_eq!(lines(&[exact.as_bytes(), b"\n"]), [exact]);
    }

    #[tokio::test]
    async fn a_pipe_that_closes_ends_the_pump() {
        let mut found = Vec::new();
        pump(&b"one\ntwo"[..], |line| found.push(line)).await;
        assert_eq!(found, ["one", "two"]);
    }
}
