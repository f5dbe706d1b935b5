//! What is no TOML, in words for someone who does not know its grammar.
//!
//! The parser recovers and goes on, so that one mistake may bring several complaints. Those that follow from another are
//! left out: of a line the first counts, and behind a list that is not closed nothing does.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::Error;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Source;

/// What the parser's words begin with, what is said in their place, and the way out.
const WORDS: [(&str, &str, &str); 10] = [
    ("string values must be quoted", "a text has to stand in quotes", "put it in quotes: `\"…\"`"),
    ("invalid basic string", NOT_CLOSED, CLOSE),
    ("invalid literal string", NOT_CLOSED, CLOSE),
    (
        "missing escaped value",
        "`\\` begins an escape, and this is none",
        "write `\\\\` for a backslash, or put the text in `'…'`",
    ),
    ("invalid boolean", "this is no value", "truth values are `true` and `false`, in small letters"),
    (
        "invalid unquoted key",
        "this cannot stand in a key",
        "a key has letters, digits, `-` and `_`; any other stands in quotes",
    ),
    ("key with no value", "this key has no value", "write `key = value`, or take the line out"),
    ("unclosed table", "the table's name is not closed", "add `]` at its end"),
    ("unexpected leading zero", "a number does not begin with 0", "write it without"),
    ("missing comma", "there is no comma between two values", "add it"),
];
const NOT_CLOSED: &str = "the text is not closed";
const CLOSE: &str = "add the quote at its end; a text over several lines stands in `\"\"\"`";

/// A complaint of the parser.
struct Complaint<'error> {
    span: Range<usize>,
    message: &'error str,
}

/// The parser's complaints with their places.
pub(super) fn mistakes(source: &Source, errors: &[Error]) -> Diagnostics {
    let complaint = |error| {
        let error: &Error = error;
        Complaint { span: error.span().unwrap_or(0..0), message: error.message() }
    };
    let mut complaints: Vec<Complaint<'_>> = errors.iter().map(complaint).collect();
    complaints.sort_by_key(|complaint| complaint.span.start);
    let mut found = Vec::new();
    let is_unclosed = |complaint: &Complaint<'_>| {
        complaint.message.starts_with("unclosed array") || complaint.message.starts_with("unclosed inline table")
    };
    if complaints.iter().any(is_unclosed)
        && let Some((place, sign)) = unclosed(&source.text)
    {
        let (what, end) = if sign == '[' { ("list", ']') } else { ("table", '}') };
        let finding = Diagnostic::at(source, &(place..place + 1), format!("the {what} that begins here is not closed"));
        found.push(finding.with_hint(format!("add `{end}` where it ends")));
        complaints.retain(|complaint| complaint.span.start < place);
    }
    let mut lines = BTreeSet::new();
    for complaint in &complaints {
        let beside: Vec<&str> = complaints
            .iter()
            .filter(|other| is_same_line(source, complaint, other))
            .map(|other| other.message)
            .collect();
        let (message, hint) = worded(source, complaint, &beside);
        let finding = Diagnostic::at(source, &complaint.span, message).with_hint(hint);
        if lines.insert(finding.line) {
            found.push(finding);
        }
    }
    Diagnostics::sorted(found)
}

fn is_same_line(source: &Source, first: &Complaint<'_>, second: &Complaint<'_>) -> bool {
    source.text.get(first.span.start..second.span.start).is_some_and(|between| !between.contains('\n'))
}

/// The sentence and the way out.
fn worded(source: &Source, complaint: &Complaint<'_>, beside: &[&str]) -> (String, &'static str) {
    let meant = source.text.get(complaint.span.clone()).unwrap_or_default().trim();
    let begins = |text: &str| complaint.message.starts_with(text);
    if begins("duplicate key") {
        let line = first(&source.text, complaint.span.start);
        let place = line.map_or_else(String::new, |line| format!(", in line {line}"));
        let hint = "take one of the two out; what belongs to a table stands together";
        return (format!("`{meant}` is there already{place}"), hint);
    }
    let (message, hint) =
        if beside.iter().any(|message| message.starts_with("unexpected key or value, expected newline")) {
            ("there is something behind the value", "begin a new line for the next key")
        } else if begins("string values must be quoted") && meant.is_empty() {
            ("there is no value behind `=`", "write one, or take the line out")
        } else if begins("invalid unquoted key") && meant == ":" {
            ("between a key and its value stands `=`", "write `=` in place of `:`")
        } else {
            let known = WORDS.iter().find(|(theirs, _, _)| begins(theirs)).map(|(_, message, hint)| (*message, *hint));
            let theirs = complaint.message.lines().next().unwrap_or_default();
            known.unwrap_or((theirs, "the file is TOML, see https://toml.io"))
        };
    (message.to_owned(), hint)
}

/// The line that had it first, counted from 1, where a key or a table's name stands at this place again.
fn first(text: &str, place: usize) -> Option<usize> {
    let before = text.get(..place)?;
    let number = before.matches('\n').count();
    let again = text.lines().nth(number)?.trim();
    let is_table = again.starts_with('[');
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let earlier: Vec<&str> = text.lines().take(number).map(str::trim).collect();
    let is_same =
        |line: &&str| if is_table { *line == again } else { !line.starts_with('[') && key(line) == key(again) };
    // A key may stand in other tables too; only what stands in its own counts.
    let start = if is_table { 0 } else { earlier.iter().rposition(|line| line.starts_with('[')).unwrap_or(0) };
    earlier.iter().skip(start).position(is_same).map(|place| start + place + 1)
}

/// The last bracket of a value that has no end.
fn unclosed(text: &str) -> Option<(usize, char)> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut quote: Option<char> = None;
    let mut is_header = false;
    let mut is_new_line = true;
    let mut characters = text.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        match (quote, character) {
            // Texts over several lines are no matter here: only their brackets would be taken for others.
            (_, '\n') => (quote, is_header, is_new_line) = (None, false, open.is_empty()),
            (Some('"'), '\\') => drop(characters.next_if(|(_, next)| *next != '\n')),
            (Some(end), _) if end == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '#') => while characters.next_if(|(_, next)| *next != '\n').is_some() {},
            (None, '[') if is_new_line => is_header = true,
            (None, '[' | '{') if !is_header => open.push((place, character)),
            (None, ']' | '}') if !is_header => drop(open.pop()),
            (Some(_) | None, _) => {}
        }
        is_new_line = is_new_line && character.is_whitespace() || character == '\n' && open.is_empty();
    }
    open.pop()
}

#[cfg(test)]
mod tests {
    use super::unclosed;

    #[test]
    fn the_bracket_without_an_end_is_found() {
        let cases = [
            ("[a]\nb = [1, 2\nc = 3", Some('[')),
            ("[[a]]\nb = { c = [1]\n", Some('{')),
            ("[a]\nb = [\"]\", ']' # ]\n", Some('[')),
            ("[a]\nb = [\n  [1],\n  [2],\n]\n[c]\n", None),
            ("a = \"[\"\n", None),
        ];
        for (text, expected) in cases {
            assert_eq!(unclosed(text).map(|(_, sign)| sign), expected, "{text}");
        }
        assert_eq!(unclosed("a = [1, [2], 3").map(|(place, _)| place), Some(4));
    }
}
