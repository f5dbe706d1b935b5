//! `pinnace up`: start the whole system of this folder's `pinnace.toml` and show its logs.

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace up`.
#[derive(Args, Debug)]
pub(crate) struct UpArgs {}

impl UpArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`up` is being built"))
    }
}
