//! `pinnace serve`: the parent of one application's workers. There is no Python in it.
//!
//! It holds the listening sockets, starts workers as fresh interpreters that inherit them, replaces those that end, and
//! swaps a whole generation on a reload: the new workers answer before the old ones drain.
//!
//! Where to read next: `pool` is the owner of all workers and decides what happens; `worker` is one process;
//! `interpreter` finds out which Python and which runtime folder; `socket` opens what is listened on; `announcer` keeps the
//! instance in a registry; `report` is how all this is told.

mod announcer;
mod config;
mod error;
mod interpreter;
mod life;
mod pid_file;
mod pool;
mod pulse;
mod report;
mod socket;
mod worker;

use std::path::PathBuf;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use jiff::Timestamp;
use pinnace_os::{LifetimeEnd, family, inherited_status};
use pinnace_telemetry::ServiceMetrics;

pub use config::{Bind, RegistrationConfig, ServeConfig};
pub use error::ServeError;
pub(crate) use interpreter::Candidate;
pub use interpreter::{Interpreter, InterpreterError};
pub use life::LifeLimits;
pub use pinnace_discovery::{Advertise, InvalidAdvertise};

use crate::signals::{Asked, Signals};
use crate::watch::{Change, Watched, Watcher};
use pid_file::PidFile;
use pool::Pool;
use report::Report;
use socket::Socket;
use tokio::sync::mpsc;

/// Changes that wait to be heard; each of them asks for the same.
const CHANGES: usize = 4;

/// Serves until it is told to stop, or until the application cannot be started.
///
/// Needs a current-thread runtime on the process's first thread: workers end with the thread that started them.
pub async fn run(config: ServeConfig) -> Result<(), ServeError> {
    family::adopt_orphans().map_err(ServeError::System)?;
    let lifetime = LifetimeEnd::inherited().map_err(ServeError::System)?;
    let status = inherited_status();
    let mut signals = Signals::new().map_err(ServeError::System)?;
    let sockets = socket::open_all(&config)?;
    let pid_file = config.pid_file.as_deref().map(|path| PidFile::write(path).map_err(ServeError::System));
    let _pid_file = pid_file.transpose()?;
    let Some(interpreter) = find_interpreter(&config, &mut signals, lifetime.as_ref()).await? else { return Ok(()) };
    let slots = config.workers * pool::GENERATIONS;
    let metrics = ServiceMetrics::create(slots, Timestamp::now()).map_err(ServeError::Metrics)?;
    let changes = changes(&config)?;
    let report = Report::new(&config, &sockets, status);
    let pool = Pool::try_new(config, interpreter, sockets, metrics, report)?;
    let end = pool.run(signals, lifetime, changes).await;
    family::kill_descendants();
    end
}

/// Asks for the interpreter, unless the end comes first: then nothing.
async fn find_interpreter(
    config: &ServeConfig,
    signals: &mut Signals,
    lifetime: Option<&LifetimeEnd>,
) -> Result<Option<Interpreter>, ServeError> {
    let asked_for = config.python.clone();
    let mut found = tokio::task::spawn_blocking(move || Interpreter::find(asked_for.as_deref()));
    let starter_gone = async {
        match lifetime {
            Some(lifetime) => lifetime.ended().await,
            None => std::future::pending().await,
        }
    };
    let mut starter_gone = std::pin::pin!(starter_gone);
    loop {
        tokio::select! {
            found = &mut found => {
                let found = found.map_err(|error| ServeError::System(std::io::Error::other(error)))?;
                return Ok(Some(found?));
            }
            () = starter_gone.as_mut() => break,
            asked = signals.next() => if matches!(asked, Asked::Stop | Asked::Retire) { break },
        }
    }
    // The interpreter that is being asked ends with this, and so does the thread that waits for it.
    family::kill_descendants();
    Ok(None)
}

/// Changes of the application's files, and what follows them.
#[derive(Debug)]
struct Changes {
    heard: mpsc::Receiver<Change>,
    /// What does not count.
    excluded: Gitignore,
    _watcher: Watcher,
}

impl Changes {
    /// The files of the next change; some of them, or none where nobody kept account.
    async fn next(&mut self) -> Vec<PathBuf> {
        loop {
            // The watcher lives in `self`.
            let Some(change) = self.heard.recv().await else { return std::future::pending().await };
            if change.files.is_empty() {
                return change.files;
            }
            let is_excluded = |file: &PathBuf| self.excluded.matched_path_or_any_parents(file, false).is_ignore();
            let files: Vec<PathBuf> = change.files.into_iter().filter(|file| !is_excluded(file)).collect();
            if !files.is_empty() {
                return files;
            }
        }
    }
}

fn changes(config: &ServeConfig) -> Result<Option<Changes>, ServeError> {
    if !config.reload {
        return Ok(None);
    }
    // A folder may be named as no service can be; the watcher only hands the name back.
    let service: pinnace_types::ServiceName = config
        .name
        .parse()
        .or_else(|_| "app".parse())
        .map_err(|error: pinnace_types::InvalidName| ServeError::System(std::io::Error::other(error)))?;
    let excluded = excluded(config)?;
    let folders =
        if config.reload_folders.is_empty() { vec![config.app_dir.clone()] } else { config.reload_folders.clone() };
    // The globs are relative to the application's folder, whichever folders are followed.
    let globs: Vec<String> =
        config.reload_include.iter().map(|glob| config.app_dir.join(glob).to_string_lossy().into_owned()).collect();
    let watched: Vec<Watched> = folders
        .into_iter()
        .enumerate()
        .map(|(index, folder)| {
            let globs = if index == 0 { globs.clone() } else { Vec::new() };
            Watched { service: service.clone(), folder, globs }
        })
        .collect();
    let (changed, changes) = mpsc::channel(CHANGES);
    let watcher = Watcher::start(&watched, None, changed)
        .map_err(|error| ServeError::Watch { hint: error.hint("start without --reload") })?;
    Ok(Some(Changes { heard: changes, excluded, _watcher: watcher }))
}

fn excluded(config: &ServeConfig) -> Result<Gitignore, ServeError> {
    // Files that are followed may be outside of the application's folder.
    let mut builder = GitignoreBuilder::new("/");
    for pattern in &config.reload_exclude {
        builder.add_line(None, pattern).map_err(|error| ServeError::Pattern { text: error.to_string() })?;
    }
    builder.build().map_err(|error| ServeError::Pattern { text: error.to_string() })
}
