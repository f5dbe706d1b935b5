//! `pinnace guard`: run a program whose whole family ends with it.

use std::ffi::OsString;

use clap::Args;
use pinnace_supervisor::guard::{self, GuardConfig};
use pinnace_types::{ExitCode, HumanDuration};

use super::runtime;
use crate::Complaint;

/// The arguments of `pinnace guard`.
#[derive(Args, Debug)]
pub(crate) struct GuardArgs {
    /// How long the program may take to end after SIGTERM
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    grace: HumanDuration,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl GuardArgs {
    /// Ends with the program's own status, as a shell would; 125 to 127 where it was not run.
    pub(super) fn run(self) -> std::process::ExitCode {
        let config = GuardConfig { command: self.command, grace: self.grace.as_duration() };
        match runtime::block_on(guard::run(config)) {
            Ok(Ok(exit)) => exit.shell_status().into(),
            Ok(Err(error)) => {
                let hint = "the first word behind `--` is the program";
                Complaint::new(ExitCode::Failure, error.to_string()).with_hint(hint).print();
                error.shell_status().into()
            }
            Err(complaint) => {
                complaint.print();
                complaint.code().into()
            }
        }
    }
}
