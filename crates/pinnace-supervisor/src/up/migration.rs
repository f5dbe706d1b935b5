//! A database that is up to date: the program that the manifest names, run in the service's folder and environment
//! before it starts.

use std::ffi::OsString;

use pinnace_manifest::Service;
use tokio::time::Duration;

use super::step::{Step, StepError, StepRunner};

/// For how long a migration may run.
const LIMIT: Duration = Duration::from_mins(10);

/// Why a migration did not end well.
#[derive(Debug, thiserror::Error)]
#[error("the migration failed: {0}")]
pub(crate) struct MigrationError(#[from] StepError);

impl MigrationError {
    /// The last lines of the program.
    pub(crate) fn detail(&self) -> Vec<String> {
        self.0.last_lines.clone()
    }

    /// The way out.
    pub(crate) fn hint() -> String {
        "mend it and save, or `pinnace restart SERVICE`; the database is as the migration left it".to_owned()
    }
}

/// Runs the migration of a service that has one.
pub(crate) async fn migrate(
    runner: &StepRunner,
    service: &Service,
    variables: &[(OsString, OsString)],
) -> Result<(), MigrationError> {
    let Some(migrate) = service.database.as_ref().and_then(|database| database.migrate.as_ref()) else {
        return Ok(());
    };
    let command: Vec<OsString> = migrate.words().iter().map(Into::into).collect();
    let label = format!("{}/migrate", service.name);
    let step = Step {
        service: &service.name,
        label: &label,
        command: &command,
        folder: &service.path,
        variables,
        limit: LIMIT,
    };
    Ok(runner.run(step).await?)
}
