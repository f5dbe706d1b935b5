//! `pinnace logs`: show what the services wrote.

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace logs`.
#[derive(Args, Debug)]
pub(crate) struct LogsArgs {}

impl LogsArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`logs` is being built"))
    }
}
