//! `pinnace serve`: the parent of one application's workers. There is no Python in it.
//!
//! It holds the listening sockets, starts workers as fresh interpreters that inherit them, replaces those that end, and
//! swaps a whole generation on a reload: the new workers answer before the old ones drain.
//!
//! Where to read next: `pool` is the owner of all workers and decides what happens; `worker` is one process;
//! `interpreter` finds out which Python and which runtime folder; `announcer` keeps the instance in a registry; `report` is
//! how all this is told.

mod announcer;
mod config;
mod error;
mod interpreter;
mod pool;
mod pulse;
mod report;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use pinnace_os::{
    INSTANCE_SOCKET, InheritedListener, LifetimeEnd, SERVICE_SOCKET, family, inherited_listeners, inherited_status,
    listen,
};
use pinnace_telemetry::ServiceMetrics;

pub use config::{RegistrationConfig, ServeConfig};
pub use error::ServeError;
pub(crate) use interpreter::Candidate;
pub use interpreter::{Interpreter, InterpreterError};
pub use pinnace_discovery::{Advertise, InvalidAdvertise};

use crate::signals::{Asked, Signals};
use crate::watch::{Change, Watched, Watcher};
use pool::Pool;
use report::Report;
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
    let sockets = sockets(&config)?;
    let Some(interpreter) = find_interpreter(&config, &mut signals, lifetime.as_ref()).await? else { return Ok(()) };
    let slots = config.workers * pool::GENERATIONS;
    let metrics = ServiceMetrics::create(slots, Timestamp::now()).map_err(ServeError::Metrics)?;
    let changes = changes(&config)?;
    let report = Report::new(&config, sockets[0].local, status);
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
    changes: mpsc::Receiver<Change>,
    _watcher: Watcher,
}

impl Changes {
    /// The files of the next change; some of them, or none where nobody kept account.
    async fn next(&mut self) -> Vec<PathBuf> {
        match self.changes.recv().await {
            Some(change) => change.files,
            // The watcher lives in `self`.
            None => std::future::pending().await,
        }
    }
}

fn changes(config: &ServeConfig) -> Result<Option<Changes>, ServeError> {
    if !config.reload {
        return Ok(None);
    }
    // A folder may be named as no service can be; the watcher only hands the name back.
    let service = config
        .name
        .parse()
        .or_else(|_| "app".parse())
        .map_err(|error: pinnace_types::InvalidName| ServeError::System(std::io::Error::other(error)))?;
    let watched = Watched { service, folder: config.app_dir.clone(), globs: Vec::new() };
    let (changed, changes) = mpsc::channel(CHANGES);
    let watcher = Watcher::start(&[watched], None, changed)
        .map_err(|error| ServeError::Watch { hint: error.hint("start without --reload") })?;
    Ok(Some(Changes { changes, _watcher: watcher }))
}

/// A listening socket and its address.
#[derive(Debug)]
struct Socket {
    name: String,
    local: SocketAddr,
    listener: std::net::TcpListener,
    /// Whether callers choose this instance by it: no other instance listens there, or a registry names it.
    is_own: bool,
}

fn sockets(config: &ServeConfig) -> Result<Vec<Socket>, ServeError> {
    let inherited = inherited_listeners().map_err(ServeError::System)?;
    if inherited.is_empty() {
        let address = SocketAddr::new(config.host, config.port);
        let listener = listen(address).map_err(|source| ServeError::Listen { address, source })?;
        let local = listener.local_addr().map_err(ServeError::System)?;
        return Ok(vec![Socket {
            name: SERVICE_SOCKET.to_owned(),
            local,
            listener,
            is_own: config.registration.is_some(),
        }]);
    }
    // The one that is registered: it is named for that, or the first.
    let own = inherited.iter().position(|inherited| inherited.name == INSTANCE_SOCKET);
    let own = own.or_else(|| config.registration.is_some().then_some(0));
    let sockets = inherited.into_iter().enumerate();
    sockets
        .map(|(index, InheritedListener { name, socket: listener })| {
            let local = listener.local_addr().map_err(ServeError::System)?;
            Ok(Socket { name, local, listener, is_own: own == Some(index) })
        })
        .collect()
}
