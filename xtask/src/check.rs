//! `cargo xtask check`: the rules of the house that clippy cannot hold.
//!
//! A rule is a function from a file to its complaints; adding one means adding a function and its test.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::runtime::workspace_root;

/// Lines that a source file may have, and a test.
const MOST_LINES: usize = 600;
const MOST_TEST_LINES: usize = 800;
/// The crates in which unsafe code may stand.
const MAY_BE_UNSAFE: [&str; 2] = ["pinnace-os", "pinnace-python"];

/// A file under version control.
struct Source {
    path: PathBuf,
    text: String,
}

/// Runs every rule over every file that git knows.
pub(crate) fn run() -> Result<(), String> {
    let root = workspace_root();
    let sources = sources(&root)?;
    let mut complaints: Vec<String> = sources.iter().flat_map(complaints_about).collect();
    complaints.extend(crates_without_a_row(&root)?);
    complaints.extend(crate::generate::stale(&root)?);
    if complaints.is_empty() {
        return Ok(());
    }
    Err(format!("the rules of the house are broken:\n  {}", complaints.join("\n  ")))
}

fn sources(root: &Path) -> Result<Vec<Source>, String> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git: {error}"))?;
    let names = String::from_utf8_lossy(&listing.stdout).into_owned();
    let wanted = |name: &&str| {
        matches!(Path::new(name).extension().and_then(|e| e.to_str()), Some("rs" | "py" | "ts" | "svelte"))
    };
    let read = |name: &str| {
        let text = fs_err::read_to_string(root.join(name)).ok()?;
        Some(Source { path: PathBuf::from(name), text })
    };
    Ok(names.split('\0').filter(wanted).filter_map(read).collect())
}

fn complaints_about(source: &Source) -> Vec<String> {
    let rules = [too_long, unexplained, silenced, unsafe_allowed, postponed];
    rules.iter().filter_map(|rule| rule(source)).map(|what| format!("{}: {what}", source.path.display())).collect()
}

fn too_long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    let path = source.path.to_string_lossy();
    let most = if path.contains("tests") { MOST_TEST_LINES } else { MOST_LINES };
    (lines > most).then(|| format!("{lines} lines; {most} are the limit: which of its ideas can stand alone?"))
}

fn unexplained(source: &Source) -> Option<String> {
    let is_rust = source.path.extension().is_some_and(|extension| extension == "rs");
    (is_rust && !source.text.starts_with("//!")).then(|| "does not open with `//!` and why it exists".to_owned())
}

fn silenced(source: &Source) -> Option<String> {
    let marks = ["#[allow(", "#![allow("];
    let found = source.text.lines().any(|line| marks.iter().any(|mark| line.trim_start().starts_with(mark)));
    found.then(|| "`allow` silences for ever; use #[expect(lint, reason = \"…\")]".to_owned())
}

fn unsafe_allowed(source: &Source) -> Option<String> {
    let mut parts = source.path.iter().filter_map(|part| part.to_str());
    let (Some("crates"), Some(name), Some("src"), Some("lib.rs"), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let forbids = source.text.contains("#![forbid(unsafe_code)]");
    (!MAY_BE_UNSAFE.contains(&name) && !forbids).then(|| "does not say #![forbid(unsafe_code)]".to_owned())
}

fn postponed(source: &Source) -> Option<String> {
    // Put together here, so that this file does not complain about itself.
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let line = source.text.lines().position(|line| {
        marks.iter().any(|mark| line.contains(mark.as_str()) && !line.contains(&format!("{mark}(#")))
    })?;
    Some(format!("line {} postpones something without the number of an issue", line + 1))
}

fn crates_without_a_row(root: &Path) -> Result<Vec<String>, String> {
    let page = fs_err::read_to_string(root.join("ARCHITECTURE.md")).map_err(|error| error.to_string())?;
    let folders = fs_err::read_dir(root.join("crates")).map_err(|error| error.to_string())?;
    let names = folders.flatten().map(|folder| folder.file_name().to_string_lossy().into_owned());
    Ok(names
        .filter(|name| !page.contains(&format!("| `{name}` |")))
        .map(|name| format!("ARCHITECTURE.md: no row for {name}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::{Source, complaints_about};
    use std::path::PathBuf;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        complaints_about(&Source { path: PathBuf::from(path), text: text.to_owned() })
    }

    #[test]
    fn a_file_in_order_has_no_complaint() {
        assert!(complaints("crates/pinnace-x/src/lib.rs", "//! Why.\n\n#![forbid(unsafe_code)]\n").is_empty());
        assert!(complaints("crates/pinnace-os/src/lib.rs", "//! Why.\n").is_empty());
    }

    #[test]
    fn each_rule_bites() {
        let cases = [
            ("a.rs", "fn main() {}\n".to_owned(), "does not open with"),
            ("a.py", "x = 1\n".repeat(601), "601 lines"),
            ("tests/a.py", "x = 1\n".repeat(801), "801 lines"),
            ("a.rs", ["//! Why.\n#", "[allow(dead_code)]\nfn x() {}\n"].concat(), "silences"),
            ("crates/pinnace-x/src/lib.rs", "//! Why.\n".to_owned(), "forbid(unsafe_code)"),
            ("a.py", ["# TO", "DO: later\n"].concat(), "line 1 postpones"),
        ];
        for (path, text, expected) in cases {
            let found = complaints(path, &text);
            assert!(found.len() == 1 && found[0].contains(expected), "{path}: {found:?}");
        }
        assert!(complaints("a.py", &["# TO", "DO(#12): later\n"].concat()).is_empty());
        assert!(complaints("tests/a.py", &"x = 1\n".repeat(800)).is_empty());
    }
}
