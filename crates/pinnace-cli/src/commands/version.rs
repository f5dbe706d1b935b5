//! `pinnace version`: show the version and what this build can host.

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace version`.
#[derive(Args, Debug)]
pub(crate) struct VersionArgs {}

impl VersionArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`version` is being built"))
    }
}
