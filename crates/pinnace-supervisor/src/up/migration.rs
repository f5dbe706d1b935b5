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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pinnace_manifest::Manifest;

    use super::{MigrationError, StepRunner, migrate};
    use crate::up::Logs;

    /// Runs a migration with a program `python` in its environment that is a link to the shell.
    async fn run(root: &Path, line: &str) -> (Result<(), MigrationError>, Vec<String>) {
        fs_err::create_dir_all(root.join("orders")).unwrap();
        let text = format!(
            "[system]\nname = \"shop\"\n[service.orders]\npath = \"orders\"\n\
             database = {{ engine = \"sqlite\", migrate = \"{line}\" }}\n"
        );
        fs_err::write(root.join("pinnace.toml"), text).unwrap();
        let manifest = Manifest::load(&root.join("pinnace.toml")).unwrap();
        let bin = root.join("bin");
        if !bin.exists() {
            fs_err::create_dir(&bin).unwrap();
            fs_err::os::unix::fs::symlink("/bin/sh", bin.join("python")).unwrap();
        }
        let logs = Logs::open(&root.join("logs"));
        let guard = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guard.sh");
        let mut path = bin.into_os_string();
        path.push(":/usr/bin:/bin");
        let variables = [("PATH".into(), path), ("DATABASE_URL".into(), "sqlite:////x".into())];
        let service = manifest.service("orders").unwrap();
        let end = migrate(&StepRunner::new(guard, logs.clone()), service, &variables).await;
        (end, logs.tail(None, 50).iter().map(|line| line.text.clone()).collect())
    }

    #[tokio::test]
    async fn it_runs_in_the_folder_and_with_the_environment_of_its_service() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("orders")).unwrap();
        fs_err::write(root.path().join("orders/migrate"), "echo up to date: $DATABASE_URL\n").unwrap();
        let (end, lines) = run(root.path(), "python migrate").await;
        end.unwrap();
        assert_eq!(lines, ["$ python migrate", "up to date: sqlite:////x"]);
    }

    #[tokio::test]
    async fn one_that_fails_is_told_with_its_command_and_its_last_lines() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("orders")).unwrap();
        fs_err::write(root.path().join("orders/migrate"), "echo no such table: orders >&2; exit 1\n").unwrap();
        let (end, _) = run(root.path(), "python migrate").await;
        let error = end.unwrap_err();
        assert_eq!(error.to_string(), "the migration failed: `python migrate` ended with exit code 1");
        assert_eq!(error.detail(), ["no such table: orders"]);
    }
}
