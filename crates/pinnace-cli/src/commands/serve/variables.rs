//! What workers are given in words: variables from files and flags, and header fields.

use std::collections::BTreeMap;
use std::path::Path;

use pinnace_types::ExitCode;

use crate::Complaint;

/// `NAME=value`.
pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if is_name(name) => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write `NAME=value`".to_owned()),
    }
}

/// `Name:Value`.
pub(super) fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write `Name:Value`")?;
    let value = value.trim();
    let name =
        http::HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| format!("`{name}` is no field's name"))?;
    if matches!(name.as_str(), "content-length" | "transfer-encoding" | "connection" | "date") {
        return Err(format!("`{name}` is written by the server"));
    }
    http::HeaderValue::from_str(value).map_err(|_| "a value has no control characters".to_owned())?;
    Ok((name.to_string(), value.to_owned()))
}

/// The variables of a file: `NAME=value` or `export NAME=value` a line, `#` before a comment, values bare, in single
/// quotes as they stand, or in double quotes with `\n`, `\"`, `\\` and `\$`. `${NAME}` and `${NAME:-other}` take what was set
/// before, in bare and in double-quoted values.
pub(super) fn of_file(path: &Path, known: &dyn Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, Complaint> {
    let complain = |message: String| Complaint::new(ExitCode::Usage, message);
    let text = fs_err::read_to_string(path).map_err(|error| complain(format!("--env-file: {error}")))?;
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut ordered = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let lookup = |name: &str| known(name).or_else(|| found.get(name).cloned());
        let read = line.strip_prefix("export ").unwrap_or(line).split_once('=').and_then(|(name, value)| {
            let name = name.trim();
            is_name(name).then_some(name).zip(value_of(value.trim(), &lookup))
        });
        let Some((name, value)) = read else {
            let message = format!("{}:{}: this is no variable", path.display(), number + 1);
            return Err(
                complain(message).with_hint("write `NAME=value`, `NAME='value'` or `NAME=\"value\"`, in one line")
            );
        };
        if found.insert(name.to_owned(), value).is_none() {
            ordered.push(name.to_owned());
        }
    }
    Ok(ordered.into_iter().filter_map(|name| found.remove(&name).map(|value| (name, value))).collect())
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn value_of(text: &str, known: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let ends = |rest: &str| rest.trim().is_empty() || rest.trim_start().starts_with('#');
    if let Some(inner) = text.strip_prefix('\'') {
        let (value, rest) = inner.split_once('\'')?;
        return ends(rest).then(|| value.to_owned());
    }
    if let Some(inner) = text.strip_prefix('"') {
        let mut escaped = false;
        let end = inner.find(|character| {
            let is_end = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            is_end
        })?;
        return ends(&inner[end + 1..]).then(|| expand(&inner[..end], true, known)).flatten();
    }
    // A comment begins behind a blank.
    let bare = text.split_once(" #").map_or(text, |(value, _)| value).trim_end();
    expand(bare, false, known)
}

/// Fills in `${NAME}`; nothing where a brace is left open.
fn expand(text: &str, escapes: bool, known: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '$']) {
        value.push_str(&rest[..at]);
        rest = &rest[at..];
        if escapes && let Some(after) = rest.strip_prefix('\\') {
            let escaped = after.chars().next()?;
            match escaped {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                '"' | '\\' | '$' => value.push(escaped),
                other => value.extend(['\\', other]),
            }
            rest = &after[escaped.len_utf8()..];
        } else if let Some(inner) = rest.strip_prefix("${") {
            let (expression, after) = inner.split_once('}')?;
            let (name, other) = expression.split_once(":-").unwrap_or((expression, ""));
            let set = known(name).filter(|set| !set.is_empty());
            value.push_str(&set.unwrap_or_else(|| other.to_owned()));
            rest = after;
        } else {
            let first = rest.chars().next()?;
            value.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    value.push_str(rest);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::{assignment, field, of_file};

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        fs_err::write(&path, text).unwrap();
        let known = |name: &str| (name == "HOME").then(|| "/home/ada".to_owned());
        of_file(&path, &known).map_err(|complaint| format!("{complaint:?}"))
    }

    #[test]
    fn a_file_is_read_as_dotenv_reads_it() {
        let text = "# a comment\n\nA=1\nexport B = two words # said so\nC='as $it \\n stands' # c\nD=\"line\\nnext \\\"q\\\" ${A}\"\n\
                    E=${HOME}/x#y\nF=${NONE:-other}\nG=\nH=a\\b$\nA=last\n";
        let expected = [
            ("A", "last"),
            ("B", "two words"),
            ("C", "as $it \\n stands"),
            ("D", "line\nnext \"q\" 1"),
            ("E", "/home/ada/x#y"),
            ("F", "other"),
            ("G", ""),
            ("H", "a\\b$"),
        ];
        let found = read(text).unwrap();
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_line_that_is_none_is_told_with_its_number() {
        for bad in ["A", "1A=x", "A='open", "A=\"open", "A=${open", "A='x' y", "=x"] {
            let error = read(&format!("OK=1\n{bad}\n")).unwrap_err();
            assert!(error.contains(":2: this is no variable"), "{bad}: {error}");
        }
    }

    #[test]
    fn flags_are_checked() {
        assert_eq!(assignment("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(assignment("A").is_err() && assignment("1=2").is_err());
        assert_eq!(field("X-Frame-Options: DENY"), Ok(("x-frame-options".to_owned(), "DENY".to_owned())));
        for bad in ["x", "a b:c", "X:a\nb", "Content-Length:1"] {
            assert!(field(bad).is_err(), "{bad}");
        }
    }
}
