//! What is wrong, where, and how to mend it; and how that is shown.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;

use crate::source::Source;

/// One thing that is wrong or doubtful.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Characters that are meant.
    pub width: usize,
    /// The line of the file.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
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
#[error("{} finding(s) in the manifest", .0.len())]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostic {
    pub(crate) fn at(source: &Source, span: &Range<usize>, message: impl Into<String>) -> Self {
        let excerpt = source.excerpt(span);
        Self {
            severity: Severity::Error,
            file: source.path.clone(),
            line: excerpt.line,
            column: excerpt.column,
            width: excerpt.width,
            text: excerpt.text,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) const fn into_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The finding for people, in several lines, without colour.
    pub fn render(&self) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let margin = " ".repeat(self.line.to_string().len());
        let indent: String =
            self.text.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let mut text = format!("{word}: {}\n", self.message);
        let _ = writeln!(text, "{margin}--> {}:{}:{}", self.file.display(), self.line, self.column);
        let _ =
            writeln!(text, "{margin} |\n{} | {}\n{margin} | {indent}{}", self.line, self.text, "^".repeat(self.width));
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{margin} = hint: {hint}");
        }
        text
    }
}

impl Diagnostics {
    /// All findings for people, an empty line between them.
    pub fn render(&self) -> String {
        self.0.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n")
    }
}
