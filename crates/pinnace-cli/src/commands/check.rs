//! `pinnace check`: check `pinnace.toml` and the rules of its design.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use pinnace_manifest::{Diagnostics, Manifest, Severity};
use pinnace_types::ExitCode;

use super::running::manifest_path;
use crate::Complaint;

/// The arguments of `pinnace check`.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// The file [default: `pinnace.toml` here or in a folder above]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print the findings as one JSON array
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        let path = manifest_path(self.file.clone(), "name the file: `pinnace check path/to/pinnace.toml`")?;
        let findings = match Manifest::load(&path) {
            Ok(manifest) => Diagnostics::sorted([manifest.design_findings(), manifest.not_enforced()].concat()),
            Err(findings) => findings,
        };
        let errors = findings.0.iter().filter(|finding| finding.severity == Severity::Error).count();
        self.tell(&findings, errors)?;
        Ok(if errors == 0 { ExitCode::Ok } else { ExitCode::Manifest })
    }

    /// The findings are the data of this command: they go to standard output.
    fn tell(&self, findings: &Diagnostics, errors: usize) -> Result<(), Complaint> {
        let text = if self.json {
            serde_json::to_string(&findings.0).map_err(|error| Complaint::new(ExitCode::Failure, error.to_string()))?
        } else if findings.0.is_empty() {
            "no finding".to_owned()
        } else {
            let warnings = findings.0.len() - errors;
            format!("{}\n{}, {}", findings.render_styled(), count(errors, "error"), count(warnings, "warning"))
        };
        writeln!(anstream::stdout(), "{text}").map_err(|error| Complaint::new(ExitCode::Failure, error.to_string()))
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
