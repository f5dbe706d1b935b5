//! The `pinnace` command as a library: the command tree, one module a command, and the one place that prints errors.
//!
//! Data goes to standard output, talk to standard error; colour only on a terminal. A command returns an
//! [`pinnace_types::ExitCode`]; every expected failure is a `Complaint`, which says what, where and the way out.

#![forbid(unsafe_code)]

mod commands;
mod complaint;
mod duration_text;
mod log_text;
mod printer;
#[cfg(test)]
mod samples;
pub mod serve_options;
mod table;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use commands::Command;
use complaint::Complaint;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "pinnace",
    version,
    about = "Runs systems of unchanged FastAPI, Django and Flask services",
    long_about = None,
    propagate_version = true,
    max_term_width = 100
)]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// Parses the process's arguments, runs the command and prints what went wrong.
pub fn main() -> std::process::ExitCode {
    let matches = command().get_matches();
    let ended = serve_options::judge(&matches).and_then(|()| {
        // Both are of the same tree, so that a difference is a mistake of ours, told as one of the command line.
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command.run()
    });
    match ended {
        Ok(code) => code,
        Err(complaint) => {
            complaint.print();
            complaint.code().into()
        }
    }
}

/// The command tree, from which the reference pages and shell completions are generated.
pub fn command() -> clap::Command {
    serve_options::complete(Cli::command())
}
