//! The text of a file, however odd the file is.

use std::io::{self, Read as _};
use std::path::Path;

use pinnace_types::ByteSize;

/// Longest file that is read; a hundred services take 40 kB.
pub(super) const LONGEST: ByteSize = ByteSize::new(1 << 20);

/// Why there is no text.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The file cannot be read.
    Io(io::Error),
    /// It is longer than [`LONGEST`].
    TooLong,
    /// It is no UTF-8.
    NotUtf8 {
        /// What can be read of it.
        text: String,
        /// The first byte that cannot.
        at: usize,
    },
}

/// Reads a file to its end, or as far as is allowed.
pub(super) fn read(path: &Path) -> Result<String, Unreadable> {
    let file = fs_err::File::open(path).map_err(Unreadable::Io)?;
    let mut bytes = Vec::new();
    file.take(LONGEST.bytes() + 1).read_to_end(&mut bytes).map_err(Unreadable::Io)?;
    if bytes.len() as u64 > LONGEST.bytes() {
        return Err(Unreadable::TooLong);
    }
    String::from_utf8(bytes).map_err(|error| Unreadable::NotUtf8 {
        at: error.utf8_error().valid_up_to(),
        text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}
