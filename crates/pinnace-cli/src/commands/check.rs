//! `pinnace check`: check `pinnace.toml` and the rules of its design.

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace check`.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {}

impl CheckArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`check` is being built"))
    }
}
