//! How findings look for people: the sentence, the line with what is meant in it, the way out.
//!
//! Findings of one line share it: each has its mark, and below the marks its sentence, the last one first, so that no
//! line crosses another.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use anstyle::{AnsiColor, Style};

use super::{Diagnostic, Severity};

/// Characters of a line that are shown; of a longer one, what surrounds the place that is meant.
const MOST: usize = 120;
/// Characters before the place that is meant.
const BEFORE: usize = 40;
/// A sentence below a mark that is further to the right would not be read.
const FURTHEST: usize = 60;

/// How long a line of a hint may be, and how far its second one is set in.
const WIDTH: usize = 110;
const INDENT: usize = " = hint: ".len();

/// The styles of the parts.
#[derive(Debug)]
pub(super) struct Palette {
    error: Style,
    warning: Style,
    message: Style,
    frame: Style,
    hint: Style,
}

/// No colour.
pub(super) const PLAIN: Palette = Palette {
    error: Style::new(),
    warning: Style::new(),
    message: Style::new(),
    frame: Style::new(),
    hint: Style::new(),
};

/// The colours that compilers have.
pub(super) const COLOURED: Palette = Palette {
    error: AnsiColor::Red.on_default().bold(),
    warning: AnsiColor::Yellow.on_default().bold(),
    message: Style::new().bold(),
    frame: AnsiColor::Blue.on_default().bold(),
    hint: AnsiColor::Cyan.on_default().bold(),
};

/// A part of a line, with where marks are in it.
struct Window {
    text: String,
    marks: Vec<Range<usize>>,
}

/// All findings, an empty line between them.
pub(super) fn all(found: &[Diagnostic], palette: &Palette) -> String {
    let mut blocks = Vec::new();
    for group in found.chunk_by(is_beside) {
        match shared_window(group) {
            Some(window) => blocks.push(together(group, &window, palette)),
            None => blocks.extend(group.iter().map(|finding| alone(finding, palette))),
        }
    }
    blocks.join("\n")
}

/// Whether two findings belong below one line.
fn is_beside(first: &Diagnostic, second: &Diagnostic) -> bool {
    first.file == second.file
        && first.line == second.line
        && first.severity == second.severity
        && first.mark.is_some()
        && second.mark.is_some()
}

/// What is shown of a line with several findings; nothing where there is one, or where they are too far to the right.
fn shared_window(group: &[Diagnostic]) -> Option<Window> {
    let [first, _, ..] = group else { return None };
    let window = Window::new(&first.text, group.iter().filter_map(|finding| finding.mark.clone()).collect());
    let is_near = |mark: &Range<usize>| !mark.is_empty() && mark.start <= FURTHEST;
    (window.marks.len() == group.len() && window.marks.iter().all(is_near)).then_some(window)
}

fn alone(finding: &Diagnostic, palette: &Palette) -> String {
    let mut text = heading(finding.severity, &finding.message, palette);
    let margin = margin(finding);
    place(&mut text, finding, palette);
    if let Some(mark) = &finding.mark {
        let window = Window::new(&finding.text, vec![mark.clone()]);
        line(&mut text, finding, &window.text, palette);
        gutter(&mut text, &margin, palette);
        signs(&mut text, &window, palette.of(finding.severity));
    }
    if let Some(hint) = &finding.hint {
        let (frame, style) = (palette.frame, palette.hint);
        let mut lines = wrapped(hint, WIDTH - margin.len() - INDENT).into_iter();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(text, "{margin} {frame}={frame:#} {style}hint{style:#}: {first}");
        for line in lines {
            let _ = writeln!(text, "{margin}{:INDENT$}{line}", "");
        }
    }
    text
}

