//! `pinnace doctor`: look for what would keep this folder's system from starting.

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {}

impl DoctorArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`doctor` is being built"))
    }
}
