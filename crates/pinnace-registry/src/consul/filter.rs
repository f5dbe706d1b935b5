//! Expressions of `?filter=`, over the JSON that would be answered: `Service.Port == 8080 and "v1" in Service.Tags`.
//!
//! Served are `==`, `!=`, `in`, `not in`, `contains`, `not contains`, `matches`, `not matches`, `is empty`, `is not empty`,
//! `and`, `or`, `not` and parentheses. What `matches` is given takes time linear in the text, whatever it is.

use http::StatusCode;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::query::Refused;

/// Members whose own members are free, so that one that is absent is no mistake.
const FREE: [&str; 6] = ["Meta", "ServiceMeta", "NodeMeta", "TaggedAddresses", "ServiceTaggedAddresses", "Definition"];
const MAX_LENGTH: usize = 4096;
const MAX_DEPTH: usize = 64;
/// The bytes of a compiled regular expression.
const MAX_REGEX: usize = 256 << 10;

/// A parsed expression.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Equal(Vec<String>, String),
    Contains(Vec<String>, String),
    Empty(Vec<String>),
    Matches(Vec<String>, Regex),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Open,
    Close,
    Equal,
    Unequal,
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self, Refused> {
        if text.len() > MAX_LENGTH {
            return Err(refused("it is too long"));
        }
        let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
        let filter = parser.any()?;
        match parser.tokens.next() {
            None => Ok(filter),
            Some(token) => Err(refused(&format!("{token:?} is not expected there"))),
        }
    }

    /// The items that it is true of.
    pub(super) fn retain(&self, items: Vec<Value>) -> Result<Vec<Value>, Refused> {
        let mut kept = Vec::new();
        for item in items {
            if self.is_true_of(&item)? {
                kept.push(item);
            }
        }
        Ok(kept)
    }

    pub(super) fn is_true_of(&self, item: &Value) -> Result<bool, Refused> {
        Ok(match self {
            Self::And(left, right) => left.is_true_of(item)? && right.is_true_of(item)?,
            Self::Or(left, right) => left.is_true_of(item)? || right.is_true_of(item)?,
            Self::Not(inner) => !inner.is_true_of(item)?,
            Self::Equal(path, wanted) => find(item, path)?.is_some_and(|value| is(value, wanted)),
            Self::Contains(path, wanted) => match find(item, path)? {
                Some(Value::Array(values)) => values.iter().any(|value| is(value, wanted)),
                Some(Value::Object(members)) => members.contains_key(wanted),
                Some(Value::String(text)) => text.contains(wanted.as_str()),
                _ => false,
            },
            Self::Matches(path, regex) => {
                find(item, path)?.and_then(Value::as_str).is_some_and(|text| regex.is_match(text))
            }
            Self::Empty(path) => match find(item, path)? {
                Some(Value::Array(values)) => values.is_empty(),
                Some(Value::Object(members)) => members.is_empty(),
                Some(Value::String(text)) => text.is_empty(),
                Some(_) => false,
                None => true,
            },
        })
    }
}

