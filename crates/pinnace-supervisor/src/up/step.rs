//! A program that is run to its end before a service starts: an installer, a migration.
//!
//! It runs under a guard with a lifetime pipe of its own: whoever drops the future ends the program's whole family, and
//! so does the end of this process. What it writes goes to the service's log, its last lines into the error.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use pinnace_os::{Child, Exit, Lifetime, Output, Spawn, family};
use pinnace_types::control::LogStream;
use pinnace_types::{ServiceName, environment};
use tokio::time::Duration;

use super::Logs;

/// Lines of its log that an error shows.
const LAST_LINES: usize = 12;
/// After its end, what it wrote last is read for this long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs steps.
#[derive(Clone, Debug)]
pub(crate) struct StepRunner {
    binary: PathBuf,
    logs: Logs,
}

/// What is run.
#[derive(Clone, Copy, Debug)]
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
    pub(crate) const fn new(binary: PathBuf, logs: Logs) -> Self {
        Self { binary, logs }
    }

    /// Runs a step to its end.
    pub(crate) async fn run(&self, step: Step<'_>) -> Result<(), StepError> {
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

/// A command as it would be typed.
pub(crate) fn shown(command: &[OsString]) -> String {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-._/=:,@+~<>[]".contains(c));
    let word = |word: &OsString| {
        let text = OsStr::to_string_lossy(word);
        if !text.is_empty() && plain(&text) { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let words = ["/x/bin/python", "-m", "pip", "a b", "it's", ""].map(Into::into);
        assert_eq!(shown(&words), "/x/bin/python -m pip 'a b' 'it'\\''s' ''");
    }
}
