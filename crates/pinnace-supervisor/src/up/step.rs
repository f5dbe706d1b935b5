//! A program that is run to its end before a service starts: an installer, a migration.
//!
//! It runs under a guard with a lifetime pipe of its own: whoever drops the future ends the program's whole family, and
//! so does the end of this process. What it writes goes to the service's log, its last lines into the error.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pinnace_os::{Child, Exit, Lifetime, Output, Spawn, family};
use pinnace_types::control::LogStream;
use pinnace_types::{ServiceName, environment};
use tokio::sync::Semaphore;
use tokio::time::Duration;

use super::Logs;

/// Steps that run at once: installers and migrations are heavy.
const AT_ONCE: usize = 2;
/// Lines of its log that an error shows.
const LAST_LINES: usize = 12;
/// After its end, what it wrote last is read for this long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs steps, only so many at once. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct StepRunner {
    binary: PathBuf,
    logs: Logs,
    permits: Arc<Semaphore>,
}

/// What is run. It has no `Debug`: variables hold secrets.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    /// Whose step it is.
    pub(crate) service: &'a ServiceName,
    /// What its lines are marked with, such as `orders/env`.
    pub(crate) label: &'a str,
    /// The program and its arguments.
    pub(crate) command: &'a [OsString],
    /// Where it runs.
    pub(crate) folder: &'a Path,
    /// Its whole environment.
    pub(crate) variables: &'a [(OsString, OsString)],
    /// For how long it may run.
    pub(crate) limit: Duration,
}

/// Why a step did not end well.
#[derive(Debug, thiserror::Error)]
#[error("`{command}` {how}")]
pub(crate) struct StepError {
    /// The command as it would be typed.
    pub(crate) command: String,
    /// How it ended.
    pub(crate) how: String,
    /// The last lines that it wrote.
    pub(crate) last_lines: Vec<String>,
}

