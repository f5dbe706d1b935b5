//! `pinnace run`: run a program as a service would, such as `manage.py shell`.
//!
//! This process becomes the program: signals, the terminal and the exit code are its own.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use pinnace_manifest::{Manifest, Run, Service};
use pinnace_os::find_program;
use pinnace_supervisor::up::{self, ByHand};
use pinnace_types::{ExitCode, ServiceName};

use super::running::manifest_path;
use super::runtime;
use super::up::complaint;
use crate::Complaint;

/// As a shell ends where there is no such program, and where there is one that cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTED: u8 = 126;

/// The arguments of `pinnace run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The service
    service: ServiceName,
    /// The program and its arguments, behind `--`
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
    /// The system's file [default: `pinnace.toml` here or in a folder above]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl RunArgs {
    /// Ends with the program's own status; 126 and 127 where it was not run.
    pub(super) fn run(self) -> Result<std::process::ExitCode, Complaint> {
        let path = manifest_path(self.file, "name the file with --file")?;
        let manifest = Manifest::load(&path).map_err(|found| {
            Complaint::new(ExitCode::Manifest, found.to_string()).with_detail(found.render().lines().map(str::to_owned))
        })?;
        let service = find(&manifest, &self.service)?;
        let binary = std::env::current_exe().map_err(|error| {
            Complaint::new(ExitCode::Failure, format!("cannot tell which program this is: {error}"))
        })?;
        if up::is_to_be_made(&manifest, service) {
            // A closed standard error cannot be told to anyone.
            let _ = writeln!(anstream::stderr(), "making the environment of {}…", service.name);
        }
        let ready = runtime::block_on(Box::pin(up::by_hand(&manifest, service, binary)))?;
        Ok(become_program(&self.command, ready.map_err(|error| complaint(&error))?))
    }
}

fn find<'a>(manifest: &'a Manifest, name: &ServiceName) -> Result<&'a Service, Complaint> {
    let own = manifest.services.iter().filter(|service| !matches!(service.run, Run::External { .. }));
    let names: Vec<&str> = own.map(|service| service.name.as_str()).collect();
    manifest.service(name.as_str()).filter(|service| !service.is_external()).ok_or_else(|| {
        Complaint::new(ExitCode::Usage, format!("there is no service `{name}` here"))
            .with_hint(format!("there are {}", names.join(", ")))
    })
}

/// Returns only where that is impossible.
fn become_program(command: &[OsString], ready: ByHand) -> std::process::ExitCode {
    let Some((name, arguments)) = command.split_first() else { return NOT_FOUND.into() };
    let path = ready.variables.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
    let shown = name.to_string_lossy();
    let Some(program) = find_program(name, &path.unwrap_or_default()) else {
        Complaint::new(ExitCode::Failure, format!("there is no program `{shown}` in the environment or on PATH"))
            .with_hint("the first word behind `--` is the program")
            .print();
        return NOT_FOUND.into();
    };
    let error =
        Command::new(program).args(arguments).env_clear().envs(ready.variables).current_dir(&ready.folder).exec();
    Complaint::new(ExitCode::Failure, format!("`{shown}` cannot be run: {error}")).print();
    NOT_EXECUTED.into()
}
