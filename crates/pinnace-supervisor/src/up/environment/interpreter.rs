//! Which Python an environment is made with: the first on `PATH` that the service's `python` allows.

use std::path::PathBuf;

use pinnace_manifest::{PythonSpec, PythonVersion};
use pinnace_os::{Output, Signal, Spawn, find_program};
use tokio::io::AsyncReadExt as _;
use tokio::time::Duration;

use super::EnvironmentError;
use crate::up::variables::inherited;

/// Versions that are hosted, newest first; `python3` itself is asked before them.
const MINORS: [u32; 5] = [14, 13, 12, 11, 10];
/// The oldest that is hosted.
const OLDEST: (u32, u32) = (3, 10);
/// What an interpreter is asked: where it really is, and its version.
const QUESTION: &str = "import sys; print(sys.executable); print('.'.join(map(str, sys.version_info[:3])))";
/// For an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest answer.
const LONGEST: u64 = 8192;

/// An interpreter and its version.
#[derive(Clone, Debug)]
pub(super) struct Interpreter {
    pub(super) program: PathBuf,
    pub(super) version: (u32, u32, u32),
}

/// Finds one of these versions.
pub(super) async fn find(asked: Option<&PythonSpec>) -> Result<Interpreter, EnvironmentError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = Vec::new();
    for name in names() {
        let Some(program) = find_program(name.as_ref(), &path) else { continue };
        let Some(interpreter) = ask(program).await else { continue };
        let (major, minor, patch) = interpreter.version;
        let allowed = asked.is_none_or(|asked| asked.matches(PythonVersion { major, minor, patch }));
        if allowed && (major, minor) >= OLDEST {
            return Ok(interpreter);
        }
        found.push(format!("{major}.{minor}.{patch} at {}", interpreter.program.display()));
    }
    found.dedup();
    let asked = asked.map_or(">=3.10", |asked| asked.as_str()).to_owned();
    Err(EnvironmentError::NoInterpreter { asked, found })
}

/// What interpreters are called, in the order in which they are asked.
pub(crate) fn names() -> impl Iterator<Item = String> {
    let newest = MINORS.iter().map(|minor| format!("python3.{minor}"));
    std::iter::once("python3".to_owned()).chain(newest)
}

/// A version such as `3.11.7` or `3.13.0rc1`.
pub(super) fn parse(text: &str) -> Option<PythonVersion> {
    let mut numbers = text.split('.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse().ok()
    });
    let (major, minor) = (numbers.next()??, numbers.next()??);
    Some(PythonVersion { major, minor, patch: numbers.next().flatten().unwrap_or(0) })
}

/// What an interpreter says of itself; nothing where it does not work, as the shims of version managers may.
async fn ask(program: PathBuf) -> Option<Interpreter> {
    let spawn = Spawn::new(program).args(["-I", "-c", QUESTION]).envs(inherited()).folder("/");
    let mut child = spawn.output(Output::Pipe).death_signal(Signal::SIGKILL).spawn().ok()?;
    let (stdout, _stderr) = child.take_output()?;
    let answer = async {
        let mut text = String::new();
        stdout.take(LONGEST).read_to_string(&mut text).await.ok()?;
        child.wait().await.ok().filter(|exit| exit.success())?;
        Some(text)
    };
    let answered = tokio::time::timeout(PATIENCE, answer).await;
    // One that has not ended by now is none; where it has, this reaches nobody.
    let _ = child.signal(Signal::SIGKILL);
    let text = answered.ok()??;
    let (program, version) = text.split_once('\n')?;
    let PythonVersion { major, minor, patch } = parse(version.trim())?;
    Some(Interpreter { program: PathBuf::from(program), version: (major, minor, patch) })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn versions_are_read_with_and_without_what_follows_them() {
        for (text, expected) in [("3.11.7", (3, 11, 7)), ("3.13.0rc1", (3, 13, 0)), ("3.12", (3, 12, 0))] {
            let version = parse(text).unwrap();
            assert_eq!((version.major, version.minor, version.patch), expected, "{text}");
        }
        assert!(parse("python").is_none());
    }
}
