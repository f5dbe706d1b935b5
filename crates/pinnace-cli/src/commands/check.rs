//! `pinnace check`: check `pinnace.toml` and the rules of its design.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use pinnace_manifest::{Diagnostic, Diagnostics, Manifest, Severity};
use pinnace_types::ExitCode;

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
        let path = self.path()?;
        let findings = match Manifest::load(&path) {
            Ok(manifest) => [manifest.design_findings(), manifest.not_enforced()].concat(),
            Err(Diagnostics(findings)) => findings,
        };
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        self.tell(findings, errors)?;
        Ok(if errors == 0 { ExitCode::Ok } else { ExitCode::Manifest })
    }

    fn path(&self) -> Result<PathBuf, Complaint> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let here = std::env::current_dir().map_err(|error| Complaint::new(ExitCode::Failure, error.to_string()))?;
        Manifest::find(&here).ok_or_else(|| {
            Complaint::new(ExitCode::Manifest, format!("there is no pinnace.toml in {} or above it", here.display()))
                .with_hint("name the file: `pinnace check path/to/pinnace.toml`")
        })
    }

    /// The findings are the data of this command: they go to standard output.
    fn tell(&self, findings: Vec<Diagnostic>, errors: usize) -> Result<(), Complaint> {
        let text = if self.json {
            serde_json::to_string(&findings).map_err(|error| Complaint::new(ExitCode::Failure, error.to_string()))?
        } else if findings.is_empty() {
            "no finding".to_owned()
        } else {
            let warnings = findings.len() - errors;
            format!("{}\n{}, {}", Diagnostics(findings).render(), count(errors, "error"), count(warnings, "warning"))
        };
        writeln!(anstream::stdout(), "{text}").map_err(|error| Complaint::new(ExitCode::Failure, error.to_string()))
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
