//! The one table of `pinnace serve`'s options: each flag with its variable and its key in `pinnace.toml`, and every
//! option of uvicorn, gunicorn and granian with what it does here.
//!
//! Flags themselves, with their help and defaults, are `commands/serve/arguments`. [`complete`] gives each its variable
//! and adds the options of others that are no flags of ours, so that they are answered and never taken for something else;
//! [`judge`] answers them. The reference pages are printed from here by `examples/reference.rs`, and tests hold the three
//! (flags, manifest keys, options of others) to each other.

mod page;
mod table;
#[cfg(test)]
mod tests;

use std::io::Write as _;

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use pinnace_types::ExitCode;

use crate::Complaint;
pub use page::{options_of, reference};

/// What every variable of an option begins with.
const PREFIX: &str = "PINNACE_SERVE_";
/// What variables of other servers begin with.
const FOREIGN_PREFIXES: [&str; 3] = ["UVICORN_", "GRANIAN_", "GUNICORN_CMD_ARGS"];
/// Variables that are named in one line.
const MOST_NAMES: usize = 8;

/// A server whose options are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Server {
    /// <https://www.uvicorn.org/settings/>, 0.54.0.
    Uvicorn,
    /// <https://docs.gunicorn.org/en/latest/settings.html>, 27.0.1.
    Gunicorn,
    /// <https://github.com/emmett-framework/granian>, 2.8.7.
    Granian,
}

/// An option as another server calls it.
#[derive(Clone, Copy, Debug)]
struct Foreign {
    /// Who calls it so.
    servers: &'static [Server],
    /// Its long name, without the hyphens.
    name: &'static str,
    /// Its short name.
    short: Option<char>,
    /// What it does here.
    verdict: Verdict,
}

/// What an option of another server does here.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    /// It is an option of ours with the same meaning, by that name or as an alias of it; what differs besides.
    Ours(&'static str),
    /// It is taken and changes nothing, for that reason.
    Idle(Takes, &'static str),
    /// These values are taken and change nothing, for the first reason; others are refused, for the second.
    Words(&'static [&'static str], &'static str, &'static str),
    /// It is refused; what to do instead.
    Refused(Takes, &'static str),
}

/// Whether a value follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Takes {
    Nothing,
    Value,
}

/// The command tree with what flags of `serve` have besides their own.
pub(crate) fn complete(tree: Command) -> Command {
    tree.mut_subcommand("serve", |serve| {
        let serve = serve.mut_args(with_variable).after_help(format!(
            "Each option has a variable, {PREFIX} and its name, such as {PREFIX}MAX_REQUESTS=1000; the option goes before it. \
             Options of uvicorn, gunicorn and granian are taken where they mean the same, and answered with what to do instead \
             where not."
        ));
        let others = table::ROWS.iter().filter(|row| !matches!(row.verdict, Verdict::Ours(_)));
        others.fold(serve, |serve, row| serve.arg(argument(row)))
    })
}

/// Answers the options of other servers: a line for one that changes nothing, an error for one that cannot be meant.
pub(crate) fn judge(matches: &ArgMatches) -> Result<(), Complaint> {
    let Some(("serve", matches)) = matches.subcommand() else { return Ok(()) };
    for row in table::ROWS {
        if matches!(row.verdict, Verdict::Ours(_)) || matches.value_source(row.name) != Some(ValueSource::CommandLine) {
            continue;
        }
        let values: Vec<&String> =
            matches.try_get_many::<String>(row.name).ok().flatten().into_iter().flatten().collect();
        match row.verdict {
            Verdict::Ours(_) => {}
            Verdict::Idle(_, reason) => note(row.name, reason),
            Verdict::Words(words, reason, instead) => {
                match values.iter().find(|value| !words.contains(&value.as_str())) {
                    Some(bad) => return Err(refusal(&format!("--{} {bad}", row.name), instead)),
                    None => note(row.name, reason),
                }
            }
            Verdict::Refused(_, instead) => return Err(refusal(&format!("--{}", row.name), instead)),
        }
    }
    Ok(())
}

/// Says which variables of other servers are set: they are not read.
pub(crate) fn tell_unread_variables() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))).take(MOST_NAMES).collect();
    if !names.is_empty() {
        names.sort();
        let names = names.join(", ");
        tracing::warn!("not read: {names}; options of `pinnace serve` have variables that begin with {PREFIX}");
    }
}

/// The variable of an option: `PINNACE_SERVE_MAX_REQUESTS`.
fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase().replace('-', "_"))
}

fn with_variable(argument: Arg) -> Arg {
    let name = argument.get_long().map_or_else(|| argument.get_id().to_string(), str::to_owned);
    let is_flag = matches!(argument.get_action(), ArgAction::SetTrue);
    let argument = argument.env(variable(&name)).hide_env(true);
    if is_flag { argument.value_parser(BoolishValueParser::new()) } else { argument }
}

fn argument(row: &'static Foreign) -> Arg {
    let takes = match row.verdict {
        Verdict::Idle(takes, _) | Verdict::Refused(takes, _) => takes,
        Verdict::Words(..) | Verdict::Ours(_) => Takes::Value,
    };
    let argument = Arg::new(row.name).long(row.name).hide(true);
    let argument = match row.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    match takes {
        Takes::Nothing => argument.action(ArgAction::Count),
        Takes::Value => argument.action(ArgAction::Append).allow_hyphen_values(true),
    }
}

fn note(name: &str, reason: &str) {
    // A closed standard error cannot be told to anyone.
    let _ = writeln!(anstream::stderr(), "note: --{name} changes nothing: {reason}");
}

fn refusal(what: &str, instead: &str) -> Complaint {
    Complaint::new(ExitCode::Usage, format!("`{what}` is not taken")).with_hint(instead)
}
