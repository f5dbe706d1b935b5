//! Checks and generators of the workspace: `cargo xtask --help`.

#![forbid(unsafe_code)]

mod check;
mod generate;
mod runtime;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks and generators of the workspace.
#[derive(Parser)]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the rules of the house that clippy cannot hold
    Check,
    /// Write the files that come from code
    Generate,
    /// Build the Python runtime for an interpreter and lay it beside the binary
    Runtime(runtime::RuntimeArgs),
}

fn main() -> ExitCode {
    let result = match Xtask::parse().task {
        Task::Check => check::run(),
        Task::Generate => generate::run(),
        Task::Runtime(args) => args.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a build tool talks on standard error")]
fn complain(message: &str) {
    eprintln!("xtask: {message}");
}
