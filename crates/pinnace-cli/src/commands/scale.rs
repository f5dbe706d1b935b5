//! `pinnace scale`: change how many instances a service has.

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace scale`.
#[derive(Args, Debug)]
pub(crate) struct ScaleArgs {}

impl ScaleArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`scale` is being built"))
    }
}
