//! What processes say to each other: one JSON document a line.

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

/// Longest line; a traceback fits many times.
const MAX_LINE: u64 = 1 << 20;

/// The documents that come from one side.
#[derive(Debug)]
pub(crate) struct JsonLines<R> {
    reading: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> JsonLines<R> {
    pub(crate) fn new(reading: R) -> Self {
        Self { reading: BufReader::new(reading), line: Vec::new() }
    }

    /// The next document; nothing once the other side is gone. What is not understood is warned of and passed over.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            self.line.clear();
            let read = (&mut self.reading).take(MAX_LINE).read_until(b'\n', &mut self.line).await;
            if !matches!(read, Ok(1..)) {
                return None;
            }
            match serde_json::from_slice(&self.line) {
                Ok(document) => return Some(document),
                Err(error) => tracing::warn!(%error, "a process said something that is not understood"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::JsonLines;

    #[tokio::test]
    async fn what_is_not_understood_is_passed_over() {
        let mut lines = JsonLines::new(&b"1\n{\n\n2\n3"[..]);
        let mut heard: Vec<u32> = Vec::new();
        while let Some(number) = lines.next().await {
            heard.push(number);
        }
        assert_eq!(heard, [1, 2, 3]);
    }
}
