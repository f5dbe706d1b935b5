//! How an environment is made: with `uv` where it is on `PATH`, else with `venv` and `pip`.

use std::ffi::OsString;
use std::path::Path;

use pinnace_manifest::Service;
use tokio::time::Duration;

use super::EnvironmentError;
use super::dependencies::{Dependencies, uv};
use super::interpreter::Interpreter;
use crate::up::step::{Step, StepError, StepRunner};
use crate::up::variables::inherited;

/// For how long one command may run.
const LIMIT: Duration = Duration::from_mins(20);
/// Where `uv sync` finds the environment.
const UV_ENVIRONMENT: &str = "UV_PROJECT_ENVIRONMENT";

/// What all commands for one environment share.
struct Installer<'a> {
    runner: &'a StepRunner,
    service: &'a Service,
    venv: &'a Path,
    label: String,
}

/// Makes the environment and installs what belongs into it.
pub(super) async fn install(
    runner: &StepRunner,
    service: &Service,
    interpreter: &Interpreter,
    venv: &Path,
    dependencies: &Dependencies,
) -> Result<(), EnvironmentError> {
    let label = format!("{}/env", service.name);
    let installer = Installer { runner, service, venv, label };
    let uv = uv();
    let mut make: Vec<OsString> = match &uv {
        Some(uv) => words(uv, &["venv", "--quiet", "--python"]),
        None => words(&interpreter.program, &["-m", "venv"]),
    };
    if uv.is_some() {
        make.push((&interpreter.program).into());
    }
    make.push(venv.into());
    installer.run(&make).await?;
    let python = venv.join("bin/python");
    let mut add = match &uv {
        Some(uv) => words(uv, &["pip", "install", "--python"]),
        None => words(&python, &["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]),
    };
    if uv.is_some() {
        add.push(python.into());
    } else {
        add.extend(["--progress-bar".into(), "off".into()]);
    }
    match dependencies {
        Dependencies::Locked { uv, .. } => add = words(uv, &["sync", "--frozen", "--no-dev", "--no-install-project"]),
        Dependencies::Requirements { file, .. } => add.extend(["--requirement".into(), file.into()]),
        Dependencies::Project { requirements, .. } => {
            if service.path.join("uv.lock").exists() {
                let text = "uv is not on PATH: `uv.lock` is not followed, the newest versions that fit are installed";
                runner.say(&service.name, &installer.label, text);
            }
            if requirements.is_empty() {
                return Ok(());
            }
            add.extend(requirements.iter().map(OsString::from));
        }
        Dependencies::None => return Ok(()),
    }
    Ok(installer.run(&add).await?)
}

impl Installer<'_> {
    async fn run(&self, command: &[OsString]) -> Result<(), StepError> {
        let place = (OsString::from(UV_ENVIRONMENT), self.venv.into());
        let variables: Vec<_> = inherited().filter(|(name, _)| name != UV_ENVIRONMENT).chain([place]).collect();
        let step = Step {
            service: &self.service.name,
            label: &self.label,
            command,
            folder: &self.service.path,
            variables: &variables,
            limit: LIMIT,
        };
        self.runner.run(step).await
    }
}

fn words(program: &Path, arguments: &[&str]) -> Vec<OsString> {
    std::iter::once(program.into()).chain(arguments.iter().map(Into::into)).collect()
}
