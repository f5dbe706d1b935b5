//! How a command says that something went wrong: one sentence, more lines where they help, and the way out.
//!
//! Hints are data, and this is the one renderer. A message is a lower-case fragment without a full stop; it is printed
//! behind `error:`, a hint behind `hint:`.

use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use pinnace_types::ExitCode;

/// An expected failure of a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Complaint {
    code: ExitCode,
    message: String,
    detail: Vec<String>,
    hints: Vec<String>,
}

impl Complaint {
    /// A failure with the exit code that scripts see.
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: Vec::new(), hints: Vec::new() }
    }

    /// Adds lines that are shown as they are: a traceback, an installer's last words.
    #[must_use]
    pub(crate) fn with_detail(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.detail.extend(lines);
        self
    }

    /// Adds a way out.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// How the command ends.
    pub(crate) const fn code(&self) -> ExitCode {
        self.code
    }

    /// Prints it to standard error, in colour on a terminal.
    pub(crate) fn print(&self) {
        // A closed standard error cannot be told to anyone.
        let _ = anstream::stderr().write_all(self.render().as_bytes());
    }

    fn render(&self) -> String {
        const ERROR: Style = AnsiColor::Red.on_default().bold();
        const HINT: Style = AnsiColor::Cyan.on_default().bold();
        let mut text = format!("{ERROR}error{ERROR:#}: {}\n", self.message);
        for line in &self.detail {
            let _ = writeln!(text, "  {line}");
        }
        for hint in &self.hints {
            let _ = writeln!(text, "{HINT}hint{HINT:#}: {hint}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Complaint;
    use pinnace_types::ExitCode;

    #[test]
    fn a_complaint_shows_its_detail_and_then_the_way_out() {
        let complaint = Complaint::new(ExitCode::NotRunning, "no system runs here")
            .with_detail(["looked in: shop".to_owned()])
            .with_hint("start it with `pinnace up`");
        let plain = anstream::adapter::strip_str(&complaint.render()).to_string();
        assert_eq!(plain, "error: no system runs here\n  looked in: shop\nhint: start it with `pinnace up`\n");
    }
}
