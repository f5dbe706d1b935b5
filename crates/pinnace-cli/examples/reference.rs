//! Prints what is generated from the command line: the reference page of all commands, that of the options of `serve`,
//! and the tables of other servers' options. `cargo xtask generate` writes them into docs.
//!
//! A program of its own, so that `xtask` need not be built with all that the command stands on.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Arg, ArgAction, Command};
use pinnace_cli::serve_options::{Server, options_of, reference};

const HEAD: &str = "# The command line\n\nGenerated from the command tree; `pinnace COMMAND --help` shows the same. \
    Data goes to standard output, talk to standard error;\ncolour is shown on a terminal only. How a command ends is in \
    [exit codes](exit-codes.md).\n";

fn main() -> std::io::Result<()> {
    let tree = pinnace_cli::command();
    let page = match std::env::args().nth(1).as_deref() {
        Some("serve") => reference(&tree),
        Some("uvicorn") => options_of(Server::Uvicorn, &tree),
        Some("gunicorn") => options_of(Server::Gunicorn, &tree),
        Some("granian") => options_of(Server::Granian, &tree),
        Some(_) | None => commands_page(&tree),
    };
    std::io::stdout().write_all(page.as_bytes())
}

fn commands_page(tree: &Command) -> String {
    let mut page = HEAD.to_owned();
    let commands = || tree.get_subcommands().filter(|command| !command.is_hide_set());
    page.push_str("\n| command | what it does |\n|---|---|\n");
    for command in commands() {
        let name = command.get_name();
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(page, "| [`pinnace {name}`](#pinnace-{name}) | {} |", about(command));
    }
    for command in commands() {
        page.push_str(&section(command.clone()));
    }
    page
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn section(mut command: Command) -> String {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let mut text = format!("\n## `pinnace {}`\n\n{}.\n\n", command.get_name(), about(&command));
    let _ = writeln!(text, "```text\npinnace {usage}\n```");
    if command.get_name() == "serve" {
        text.push_str("\nIts options, with their variables and keys of `pinnace.toml`: [serve](serve.md).\n");
        return text;
    }
    let arguments: Vec<&Arg> = command.get_arguments().filter(|argument| is_worth_a_row(argument)).collect();
    if !arguments.is_empty() {
        text.push_str("\n| argument | default | meaning |\n|---|---|---|\n");
    }
    for argument in arguments {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let (help, stated) = match help.split_once(" [default: ") {
            Some((help, default)) => (help.to_owned(), Some(default.trim_end_matches(']').to_owned())),
            None => (help, None),
        };
        let values: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let takes_value = argument.get_action().takes_values();
        let default = match (stated, values.join(", ")) {
            (Some(stated), _) => stated,
            (None, value) if !takes_value || value.is_empty() => "–".to_owned(),
            (None, value) => format!("`{value}`"),
        };
        let choices: Vec<_> =
            argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        let choices =
            if takes_value && !choices.is_empty() { format!(": {}", choices.join(", ")) } else { String::new() };
        let _ = writeln!(text, "| `{}` | {} | {}{choices} |", shown(argument), cell(&default), cell(&help));
    }
    text
}

fn is_worth_a_row(argument: &Arg) -> bool {
    !argument.is_hide_set() && !matches!(argument.get_action(), ArgAction::Help | ArgAction::Version)
}

/// `-f, --follow` or `--tail <N>` or `SERVICE`.
fn shown(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    if argument.is_positional() {
        return value.unwrap_or_else(|| argument.get_id().to_string().to_uppercase());
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    match value.filter(|_| argument.get_action().takes_values()) {
        Some(value) => format!("{names} {value}"),
        None => names,
    }
}

/// What may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
