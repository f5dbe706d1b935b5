//! `pinnace restart`: replace a service's processes, with no failed request.

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace restart`.
#[derive(Args, Debug)]
pub(crate) struct RestartArgs {}

impl RestartArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`restart` is being built"))
    }
}