/// Several findings of one line.
fn together(group: &[Diagnostic], window: &Window, palette: &Palette) -> String {
    let Some(first) = group.first() else { return String::new() };
    let mut text = heading(first.severity, &format!("{} findings in one line", group.len()), palette);
    let margin = margin(first);
    place(&mut text, first, palette);
    line(&mut text, first, &window.text, palette);
    gutter(&mut text, &margin, palette);
    let style = palette.of(first.severity);
    signs(&mut text, window, style);
    let mut labels: Vec<(usize, &Diagnostic)> = window.marks.iter().map(|mark| mark.start).zip(group).collect();
    // The last mark's sentence comes first; those of one mark keep their order.
    labels.sort_by_key(|(start, _)| std::cmp::Reverse(*start));
    let starts: BTreeSet<usize> = labels.iter().map(|(start, _)| *start).collect();
    gutter(&mut text, &margin, palette);
    let _ = writeln!(text, "{style}{}{style:#}", window.connectors(&starts, usize::MAX));
    for (start, finding) in labels {
        let hint = finding.hint.iter().map(|hint| (Some(palette.hint), hint));
        for (hint_style, sentence) in std::iter::once((None, &finding.message)).chain(hint) {
            gutter(&mut text, &margin, palette);
            let _ = write!(text, "{style}{}{style:#}", window.connectors(&starts, start));
            let _ = match hint_style {
                None => writeln!(text, "{style}{sentence}{style:#}"),
                Some(style) => writeln!(text, "{style}hint{style:#}: {sentence}"),
            };
        }
    }
    text
}

