//! What may be shown of a text: no password, nothing that a terminal would obey.
//!
//! A manifest may hold addresses with a password in them, and mistakes are shown with their line: also one whose mistake
//! is that the password has a `/` in it. What is cut out is rather too much than too little.

use std::ops::Range;

/// What stands in place of a secret, whatever its length.
const MASK: &str = "***";
/// Parts of a name that give its value away as a secret.
const SECRET_WORDS: [&str; 9] =
    ["APIKEY", "CREDENTIALS", "KEY", "PASS", "PASSWD", "PASSWORD", "PWD", "SECRET", "TOKEN"];
/// Schemes whose address has a token where others have a user's name.
const TOKEN_SCHEMES: [&str; 3] = ["http", "https", "otlp"];

/// A line as it may be shown, and where in it, in characters, the bytes are then that were meant.
pub(crate) fn line(line: &str, meant: &Range<usize>) -> (String, Range<usize>) {
    let secrets = merged([addresses(line), assignments(line)].concat());
    let mut shown = String::with_capacity(line.len());
    let mut mark = 0..0;
    let mut position = 0;
    let mut upto = |end: usize, shown: &mut String| {
        for (offset, character) in line[position..end].char_indices() {
            note(
                &mut mark,
                meant,
                position + offset..position + offset + character.len_utf8(),
                shown.chars().count(),
                1,
            );
            shown.push(visible(character));
        }
        position = end;
        if let Some(secret) = secrets.iter().find(|secret| secret.start == end) {
            note(&mut mark, meant, secret.clone(), shown.chars().count(), MASK.len());
            shown.push_str(MASK);
            position = secret.end;
        }
    };
    for secret in &secrets {
        upto(secret.start, &mut shown);
    }
    upto(line.len(), &mut shown);
    let length = shown.chars().count();
    if meant.start >= line.len() {
        mark = length..length + 1;
    }
    (shown, mark.start..mark.end.max(mark.start + 1))
}

/// A sentence as it may be shown.
pub(crate) fn sentence(text: &str) -> String {
    let mut shown = text.to_owned();
    for secret in addresses(text).into_iter().rev() {
        shown.replace_range(secret, MASK);
    }
    shown.chars().map(visible).collect()
}

/// Extends the mark where what was just shown, of so many characters, is meant.
fn note(mark: &mut Range<usize>, meant: &Range<usize>, bytes: Range<usize>, at: usize, width: usize) {
    if bytes.end <= meant.start || bytes.start >= meant.end.max(meant.start + 1) {
        return;
    }
    if Range::is_empty(mark) {
        mark.start = at;
    }
    mark.end = at + width;
}

/// Escape sequences and characters that reorder a line are for looking at, not for obeying.
fn visible(character: char) -> char {
    match character {
        '\t' => '\t',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}' => '\u{fffd}',
        _ if character.is_control() => '\u{fffd}',
        _ => character,
    }
}

