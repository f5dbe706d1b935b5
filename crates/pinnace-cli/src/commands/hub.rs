//! `pinnace hub`: run the hub (started by `up`).

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace hub`.
#[derive(Args, Debug)]
pub(crate) struct HubArgs {}

impl HubArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`hub` is being built"))
    }
}
