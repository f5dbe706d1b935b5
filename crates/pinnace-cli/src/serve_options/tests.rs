//! Flags, keys of the manifest and options of other servers say the same.

use std::collections::BTreeSet;

use clap::{ArgMatches, Command};
use pinnace_manifest::keys::{self, Section, Shape};

use super::page::{BY_UP, answers_to, key, name, own};
use super::{Takes, Verdict, judge, table, variable};

fn tree() -> Command {
    crate::command()
}

fn parse(words: &[&str]) -> Result<ArgMatches, clap::Error> {
    tree().try_get_matches_from([&["pinnace", "serve"], words].concat())
}

#[test]
fn every_option_is_a_key_of_the_manifest_or_chosen_by_up() {
    let tree = tree();
    let mut left: BTreeSet<String> =
        keys::table().iter().filter(|key| key.section == Section::Serve).map(|key| key.name.to_owned()).collect();
    for argument in own(&tree) {
        let name = name(argument);
        let is_key = left.remove(&key(&name));
        let is_chosen = BY_UP.iter().any(|(chosen, _)| *chosen == name);
        assert!(is_key != is_chosen, "--{name}: a row `key(Serve, \"{}\", …)` in keys.rs, or one in BY_UP", key(&name));
    }
    assert_eq!(left, BTreeSet::new(), "keys that are no options");
}

#[test]
fn what_the_manifest_takes_is_taken_by_the_option() {
    for row in keys::table().iter().filter(|row| row.section == Section::Serve) {
        let values: &[&str] = match row.shape {
            Shape::Number(_) => &["1"],
            Shape::Size => &["64KiB"],
            Shape::Duration => &["90s"],
            Shape::Word(words) => words,
            Shape::Flag => &["true", "false"],
            Shape::Text if row.name == "forwarded_allow_ips" => &["10.0.0.0/8"],
            Shape::Text => &["/x"],
            Shape::Texts => &["X-Name:value"],
            Shape::TextOrTexts | Shape::TextTable | Shape::Table(_) | Shape::Tables(_) => panic!("{}", row.name),
        };
        for value in values {
            let words = keys::serve_flag(row.name, value);
            let words: Vec<&str> =
                [&["main:app"], words.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat();
            parse(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        }
    }
}

#[test]
fn every_option_of_others_is_ours_or_answered() {
    let tree = tree();
    for row in table::ROWS {
        let owners = own(&tree).filter(|argument| answers_to(argument, row.name)).count();
        match row.verdict {
            Verdict::Ours(_) => assert_eq!(owners, 1, "--{} is an option", row.name),
            _ => assert_eq!(owners, 0, "--{} is an option now: make its row `ours(…)`", row.name),
        }
    }
    let names: BTreeSet<&str> = table::ROWS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), table::ROWS.len(), "a name stands twice");
}

#[test]
fn what_is_refused_says_what_to_do_and_what_is_idle_is_taken() {
    for row in table::ROWS {
        let flag = format!("--{}", row.name);
        let with_value = |value: &str| parse(&[&flag, value, "main:app"]).map(|matches| judge(&matches));
        let answered = match row.verdict {
            Verdict::Ours(_) => continue,
            Verdict::Idle(Takes::Value, _) | Verdict::Refused(Takes::Value, _) => with_value("7"),
            Verdict::Idle(Takes::Nothing, _) | Verdict::Refused(Takes::Nothing, _) => {
                parse(&[&flag, "main:app"]).map(|matches| judge(&matches))
            }
            Verdict::Words(words, ..) => {
                for word in words {
                    assert_eq!(with_value(word).unwrap(), Ok(()), "{flag} {word}");
                }
                with_value("something-else")
            }
        };
        let answered = answered.unwrap_or_else(|error| panic!("{flag}: {error}"));
        let is_idle = matches!(row.verdict, Verdict::Idle(..));
        assert_eq!(answered.is_ok(), is_idle, "{flag}: {answered:?}");
    }
}

#[test]
fn the_target_is_not_taken_for_a_value() {
    let matches = parse(&["--preload", "-k", "gthread", "-w", "2", "main:app", "--loop", "auto"]).unwrap();
    let serve = matches.subcommand_matches("serve").unwrap();
    assert_eq!(serve.get_one::<String>("target").map(String::as_str), Some("main:app"));
    assert_eq!(serve.get_one::<u32>("workers"), Some(&2));
}

#[test]
fn a_variable_is_named_after_its_option() {
    assert_eq!(variable("max-requests"), "PINNACE_SERVE_MAX_REQUESTS");
    let tree = tree();
    for argument in own(&tree) {
        let expected = variable(&name(argument));
        assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(expected.as_str()));
    }
}
