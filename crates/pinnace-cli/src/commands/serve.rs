//! `pinnace serve`: host one ASGI or WSGI application.

use clap::Args;
use pinnace_types::ExitCode;

use crate::Complaint;

/// The arguments of `pinnace serve`.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {}

impl ServeArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        Err(Complaint::new(ExitCode::Failure, "`serve` is being built"))
    }
}
