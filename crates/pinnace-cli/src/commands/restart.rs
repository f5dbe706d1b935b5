//! `pinnace restart`: replace all processes of a service.

use std::path::PathBuf;

use clap::Args;
use pinnace_types::control::ServiceView;
use pinnace_types::{ExitCode, ServiceName};

use super::running::Running;
use super::runtime;
use super::scale::tell;
use crate::Complaint;

/// The arguments of `pinnace restart`.
#[derive(Args, Debug)]
pub(crate) struct RestartArgs {
    /// The service
    service: ServiceName,
    /// The system's file [default: `pinnace.toml` here or in a folder above]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print the service as one JSON object
    #[arg(long)]
    json: bool,
}

impl RestartArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        let running = Running::find(self.file)?;
        let path = format!("/v1/services/{}/restart", self.service);
        let view: ServiceView = runtime::block_on(running.post(&path, &()))??;
        tell(&view, self.json)
    }
}
