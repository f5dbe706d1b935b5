//! A program and its arguments out of one line, by the rules of quoting that a shell has, and no shell.
//!
//! What only a shell could do (`&&`, pipes, variables) is refused: it would be handed to the program as an argument.

use std::fmt;
use std::str::FromStr;

/// A line and its words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandLine {
    text: Box<str>,
    words: Vec<String>,
}

/// Why a line is no program with arguments.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidCommandLine {
    /// There is no word in it.
    #[error("there is no program in it")]
    Empty,
    /// A quote that does not end.
    #[error("the quote {0} does not end")]
    OpenQuote(char),
    /// Something that needs a shell.
    #[error("`{0}` needs a shell, and none is started")]
    Shell(String),
    /// A NUL byte, which no argument can hold.
    #[error("an argument cannot hold a NUL character")]
    Nul,
}

impl CommandLine {
    /// The line as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The program and its arguments; never empty.
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

impl FromStr for CommandLine {
    type Err = InvalidCommandLine;

    fn from_str(text: &str) -> Result<Self, InvalidCommandLine> {
        if text.contains('\0') {
            return Err(InvalidCommandLine::Nul);
        }
        let words = split(text)?;
        if words.first().is_none_or(String::is_empty) {
            return Err(InvalidCommandLine::Empty);
        }
        Ok(Self { text: text.into(), words })
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

fn split(text: &str) -> Result<Vec<String>, InvalidCommandLine> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (None, '|' | '&' | ';' | '<' | '>' | '`') => return Err(InvalidCommandLine::Shell(character.to_string())),
            (None | Some('"'), '$') => return Err(InvalidCommandLine::Shell("$".to_owned())),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    quote.map_or(Ok(words), |open| Err(InvalidCommandLine::OpenQuote(open)))
}

#[cfg(test)]
mod tests {
    use super::{CommandLine, InvalidCommandLine};

    fn words(text: &str) -> Vec<String> {
        text.parse::<CommandLine>().unwrap().words().to_vec()
    }

    #[test]
    fn quotes_and_backslashes_join_words() {
        assert_eq!(words("python manage.py migrate"), ["python", "manage.py", "migrate"]);
        assert_eq!(words(r#"run 'a b' "c d" e\ f ''"#), ["run", "a b", "c d", "e f", ""]);
        assert_eq!(words(r#"x --set="a b"'c'"#), ["x", "--set=a bc"]);
    }

    #[test]
    fn what_needs_a_shell_is_refused() {
        for (text, sign) in
            [("a && b", "&"), ("a | b", "|"), ("a; b", ";"), ("a > b", ">"), ("a $B", "$"), ("a `b`", "`")]
        {
            assert_eq!(text.parse::<CommandLine>(), Err(InvalidCommandLine::Shell(sign.to_owned())), "{text}");
        }
        assert!("a '&& $b'".parse::<CommandLine>().is_ok());
        assert_eq!("a 'b".parse::<CommandLine>(), Err(InvalidCommandLine::OpenQuote('\'')));
        assert_eq!("  ".parse::<CommandLine>(), Err(InvalidCommandLine::Empty));
    }
}
