//! `pinnace ps`: show the services of the running system.

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace ps`.
#[derive(Args, Debug)]
pub(crate) struct PsArgs {}

impl PsArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`ps` is being built"))
    }
}
