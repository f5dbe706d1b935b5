//! The parent of one program that is none of ours: a `command` service, an installer, a migration.
//!
//! It leads a process group and adopts orphans, so that when it ends, nothing of the program's family is left: not when
//! the program ends by itself, not when it ignores SIGTERM, not when the supervisor is killed.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use pinnace_os::{
    Child, Exit, InheritedListener, LifetimeEnd, Signal, Spawn, SpawnError, family, find_program, inherited_listeners,
};

use crate::signals::{Asked, Signals};

/// What a guard runs.
#[derive(Clone, Debug)]
pub struct GuardConfig {
    /// The program and its arguments; at least the program.
    pub command: Vec<OsString>,
    /// How long it may take to end after SIGTERM.
    pub grace: Duration,
}

/// Why the program was not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// There is no such program on `PATH`.
    #[error("there is no program `{0}` on PATH")]
    NotFound(String),
    /// The kernel refused it.
    #[error("{0}: {source}", source = .0.source)]
    Spawn(SpawnError),
    /// The guard itself could not be set up.
    #[error("cannot guard: {0}")]
    Io(#[from] io::Error),
}

impl GuardError {
    /// The status that a shell would end with: 127 where nothing was found, 126 where it could not be executed.
    pub fn shell_status(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::Spawn(error) if matches!(error.source.kind(), io::ErrorKind::NotFound) => 127,
            Self::Spawn(_) => 126,
            Self::Io(_) => 125,
        }
    }
}

/// Runs the program to its end and returns how it ended. Nothing of its family is left then.
pub async fn run(config: GuardConfig) -> Result<Exit, GuardError> {
    family::adopt_orphans()?;
    let lifetime = LifetimeEnd::inherited()?;
    let mut signals = Signals::new()?;
    let mut child = spawn(&config, inherited_listeners()?)?;
    let exit = watch(&mut child, lifetime, &mut signals, config.grace).await;
    family::kill_descendants();
    Ok(exit?)
}

/// Starts the program with the listening sockets that were meant for it.
fn spawn(config: &GuardConfig, listeners: Vec<InheritedListener>) -> Result<Child, GuardError> {
    let (name, arguments) = config.command.split_first().ok_or_else(|| GuardError::NotFound(String::new()))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program: PathBuf =
        find_program(name, &path).ok_or_else(|| GuardError::NotFound(name.to_string_lossy().into_owned()))?;
    let spawn = Spawn::new(program).args(arguments).inherit_env().same_group().death_signal(Signal::SIGKILL);
    let spawn = listeners
        .into_iter()
        .fold(spawn, |spawn, listener| spawn.listener(listener.name, OwnedFd::from(listener.socket)));
    spawn.spawn().map_err(GuardError::Spawn)
}

async fn watch(
    child: &mut Child,
    lifetime: Option<LifetimeEnd>,
    signals: &mut Signals,
    grace: Duration,
) -> io::Result<Exit> {
    let starter_gone = async {
        match &lifetime {
            Some(lifetime) => lifetime.ended().await,
            None => std::future::pending().await,
        }
    };
    let mut starter_gone = std::pin::pin!(starter_gone);
    let mut deadline: Option<tokio::time::Instant> = None;
    loop {
        let overdue = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            exit = child.wait() => return exit,
            () = starter_gone.as_mut() => return Ok(Exit::Signal(Signal::SIGKILL as i32)),
            () = overdue => return Ok(Exit::Signal(Signal::SIGKILL as i32)),
            asked = signals.next() => match (asked, deadline) {
                (Asked::Stop | Asked::Retire, None) => {
                    child.signal(Signal::SIGTERM)?;
                    deadline = Some(tokio::time::Instant::now() + grace);
                }
                (Asked::Retire, Some(_)) => {}
                (Asked::Stop, Some(_)) => return Ok(Exit::Signal(Signal::SIGKILL as i32)),
                (Asked::Reload, _) => child.signal(Signal::SIGHUP)?,
                (Asked::Reap, _) => family::reap_orphans(),
            },
        }
    }
}
