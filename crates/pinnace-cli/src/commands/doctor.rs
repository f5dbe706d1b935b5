//! `pinnace doctor`: check this machine and the system, and say the way out of what is amiss.

mod text;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;
use pinnace_supervisor::doctor::{self, Outcome};
use pinnace_types::{ExitCode, VERSION};

use super::running::manifest_path;
use crate::Complaint;

/// The arguments of `pinnace doctor`.
#[derive(Args, Debug)]
#[command(long_about = "Check this machine and the system, and say the way out of what is amiss.\n\n\
    Looked at are the interpreters and their runtime, what makes environments, the ports of the gateway and the hub, \
    the watching of files, the manifest, the state folder and the control socket; of each service its folder, its \
    environment, its application or program, and whether its secrets are set (never their values). Nothing is started, \
    made or changed. Without a `pinnace.toml` only the machine is looked at.\n\n\
    `ok`: as it should be. `warning`: a start works, and something will be missed. `failure`: a start would fail; the \
    command then ends with 1.")]
pub(crate) struct DoctorArgs {
    /// The system's file [default: `pinnace.toml` here or in a folder above]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl DoctorArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        // Without a file, the machine alone is looked at.
        let file = manifest_path(self.file, "name it with --file").ok();
        let report = doctor::look(file.as_deref());
        let text = if self.json {
            let document = serde_json::json!({
                "version": VERSION,
                "outcome": report.outcome(),
                "sections": report.sections,
            });
            format!("{document}\n")
        } else {
            text::render(&report)
        };
        match anstream::stdout().write_all(text.as_bytes()) {
            // Who reads no further has seen enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Complaint::new(ExitCode::Failure, error.to_string()))
            }
            _ => Ok(if report.outcome() == Outcome::Failure { ExitCode::Failure } else { ExitCode::Ok }),
        }
    }
}