impl StepRunner {
    pub(crate) fn new(binary: PathBuf, logs: Logs) -> Self {
        Self { binary, logs, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Says something about a step that was not run, or not as one may expect.
    pub(crate) fn say(&self, service: &ServiceName, label: &str, text: &str) {
        self.logs.say(service, label, text);
    }

    /// Runs a step to its end.
    pub(crate) async fn run(&self, step: Step<'_>) -> Result<(), StepError> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let command = shown(step.command);
        let failed = |how: String, last_lines| StepError { command: command.clone(), how, last_lines };
        self.logs.say(step.service, step.label, format!("$ {command}"));
        let lifetime = Lifetime::new().map_err(|error| failed(format!("cannot be run: {error}"), Vec::new()))?;
        let before = self.logs.tail(Some(step.service), 1).pop();
        let started = self.start(step, &lifetime);
        let (child, writing) = started.map_err(|error| failed(format!("cannot be run: {error}"), Vec::new()))?;
        let ended = tokio::time::timeout(step.limit, wait(child, writing)).await;
        let how = match ended {
            Ok(Ok(exit)) if exit.success() => return Ok(()),
            Ok(Ok(exit)) => format!("ended with {exit}"),
            Ok(Err(error)) => format!("was lost: {error}"),
            Err(_) => format!("took longer than {} minutes", step.limit.as_secs() / 60),
        };
        let tail = self.logs.tail(Some(step.service), 400);
        let since = tail.iter().rposition(|line| Some(line) == before.as_ref()).map_or(0, |place| place + 1);
        let own = tail[since..].iter().filter(|line| line.instance == step.label);
        let mut lines: Vec<String> = own.map(|line| line.text.clone()).collect();
        lines.drain(..lines.len().saturating_sub(LAST_LINES));
        Err(failed(how, lines))
    }

    fn start(
        &self,
        step: Step<'_>,
        lifetime: &Lifetime,
    ) -> Result<(Child, impl Future<Output = ()> + use<>), std::io::Error> {
        let spawn = Spawn::new(&self.binary).args(["guard", "--grace", "5s", "--"]).args(step.command);
        let mut child = spawn
            .envs(step.variables.iter().cloned())
            .folder(step.folder)
            .output(Output::Pipe)
            .pass(environment::LIFETIME_FD, lifetime.descriptor()?)
            .spawn()
            .map_err(|error| error.source)?;
        let outputs = child.take_output();
        let (logs, service, label) = (self.logs.clone(), step.service.clone(), step.label.to_owned());
        let writing = async move {
            let Some((stdout, stderr)) = outputs else { return };
            tokio::join!(
                logs.pump(&service, &label, LogStream::Stdout, stdout),
                logs.pump(&service, &label, LogStream::Stderr, stderr)
            );
        };
        Ok((child, writing))
    }
}

/// Waits for the end of the program, and for what it has written to be in the log.
async fn wait(mut child: Child, writing: impl Future<Output = ()>) -> std::io::Result<Exit> {
    let mut writing = std::pin::pin!(writing);
    let mut written = false;
    let exit = loop {
        tokio::select! {
            exit = child.wait() => break exit?,
            () = &mut writing, if !written => written = true,
        }
    };
    family::reap_strays();
    if !written {
        let _ = tokio::time::timeout(LAST_WORDS, writing).await;
    }
    Ok(exit)
}

/// A command as it would be typed; what may be a password in an address is left out.
pub(crate) fn shown(command: &[OsString]) -> String {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-._/=:,@+~<>[]".contains(c));
    let word = |word: &OsString| {
        let text = without_credentials(&OsStr::to_string_lossy(word));
        if !text.is_empty() && plain(&text) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Puts `[secret]` where an address names a user, whose password may stand beside.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#', ' ']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = without_credentials(path);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://[secret]@{host}{path}"),
        None => format!("{scheme}://{authority}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use pinnace_types::ServiceName;
    use tokio::time::Duration;

    use super::{Step, StepError, StepRunner, shown};
    use crate::up::Logs;

    /// Stands in for the guard, which is a command of the binary.
    fn guard() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guard.sh")
    }

    async fn run(folder: &Path, script: &str, limit: Duration) -> (Result<(), StepError>, Vec<String>) {
        let logs = Logs::open(&folder.join("logs"));
        let runner = StepRunner::new(guard(), logs.clone());
        let service: ServiceName = "orders".parse().unwrap();
        logs.say(&service, "orders/test", "before");
        let command: Vec<OsString> = ["/bin/sh", "-c", script].map(Into::into).to_vec();
        let variables = [("WORD".into(), "given".into())];
        let step =
            Step { service: &service, label: "orders/test", command: &command, folder, variables: &variables, limit };
        let end = runner.run(step).await;
        (end, logs.tail(None, 100).iter().map(|line| format!("{}: {}", line.instance, line.text)).collect())
    }

    #[tokio::test]
    async fn what_a_step_writes_is_in_the_log_when_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (end, lines) = run(folder.path(), "pwd; echo $WORD >&2", Duration::from_mins(1)).await;
        end.unwrap();
        let place = fs_err::canonicalize(folder.path()).unwrap();
        let mut own = lines[2..].to_vec();
        own.sort();
        assert_eq!(own, [format!("orders/test: {}", place.display()), "orders/test: given".to_owned()]);
    }

    #[tokio::test]
    async fn a_step_that_fails_says_which_command_how_and_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let script = "for i in $(seq 100); do echo line $i; done; exit 3";
        let (end, _) = run(folder.path(), script, Duration::from_mins(1)).await;
        let error = end.unwrap_err();
        assert_eq!(error.to_string(), format!("`/bin/sh -c '{script}'` ended with exit code 3"));
        assert_eq!(error.last_lines.last().map(String::as_str), Some("line 100"));
        assert!(error.last_lines.len() < 50 && !error.last_lines.contains(&"before".to_owned()));
    }

    #[tokio::test]
    async fn a_step_that_does_not_end_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let (end, _) = run(folder.path(), "sleep 5", Duration::from_millis(100)).await;
        assert!(end.unwrap_err().how.contains("took longer"));
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        let words = ["pip", "shop @ git+https://me:hunter2@host/x", "--index-url=https://hunter2@host"].map(Into::into);
        assert_eq!(shown(&words), "pip 'shop @ git+https://[secret]@host/x' --index-url=https://[secret]@host");
    }

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let words = ["/x/bin/python", "-m", "pip", "a b", "it's", ""].map(Into::into);
        assert_eq!(shown(&words), "/x/bin/python -m pip 'a b' 'it'\\''s' ''");
    }
}
