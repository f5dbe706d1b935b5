//! Finds the lines of a head or of trailers, and looks at each byte once however it arrives.
//!
//! What no line may contain is refused as soon as it is seen, not when the head is complete: a client that speaks
//! something else, such as TLS, hears so at once.

use super::refusal::Refusal;

/// Where the lines are that were found so far.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// Everything before it was looked at.
    position: usize,
    line_start: usize,
    /// Start and end of each line, without its CRLF.
    lines: Vec<(usize, usize)>,
    /// Whether the one empty line was seen that may stand before a request (RFC 9112 section 2.2).
    skipped: bool,
}

/// What an empty line means where no other came before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FirstEmpty {
    /// Nothing, once: a request's head begins after it.
    Skipped,
    /// The end: there are no trailers.
    Ends,
}

const PLAIN: [bool; 256] = plain();

/// All bytes that may stand in a line: visible ASCII, space, tab, and what is not ASCII.
const fn plain() -> [bool; 256] {
    let mut table = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = byte == b'\t' as usize;
        byte += 1;
    }
    table[0x7f] = false;
    table
}

impl Scanner {
    /// Looks at what is new. Returns the length of everything up to and with the empty line, when it is there.
    pub(crate) fn scan(
        &mut self,
        input: &[u8],
        max_lines: usize,
        first_empty: FirstEmpty,
    ) -> Result<Option<usize>, Refusal> {
        loop {
            let plain = input[self.position..].iter().position(|byte| !PLAIN[usize::from(*byte)]);
            let Some(plain) = plain else {
                self.position = input.len();
                return Ok(None);
            };
            self.position += plain;
            match (input[self.position], input.get(self.position + 1)) {
                (b'\r', Some(b'\n')) => {}
                (b'\r', None) => return Ok(None),
                (b'\r', Some(_)) => return Err(Refusal::malformed("a carriage return stands without its line feed")),
                (b'\n', _) => return Err(Refusal::malformed("a line ends without a carriage return")),
                (0, _) => return Err(Refusal::malformed("a head contains a NUL")),
                _ => return Err(Refusal::malformed("a head contains a control character")),
            }
            let line = (self.line_start, self.position);
            self.position += 2;
            self.line_start = self.position;
            if line.0 < line.1 {
                if self.lines.len() == max_lines {
                    return Err(Refusal::large("there are too many header fields"));
                }
                self.lines.push(line);
            } else if !self.lines.is_empty() || first_empty == FirstEmpty::Ends {
                return Ok(Some(self.position));
            } else if self.skipped {
                return Err(Refusal::malformed("empty lines stand before the request"));
            } else {
                self.skipped = true;
            }
        }
    }

    /// The lines that are complete.
    pub(crate) fn lines(&self) -> &[(usize, usize)] {
        &self.lines
    }

    /// Forgets everything, for the next head; keeps the memory.
    pub(crate) fn reset(&mut self) {
        self.position = 0;
        self.line_start = 0;
        self.lines.clear();
        self.skipped = false;
    }
}
