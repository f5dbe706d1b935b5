//! `pinnace guard`: run a program whose whole family ends with it (started by `up`).

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace guard`.
#[derive(Args, Debug)]
pub(crate) struct GuardArgs {}

impl GuardArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`guard` is being built"))
    }
}