/// Passwords and tokens in addresses, also in those that are damaged.
fn addresses(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`');
    for token in text.split(is_end) {
        let offset = token.as_ptr().addr() - text.as_ptr().addr();
        let (scheme, start) = match token.find("://") {
            Some(end) => {
                (token[..end].rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default(), end + 3)
            }
            None => ("", 0),
        };
        if let Some(at) = token.rfind('@').filter(|at| *at > start) {
            match token[start..at].find(':') {
                Some(colon) => found.push(offset + start + colon + 1..offset + at),
                None if TOKEN_SCHEMES.contains(&scheme) => found.push(offset + start..offset + at),
                None => {}
            }
        }
        for (sign, _) in token.match_indices(['?', '&', ';']) {
            let Some((name, value)) = token[sign + 1..].split_once('=') else { continue };
            if is_secret(name) {
                let from = offset + sign + 1 + name.len() + 1;
                let length = value.find(['&', ';', '#']).unwrap_or(value.len());
                found.push(from..from + length);
            }
        }
    }
    merged(found)
}

/// `STRIPE_KEY = "…"`: a value does not belong there, and is not shown besides.
fn assignments(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (sign, _) in line.match_indices('=') {
        let before = line[..sign].trim_end().trim_end_matches(['"', '\'']);
        let name = before.rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).next().unwrap_or_default();
        let behind = &line[sign + 1..];
        let value = behind.trim_start();
        // `secrets` is the key of the file that lists names.
        if name == "secrets" || !is_secret(name) || value.starts_with(['[', '{']) {
            continue;
        }
        // That of an address ends elsewhere.
        if before[..before.len() - name.len()].ends_with(['?', '&', ';']) {
            continue;
        }
        let start = line.len() - value.len();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let length = match quote {
            Some(quote) => value[1..].find(quote).unwrap_or(value.len() - 1),
            None => value.find(|c: char| c.is_whitespace() || matches!(c, ',' | '}' | '#')).unwrap_or(value.len()),
        };
        let start = start + usize::from(quote.is_some());
        found.push(start..start + length);
    }
    found
}

fn is_secret(name: &str) -> bool {
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    words.any(|word| {
        let word = word.to_ascii_uppercase();
        SECRET_WORDS.contains(&word.as_str()) || word.contains("PASSWORD") || word.contains("SECRET")
    })
}

/// In order, without empty ones, and those that overlap as one.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut apart: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match apart.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::{line, sentence};
    use proptest::prelude::*;

    #[test]
    fn passwords_and_tokens_are_not_shown() {
        let cases = [
            (r#"amqp = "amqp://shop:hunter2@broker:5672/""#, r#"amqp = "amqp://shop:***@broker:5672/""#),
            (r#"url = "postgres://shop:hun/ter@2@db/x""#, r#"url = "postgres://shop:***@db/x""#),
            (r#"url = "postgres://shop:hunter2@db/x"#, r#"url = "postgres://shop:***@db/x"#),
            (r#"url = "postgres://shop@db/x""#, r#"url = "postgres://shop@db/x""#),
            (r#"amqp = "amqp:/shop:hunter2@broker""#, r#"amqp = "amqp:***@broker""#),
            (r#"DSN = "https://hunter2@sentry.io/1""#, r#"DSN = "https://***@sentry.io/1""#),
            (r#"x = "redis://db/1?password=hunter2&db=1""#, r#"x = "redis://db/1?password=***&db=1""#),
            (r#"e = ["otlp://u:hunter2@a", "otlp://b"]"#, r#"e = ["otlp://u:***@a", "otlp://b"]"#),
            (r#"env = { STRIPE_KEY = "hunter2", A = "b" }"#, r#"env = { STRIPE_KEY = "***", A = "b" }"#),
            (r#"env = { "db-password" = 'hunter2"#, r#"env = { "db-password" = '***"#),
            ("env = { API_TOKEN = hunter2, A = 1 }", "env = { API_TOKEN = ***, A = 1 }"),
            (r#"env = { MONKEY = "banana" }"#, r#"env = { MONKEY = "banana" }"#),
            (r#"secrets = "STRIPE_KEY""#, r#"secrets = "STRIPE_KEY""#),
        ];
        for (text, expected) in cases {
            assert_eq!(line(text, &(0..1)).0, expected);
        }
        assert_eq!(sentence("no `amqp://a:hunter2@b` here"), "no `amqp://a:***@b` here");
    }

    #[test]
    fn a_mark_stays_at_what_is_meant() {
        let text = r#"ü = "amqp://u:hunter2@b", wrong = 1"#;
        let start = text.find("wrong").unwrap();
        let (shown, mark) = line(text, &(start..start + 5));
        let marked: String = shown.chars().skip(mark.start).take(mark.len()).collect();
        assert_eq!(marked, "wrong");
        let whole = text.find('"').unwrap()..text.find(',').unwrap();
        let (shown, mark) = line(text, &whole);
        let marked: String = shown.chars().skip(mark.start).take(mark.len()).collect();
        assert_eq!(marked, r#""amqp://u:***@b""#);
        assert_eq!(line("abc", &(3..3)).1, 3..4);
        assert_eq!(line("", &(0..0)).1, 0..1);
    }

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        assert_eq!(line("a\u{1b}[31m\tb\u{202e}", &(0..1)).0, "a\u{fffd}[31m\tb\u{fffd}");
    }

    proptest! {
        #[test]
        fn no_line_brings_it_down(text in "\\PC{0,60}|[a:/@?=&\"'KEY_ ü]{0,40}", start in 0_usize..80, length in 0_usize..20) {
            let bound = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let (start, end) = (bound(start), bound(start + length));
            let (shown, mark) = line(&text, &(start..end));
            prop_assert!(!mark.is_empty() && mark.start <= shown.chars().count());
        }
    }
}
