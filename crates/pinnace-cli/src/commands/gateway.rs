//! `pinnace gateway`: run the gateway (started by `up`).

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace gateway`.
#[derive(Args, Debug)]
pub(crate) struct GatewayArgs {}

impl GatewayArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`gateway` is being built"))
    }
}
