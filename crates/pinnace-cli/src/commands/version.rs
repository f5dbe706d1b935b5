//! `pinnace version`: show the version and what this build can host.

use std::io::Write as _;

use clap::Args;
use pinnace_supervisor::serve::Interpreter;
use pinnace_types::{ExitCode, VERSION};

use crate::Complaint;

/// The arguments of `pinnace version`.
#[derive(Args, Debug)]
pub(crate) struct VersionArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl VersionArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        let interpreter = Interpreter::find(None);
        let text = if self.json {
            let interpreter = interpreter.ok().map(|interpreter| {
                let (major, minor, patch) = interpreter.version;
                serde_json::json!({
                    "program": interpreter.program,
                    "version": format!("{major}.{minor}.{patch}"),
                    "runtime": interpreter.runtime,
                })
            });
            serde_json::json!({ "version": VERSION, "interpreter": interpreter }).to_string()
        } else {
            let hosts = match interpreter {
                Ok(Interpreter { program, version: (major, minor, patch), .. }) => {
                    format!("hosts CPython {major}.{minor}.{patch} ({})", program.display())
                }
                Err(error) => format!("hosts nothing here: {error}"),
            };
            format!("pinnace {VERSION}\n{hosts}")
        };
        writeln!(anstream::stdout(), "{text}").map_err(|error| Complaint::new(ExitCode::Failure, error.to_string()))?;
        Ok(ExitCode::Ok)
    }
}
