//! What is wrong, where, and how to mend it. How that looks is in `render`.

mod render;

use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;

use crate::mask;
use crate::source::Source;

/// One thing that is wrong or doubtful.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// Counted from 1; 1 also where the file as a whole is meant.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Characters that are meant.
    pub width: usize,
    /// The line of the file, without the passwords that may be in it.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
    /// The characters of `text` that are meant; nothing where the file as a whole is.
    #[serde(skip)]
    mark: Option<Range<usize>>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, with care.
    Warning,
}

/// Everything that was found in a file, in the order of its lines.
#[derive(Clone, Debug, Default, Eq, PartialEq, thiserror::Error)]
#[error("{} in the manifest", counted(.0.len()))]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostic {
    pub(crate) fn at(source: &Source, span: &Range<usize>, message: impl AsRef<str>) -> Self {
        let excerpt = source.excerpt(span);
        Self {
            severity: Severity::Error,
            file: source.path.clone(),
            line: excerpt.line,
            column: excerpt.column,
            width: excerpt.width,
            text: excerpt.text,
            message: mask::sentence(message.as_ref()),
            hint: None,
            mark: Some(excerpt.mark),
        }
    }

    /// What is no matter of a line.
    pub(crate) fn of_file(source: &Source, message: impl AsRef<str>) -> Self {
        Self { mark: None, ..Self::at(source, &(0..0), message) }
    }

    pub(crate) fn with_hint(mut self, hint: impl AsRef<str>) -> Self {
        self.hint = Some(mask::sentence(hint.as_ref()));
        self
    }

    pub(crate) const fn into_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

impl Diagnostics {
    /// Puts findings into the order of their lines.
    pub fn sorted(mut found: Vec<Diagnostic>) -> Self {
        found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        Self(found)
    }

    /// All findings for people, an empty line between them. Those of one line are shown below that line.
    pub fn render(&self) -> String {
        render::all(&self.0, &render::PLAIN)
    }

    /// The same in colour, for a stream that takes colour out where there is no terminal. Each line ends its own colours.
    pub fn render_styled(&self) -> String {
        render::all(&self.0, &render::COLOURED)
    }
}

fn counted(number: usize) -> String {
    format!("{number} finding{}", if number == 1 { "" } else { "s" })
}