/// A sentence in lines of at most so many characters, broken at blanks.
fn wrapped(sentence: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

fn heading(severity: Severity, message: &str, palette: &Palette) -> String {
    let word = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let (style, bold) = (palette.of(severity), palette.message);
    format!("{style}{word}{style:#}{bold}: {message}{bold:#}\n")
}

fn place(text: &mut String, finding: &Diagnostic, palette: &Palette) {
    let (margin, frame) = (margin(finding), palette.frame);
    let _ = write!(text, "{margin}{frame}-->{frame:#} {}", finding.file.display());
    let _ = match finding.mark {
        Some(_) => writeln!(text, ":{}:{}\n{margin} {frame}|{frame:#}", finding.line, finding.column),
        None => writeln!(text),
    };
}

fn line(text: &mut String, finding: &Diagnostic, shown: &str, palette: &Palette) {
    let frame = palette.frame;
    let _ = writeln!(text, "{}", format!("{frame}{} |{frame:#} {shown}", finding.line).trim_end());
}

fn gutter(text: &mut String, margin: &str, palette: &Palette) {
    let frame = palette.frame;
    let _ = write!(text, "{margin} {frame}|{frame:#} ");
}

fn signs(text: &mut String, window: &Window, style: Style) {
    let end = window.marks.iter().map(|mark| mark.end).max().unwrap_or(0);
    let is_meant = |place: &usize| window.marks.iter().any(|mark| mark.contains(place));
    let start = (0..end).find(is_meant).unwrap_or(end);
    let blanks: String = (0..start).map(|place| window.blank(place)).collect();
    let signs: String = (start..end).map(|place| if is_meant(&place) { '^' } else { window.blank(place) }).collect();
    let _ = writeln!(text, "{blanks}{style}{signs}{style:#}");
}

fn margin(finding: &Diagnostic) -> String {
    " ".repeat(finding.line.to_string().len())
}

impl Palette {
    const fn of(&self, severity: Severity) -> Style {
        match severity {
            Severity::Error => self.error,
            Severity::Warning => self.warning,
        }
    }
}

impl Window {
    fn new(line: &str, marks: Vec<Range<usize>>) -> Self {
        let length = line.chars().count();
        if length <= MOST {
            return Self { text: line.to_owned(), marks };
        }
        let first = marks.iter().map(|mark| mark.start).min().unwrap_or(0);
        let from = first.saturating_sub(BEFORE).min(length - MOST);
        let shown: String = line.chars().skip(from).take(MOST).collect();
        let (before, behind) = (if from > 0 { "…" } else { "" }, if from + MOST < length { "…" } else { "" });
        let moved = |place: usize| place.clamp(from, from + MOST) - from + before.chars().count();
        let marks =
            marks.into_iter().map(|mark| moved(mark.start)..moved(mark.end).max(moved(mark.start) + 1)).collect();
        Self { text: format!("{before}{shown}{behind}"), marks }
    }

    /// What is as wide as the character at this place, and not seen.
    fn blank(&self, place: usize) -> char {
        if self.text.chars().nth(place) == Some('\t') { '\t' } else { ' ' }
    }

    /// Lines down from the marks that are left of a place, and blanks up to it.
    fn connectors(&self, starts: &BTreeSet<usize>, place: usize) -> String {
        let end = if place == usize::MAX { starts.last().map_or(0, |last| last + 1) } else { place };
        (0..end).map(|at| if starts.contains(&at) { '|' } else { self.blank(at) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{COLOURED, PLAIN, all};
    use crate::diagnostic::Diagnostic;
    use crate::source::Source;

    fn finding(text: &str, meant: &str, message: &str) -> Diagnostic {
        let source = Source { path: PathBuf::from("pinnace.toml"), text: text.to_owned() };
        let start = text.find(meant).unwrap();
        Diagnostic::at(&source, &(start..start + meant.len()), message)
    }

    #[test]
    fn a_finding_is_shown_with_its_line() {
        let finding = finding("a = 1\n\tworker = 2\n", "worker", "there is no key `worker`").with_hint("`workers`?");
        let expected = "\
error: there is no key `worker`
 --> pinnace.toml:2:2
  |
2 | \tworker = 2
  | \t^^^^^^
  = hint: `workers`?
";
        assert_eq!(all(&[finding], &PLAIN), expected);
    }

    #[test]
    fn findings_of_one_line_share_it() {
        let text = "d = { engine = \"sqllite\", migrat = \"x\" }";
        let first = finding(text, "\"sqllite\"", "there is no engine `sqllite`").with_hint("did you mean `sqlite`?");
        let second = finding(text, "migrat", "there is no key `migrat`");
        let third = finding(text, "migrat", "and another thing").with_hint("mend it");
        let expected = "\
error: 3 findings in one line
 --> pinnace.toml:1:16
  |
1 | d = { engine = \"sqllite\", migrat = \"x\" }
  |                ^^^^^^^^^  ^^^^^^
  |                |          |
  |                |          there is no key `migrat`
  |                |          and another thing
  |                |          hint: mend it
  |                there is no engine `sqllite`
  |                hint: did you mean `sqlite`?
";
        assert_eq!(all(&[first, second, third], &PLAIN), expected);
    }

    #[test]
    fn of_a_long_line_the_surroundings_are_shown() {
        let text = format!("calls = [{}\"wrong\", {}]", "\"catalog\", ".repeat(30), "\"catalog\", ".repeat(30));
        let rendered = all(&[finding(&text, "\"wrong\"", "no service `wrong`")], &PLAIN);
        let lines: Vec<&str> = rendered.lines().collect();
        assert_eq!(lines[3].chars().count(), "1 | ".len() + 122);
        let (start, end) = (lines[4].find('^').unwrap(), lines[4].rfind('^').unwrap());
        let marked: String = lines[3].chars().skip(start).take(end - start + 1).collect();
        assert_eq!(marked, "\"wrong\"");
    }

    #[test]
    fn colour_begins_and_ends_in_each_line() {
        let found = [finding("a = 1", "a", "first"), finding("a = 1", "1", "second").with_hint("x")];
        let coloured = all(&found, &COLOURED);
        assert!(coloured.starts_with("\u{1b}[1m\u{1b}[31merror\u{1b}[0m\u{1b}[1m: 2 findings"), "{coloured:?}");
        for line in coloured.lines() {
            let last = line.rfind("\u{1b}[").unwrap();
            assert!(line[last..].starts_with("\u{1b}[0m"), "{line:?}");
        }
    }
}
