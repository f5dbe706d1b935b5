//! The text of a manifest, and where in it a byte stands.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::mask;

/// A file that was read. Its text may hold passwords, so `Debug` shows only its path.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A line of the text with the place that is meant in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Excerpt {
    /// Counted from 1.
    pub(crate) line: usize,
    /// Counted from 1, in characters.
    pub(crate) column: usize,
    /// Characters that are meant, at least 1, within this line.
    pub(crate) width: usize,
    /// The whole line, without passwords.
    pub(crate) text: String,
    /// The characters of `text` that are meant.
    pub(crate) mark: Range<usize>,
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Source {
    /// The line in which a span begins. A span that is out of bounds or splits a character is moved to the next good place.
    pub(crate) fn excerpt(&self, span: &Range<usize>) -> Excerpt {
        let start = self.boundary(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let end = self.boundary(span.end).clamp(start, line_end);
        let line = self.text[line_start..line_end].trim_end_matches('\r');
        let (text, mark) = mask::line(line, &(start - line_start..end - line_start));
        Excerpt {
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            width: self.text[start..end].chars().count().max(1),
            text,
            mark,
        }
    }

    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::Source;
    use std::path::PathBuf;

    #[test]
    fn a_place_is_told_in_lines_and_characters() {
        let source = Source { path: PathBuf::new(), text: "a = 1\r\nü = \"x\"\n".to_owned() };
        let start = source.text.find("\"x\"").unwrap();
        let excerpt = source.excerpt(&(start..start + 3));
        assert_eq!((excerpt.line, excerpt.column, excerpt.width, excerpt.text.as_str()), (2, 5, 3, "ü = \"x\""));
    }

    #[test]
    fn a_place_out_of_bounds_is_the_end() {
        let source = Source { path: PathBuf::new(), text: "ü".to_owned() };
        assert_eq!(source.excerpt(&(1..99)).column, 1);
        assert_eq!(source.excerpt(&(99..200)).column, 2);
    }
}
