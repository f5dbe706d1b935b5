//! How an environment is made: with `uv` where it is on `PATH`, else with `venv` and `pip`.

use std::ffi::OsString;
use std::path::Path;

use pinnace_manifest::Service;
use pinnace_os::find_program;
use tokio::time::Duration;

use super::EnvironmentError;
use super::dependencies::Dependencies;
use super::interpreter::Interpreter;
use crate::up::step::{Step, StepError, StepRunner};
use crate::up::variables::inherited;

/// For how long one command may run.
const LIMIT: Duration = Duration::from_mins(20);

/// Makes the environment and installs what belongs into it.
pub(super) async fn install(
    runner: &StepRunner,
    service: &Service,
    interpreter: &Interpreter,
    venv: &Path,
    dependencies: &Dependencies,
) -> Result<(), EnvironmentError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let python = venv.join("bin/python");
    let (make, mut add): (Vec<OsString>, Vec<OsString>) = match find_program("uv".as_ref(), &path) {
        Some(uv) => (
            vec![
                uv.clone().into(),
                "venv".into(),
                "--quiet".into(),
                "--python".into(),
                (&interpreter.program).into(),
                venv.into(),
            ],
            vec![uv.into(), "pip".into(), "install".into(), "--python".into(), python.into()],
        ),
        None => (
            vec![(&interpreter.program).into(), "-m".into(), "venv".into(), venv.into()],
            ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"].iter().fold(
                vec![python.into()],
                |mut words: Vec<OsString>, word| {
                    words.push(word.into());
                    words
                },
            ),
        ),
    };
    run(runner, service, &make).await?;
    match dependencies {
        Dependencies::Requirements { file, .. } => add.extend(["--requirement".into(), file.into()]),
        Dependencies::Project { requirements, .. } if requirements.is_empty() => return Ok(()),
        Dependencies::Project { requirements, .. } => add.extend(requirements.iter().map(OsString::from)),
        Dependencies::None => return Ok(()),
    }
    Ok(run(runner, service, &add).await?)
}

async fn run(runner: &StepRunner, service: &Service, command: &[OsString]) -> Result<(), StepError> {
    let label = format!("{}/env", service.name);
    let variables: Vec<_> = inherited().collect();
    let step = Step {
        service: &service.name,
        label: &label,
        command,
        folder: &service.path,
        variables: &variables,
        limit: LIMIT,
    };
    runner.run(step).await
}