impl Parser {
    fn any(&mut self) -> Result<Filter, Refused> {
        let mut left = self.all()?;
        while self.word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Filter, Refused> {
        let mut left = self.one()?;
        while self.word("and") {
            left = Filter::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Filter, Refused> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(refused("it is nested too deeply"));
        }
        let filter = if self.word("not") {
            Filter::Not(Box::new(self.one()?))
        } else if self.tokens.next_if_eq(&Token::Open).is_some() {
            let inner = self.any()?;
            self.tokens.next_if_eq(&Token::Close).ok_or_else(|| refused("a parenthesis is not closed"))?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn comparison(&mut self) -> Result<Filter, Refused> {
        let first = self.text()?;
        let negated = |is_negated: bool, filter: Filter| {
            if is_negated { Filter::Not(Box::new(filter)) } else { filter }
        };
        if self.tokens.next_if_eq(&Token::Equal).is_some() {
            return Ok(Filter::Equal(path(&first)?, self.text()?));
        }
        if self.tokens.next_if_eq(&Token::Unequal).is_some() {
            return Ok(negated(true, Filter::Equal(path(&first)?, self.text()?)));
        }
        if self.word("is") {
            let is_not = self.word("not");
            return if self.word("empty") {
                Ok(negated(is_not, Filter::Empty(path(&first)?)))
            } else {
                Err(refused("`is` is followed by `empty` or `not empty`"))
            };
        }
        let is_not = self.word("not");
        if self.word("in") {
            return Ok(negated(is_not, Filter::Contains(path(&self.text()?)?, first)));
        }
        if self.word("contains") {
            return Ok(negated(is_not, Filter::Contains(path(&first)?, self.text()?)));
        }
        if self.word("matches") {
            let text = self.text()?;
            let built = RegexBuilder::new(&text).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build();
            let regex = built.map_err(|_| refused("the regular expression is not understood, or too large"))?;
            return Ok(negated(is_not, Filter::Matches(path(&first)?, regex)));
        }
        Err(refused(
            "==, !=, in, not in, contains, not contains, matches, not matches, is empty or is not empty is expected",
        ))
    }

    fn text(&mut self) -> Result<String, Refused> {
        match self.tokens.next() {
            Some(Token::Word(text) | Token::Quoted(text)) => Ok(text),
            _ => Err(refused("a selector or a value is missing")),
        }
    }

    fn word(&mut self, wanted: &str) -> bool {
        let is_it = |token: &Token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted));
        self.tokens.next_if(is_it).is_some()
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, Refused> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '=' if rest.starts_with("==") => (Token::Equal, 2),
            '!' if rest.starts_with("!=") => (Token::Unequal, 2),
            '"' | '`' => {
                let end = rest[1..].find(first).ok_or_else(|| refused("a quotation is not closed"))?;
                (Token::Quoted(rest[1..=end].to_owned()), end + 2)
            }
            _ => {
                // Within brackets anything is a part of the selector: `Meta["a b"]`.
                let mut in_brackets = false;
                let ends = |character: char| {
                    match character {
                        '[' => in_brackets = true,
                        ']' => in_brackets = false,
                        _ => {}
                    }
                    !in_brackets
                        && (character.is_whitespace() || matches!(character, '(' | ')' | '=' | '!' | '"' | '`'))
                };
                let end = rest.find(ends).unwrap_or(rest.len());
                if end == 0 {
                    return Err(refused(&format!("`{first}` is not expected")));
                }
                (Token::Word(rest[..end].to_owned()), end)
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// `Service.Meta["a b"].c` as its parts.
fn path(selector: &str) -> Result<Vec<String>, Refused> {
    let mut parts = Vec::new();
    let mut rest = selector;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = inner.find(']').ok_or_else(|| refused("a bracket is not closed"))?;
            parts.push(inner[..end].trim_matches(['"', '`']).to_owned());
            rest = &inner[end + 1..];
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            parts.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    let free = parts.iter().position(|part| FREE.contains(&part.as_str()));
    // A key of metadata may hold dots.
    if let Some(free) = free.filter(|free| parts.len() > free + 2) {
        let key = parts.split_off(free + 1).join(".");
        parts.push(key);
    }
    Ok(parts)
}

fn find<'a>(item: &'a Value, path: &[String]) -> Result<Option<&'a Value>, Refused> {
    let mut value = item;
    for (depth, part) in path.iter().enumerate() {
        let is_free = depth > 0 && FREE.contains(&path[depth - 1].as_str());
        match value.get(part) {
            Some(inner) => value = inner,
            None if is_free => return Ok(None),
            None => return Err(refused(&format!("Selector \"{}\" is not valid", path.join(".")))),
        }
    }
    Ok(Some(value))
}

fn is(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Number(number) => number.to_string() == wanted,
        Value::Bool(flag) => wanted.parse() == Ok(*flag),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn refused(problem: &str) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, format!("Failed to create boolean expression evaluator: {problem}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Filter;

    #[test]
    fn the_common_expressions_say_what_consul_says() {
        let item = json!({ "Service": { "ID": "web 1", "Port": 8080, "Tags": ["v1", "blue"],
            "Meta": { "a.b": "c" }, "EnableTagOverride": false }, "Node": { "Meta": {} }, "Checks": [] });
        for (text, expected) in [
            (r#"Service.ID == "web 1""#, true),
            ("Service.Port == 8080", true),
            ("Service.Port!=8080", false),
            (r#""v1" in Service.Tags and `red` not in Service.Tags"#, true),
            (r#"Service.Tags contains "blue" or Service.Port == 1"#, true),
            (r#"not (Service.Tags contains "blue")"#, false),
            ("Service.Tags is not empty and Node.Meta is empty", true),
            (r#"Service.Meta["a.b"] == c"#, true),
            ("Service.Meta.a.b == c", true),
            ("Service.Meta.absent == c", false),
            ("Service.Meta.absent != c", true),
            (r#""a.b" in Service.Meta"#, true),
            ("Service.EnableTagOverride == false", true),
            (r#"Service.ID matches "^web [0-9]+$""#, true),
            ("Service.ID not matches `^web`", false),
            ("Service.Meta.absent matches `.*`", false),
        ] {
            assert_eq!(Filter::parse(text).unwrap().is_true_of(&item).unwrap(), expected, "{text}");
        }
        assert!(Filter::parse("Service.Nothing == 1").unwrap().is_true_of(&item).is_err());
    }

    #[test]
    fn nonsense_is_an_error_and_never_a_crash() {
        let deep = format!("{}a == b{}", "(".repeat(2000), ")".repeat(2000));
        let nots = format!("{} a == b", "not ".repeat(900));
        for text in [
            "",
            "a",
            "a ==",
            "a == b c",
            "(a == b",
            "a = b",
            "\"a",
            "a is",
            "a matches `(`",
            "a matches `(\\w{99}){99}`",
            "[",
            "== ==",
            &deep,
            &nots,
        ] {
            let parsed = Filter::parse(text);
            assert!(parsed.is_err() || parsed.unwrap().is_true_of(&json!({})).is_err(), "{text}");
        }
    }
}
