//! What is printed of the table: the reference page, and a table for each server whose users come here.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};
use pinnace_manifest::keys::{self, Section};

use super::{Foreign, Server, Verdict, table, variable};

/// What `up` chooses itself for a service, by another key or for a reason.
pub(super) const BY_UP: &[(&str, &str)] = &[
    ("target", "`app`"),
    ("app-dir", "`path`"),
    ("bind", "chosen"),
    ("host", "chosen"),
    ("port", "chosen"),
    ("uds", "chosen"),
    ("uds-mode", "chosen"),
    ("fd", "chosen"),
    ("backlog", "chosen"),
    ("workers", "`workers`"),
    ("threads", "`threads`"),
    ("python", "`venv`, `python`"),
    ("env", "`env`"),
    ("env-file", "`env`, `secrets`"),
    ("pythonpath", "`env`"),
    ("proxy-headers", "`serve.forwarded_allow_ips`"),
    ("no-proxy-headers", "`serve.forwarded_allow_ips`"),
    ("reload", "`up` follows files"),
    ("reload-dir", "`watch`"),
    ("reload-include", "`watch`"),
    ("reload-exclude", "`.gitignore`"),
    ("ready-timeout", "`ready_timeout`"),
    ("grace", "`stop_timeout`"),
    ("name", "the service's name"),
    ("pid", "`pinnace ps`"),
    ("registry", "`engines.discovery`"),
    ("advertise", "chosen"),
    ("tag", "chosen"),
    ("weight", "chosen"),
    ("log-format", "`pinnace logs`"),
    ("workers-max-rss", "`serve.max_memory`"),
    ("no-shed", "`serve.shed`"),
    ("no-access-log", "`serve.access_log`"),
];

/// The reference page of `pinnace serve`.
pub fn reference(tree: &Command) -> String {
    let mut page = "# Options of `pinnace serve`\n\nGenerated from the one table of options. An option of the command line goes \
        before its variable, a variable before the\ndefault. In a system, `pinnace up` gives each hosted service what \
        `[service.NAME]` and `[service.NAME.serve]` of\n[pinnace.toml](manifest.md) say, and no variable counts. Durations have \
        a unit (`30s`, `1h`) or are seconds.\n\nNames in brackets are those of other servers, with the same meaning: coming from \
        [uvicorn](../hosting/from-uvicorn.md),\n[gunicorn](../hosting/from-gunicorn.md), \
        [granian](../hosting/from-granian.md).\n\n| option | variable | `pinnace.toml` | default | meaning |\n|---|---|---|---|---|\n"
        .to_owned();
    for argument in own(tree).filter(|argument| !argument.is_hide_set()) {
        let name = name(argument);
        let (meaning, default) = said(argument);
        let _ = writeln!(
            page,
            "| {} | `{}` | {} | {default} | {} |",
            shown(argument),
            variable(&name),
            place(&name),
            cell(&meaning)
        );
    }
    page
}

/// The options of another server and what each does here.
pub fn options_of(server: Server, tree: &Command) -> String {
    let mut text = "| option | here | |\n|---|---|---|\n".to_owned();
    for row in table::ROWS.iter().filter(|row| row.servers.contains(&server)) {
        let short =
            row.short.filter(|_| server == Server::Gunicorn).map(|short| format!("-{short}, ")).unwrap_or_default();
        let _ = writeln!(text, "| `{short}--{}` | {} | {} |", row.name, here(row, tree), cell(&remark(row)));
    }
    text
}

fn here(row: &Foreign, tree: &Command) -> String {
    match row.verdict {
        Verdict::Ours(_) => {
            let owner = own(tree).find(|argument| answers_to(argument, row.name)).map(name).unwrap_or_default();
            if owner == row.name { "the same".to_owned() } else { format!("the same as `--{owner}`") }
        }
        Verdict::Idle(..) => "changes nothing".to_owned(),
        Verdict::Words(words, ..) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("{} changes nothing; else refused", words.join(", "))
        }
        Verdict::Refused(..) => "refused".to_owned(),
    }
}

fn remark(row: &Foreign) -> String {
    match row.verdict {
        Verdict::Ours(text) | Verdict::Idle(_, text) | Verdict::Refused(_, text) => text.to_owned(),
        Verdict::Words(_, reason, instead) if reason == instead => reason.to_owned(),
        Verdict::Words(_, reason, instead) => format!("{reason}; else: {instead}"),
    }
}

/// The options that are ours, without those that only answer others' names.
pub(super) fn own(tree: &Command) -> impl Iterator<Item = &Arg> {
    let serve = tree.find_subcommand("serve").into_iter();
    let foreign = |argument: &&Arg| {
        let row = table::ROWS.iter().find(|row| argument.get_id().as_str() == row.name);
        row.is_none_or(|row| matches!(row.verdict, Verdict::Ours(_)))
    };
    let builtin = |argument: &&Arg| {
        matches!(
            argument.get_action(),
            ArgAction::Help | ArgAction::HelpLong | ArgAction::HelpShort | ArgAction::Version
        )
    };
    serve.flat_map(Command::get_arguments).filter(foreign).filter(move |argument| !builtin(argument))
}

/// Whether an option has this long name, itself or as an alias.
pub(super) fn answers_to(argument: &Arg, name: &str) -> bool {
    argument.get_long() == Some(name) || argument.get_all_aliases().unwrap_or_default().contains(&name)
}

/// `max-requests`, or `target` of the one that has no hyphens.
pub(super) fn name(argument: &Arg) -> String {
    argument.get_long().map_or_else(|| argument.get_id().to_string(), str::to_owned)
}

/// The key of the manifest's table for options.
pub(super) fn key(name: &str) -> String {
    name.replace('-', "_")
}

fn place(name: &str) -> String {
    let key = key(name);
    if keys::table().iter().any(|row| row.section == Section::Serve && row.name == key) {
        return format!("`serve.{key}`");
    }
    BY_UP.iter().find(|(known, _)| *known == name).map_or_else(|| "–".to_owned(), |(_, place)| (*place).to_owned())
}

/// The help of an option without the default in it, and that.
fn said(argument: &Arg) -> (String, String) {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    if let Some((help, default)) = help.split_once(" [default: ") {
        return (help.to_owned(), cell(default.trim_end_matches(']')));
    }
    let values: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = values.join(", ");
    let is_shown = argument.get_action().takes_values() && !default.is_empty();
    (help, if is_shown { format!("`{default}`") } else { "–".to_owned() })
}

fn shown(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    if argument.is_positional() {
        return format!("`{}`", value.unwrap_or_else(|| argument.get_id().to_string().to_uppercase()));
    }
    let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let value =
        value.filter(|_| argument.get_action().takes_values()).map(|value| format!(" {value}")).unwrap_or_default();
    let aliases: Vec<String> =
        argument.get_visible_aliases().unwrap_or_default().iter().map(|alias| format!("`--{alias}`")).collect();
    let aliases = if aliases.is_empty() { String::new() } else { format!(" ({})", aliases.join(", ")) };
    format!("`{short}--{}{value}`{aliases}", name(argument))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
