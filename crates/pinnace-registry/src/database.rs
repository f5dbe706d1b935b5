//! The file: one `SQLite` database in WAL mode, a row for each instance, entry and node, and one for the index.
//!
//! `synchronous = FULL`: changes of a registry are rare and small, and an index that went back after a power cut would leave
//! everyone who waits on it waiting. Rows hold the instance as JSON: nobody queries inside.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pinnace_types::ServiceName;
use rusqlite::{Connection, ErrorCode, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::{Entry, EntryKey, Node};
use crate::state::State;
use crate::{Instance, InvalidInstance};

/// The version of the format that this build writes, in `PRAGMA user_version`.
const FORMAT: u32 = 2;
/// How long another process may hold the file: one that is being killed.
const PATIENCE: Duration = Duration::from_secs(5);
/// What brings a database from the version of its place to the next.
const MIGRATIONS: [&str; FORMAT as usize] = [
    "
    CREATE TABLE instances (service TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (service, id));
    CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL);
    ",
    "
    CREATE TABLE records (kind TEXT NOT NULL, key TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, key));
    ",
];

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It was written by a later version.
    #[error("`{}` has format {found}; this version of pinnace reads up to {FORMAT}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The file is no database, or a damaged one.
    #[error("`{}` is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The operating system or the database refused.
    #[error("cannot use `{}`", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why; many changes may have been refused at once.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the registry's thread")]
    Thread(#[source] std::io::Error),
    /// The store has ended.
    #[error("the registry has ended")]
    Ended,
    /// A damaged file could not be put aside.
    #[error("cannot put the damaged registry aside")]
    Quarantine(#[source] std::io::Error),
    /// The registration is out of bounds.
    #[error(transparent)]
    Invalid(#[from] InvalidInstance),
    /// What is registered takes as much memory as it may.
    #[error("the registry is full: what clients register has at most {} MiB", limit >> 20)]
    Heavy {
        /// The limit, in bytes.
        limit: usize,
    },
    /// There are as many instances as there may be.
    #[error("the registry is full: it holds at most {limit} instances")]
    Full {
        /// The limit.
        limit: usize,
    },
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Database {
    connection: Connection,
    path: PathBuf,
}

/// What a file held when it was opened.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) index: u64,
    pub(crate) instances: Vec<Instance>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) nodes: Vec<Node>,
}

/// Which row a change is about.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum RowKey {
    Instance(ServiceName, String),
    Entry(EntryKey),
    Node(String),
}

impl Database {
    /// Opens or makes the file and reads it. A new one begins after `first_index`.
    pub(crate) fn open(path: &Path, first_index: u64) -> Result<(Self, Contents), StoreError> {
        let fail = |source| classify(path, source);
        let mut connection = Connection::open(path).map_err(fail)?;
        connection.busy_timeout(PATIENCE).map_err(fail)?;
        let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail)?;
        if found > FORMAT {
            return Err(StoreError::Newer { path: path.to_owned(), found });
        }
        connection.pragma_update(None, "journal_mode", "WAL").map_err(fail)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
        let verdict: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).map_err(fail)?;
        if verdict != "ok" {
            return Err(StoreError::Damaged { path: path.to_owned(), problem: verdict });
        }
        let transaction = connection.transaction().map_err(fail)?;
        migrate(&transaction, found, first_index).map_err(fail)?;
        transaction.commit().map_err(fail)?;
        let database = Self { connection, path: path.to_owned() };
        let contents = database.read()?;
        Ok((database, contents))
    }

    /// Writes how the rows stand in a state, and its index, or nothing.
    pub(crate) fn write<'a>(
        &mut self,
        state: &State,
        rows: impl Iterator<Item = &'a RowKey>,
    ) -> Result<(), Arc<rusqlite::Error>> {
        let transaction = self.connection.transaction()?;
        for row in rows {
            apply(&transaction, state, row)?;
        }
        transaction.execute("UPDATE position SET last = max(last, ?1)", [state.index.cast_signed()])?;
        transaction.commit().map_err(Arc::new)
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Contents, StoreError> {
        let fail = |source| classify(&self.path, source);
        let index: i64 = self.connection.query_row("SELECT last FROM position", [], |row| row.get(0)).map_err(fail)?;
        Ok(Contents {
            index: index.cast_unsigned(),
            instances: self.documents("SELECT document FROM instances")?,
            entries: self.documents("SELECT document FROM records WHERE kind = 'entry'")?,
            nodes: self.documents("SELECT document FROM records WHERE kind = 'node'")?,
        })
    }

    fn documents<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>, StoreError> {
        let fail = |source| classify(&self.path, source);
        let mut statement = self.connection.prepare(query).map_err(fail)?;
        let documents = statement.query_map([], |row| row.get::<_, String>(0)).map_err(fail)?;
        let damaged =
            |error: serde_json::Error| StoreError::Damaged { path: self.path.clone(), problem: error.to_string() };
        documents.map(|document| serde_json::from_str(&document.map_err(fail)?).map_err(damaged)).collect()
    }
}

/// Puts a damaged file and what belongs to it aside, under names that are free. Nothing is deleted.
pub(crate) fn quarantine(path: &Path, stamp: i64) -> Result<PathBuf, StoreError> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let free = (0..u32::MAX).map(|attempt| format!(".damaged-{stamp}-{attempt}")).find(|name| !with(name).exists());
    let aside = free.unwrap_or_else(|| ".damaged".to_owned());
    for suffix in ["-wal", "-shm", ""] {
        if with(suffix).exists() {
            fs_err::rename(with(suffix), with(&format!("{aside}{suffix}"))).map_err(StoreError::Quarantine)?;
        }
    }
    Ok(with(&aside))
}

fn migrate(transaction: &Transaction<'_>, found: u32, first_index: u64) -> rusqlite::Result<()> {
    for migration in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(migration)?;
    }
    transaction.execute("INSERT OR IGNORE INTO position (one, last) VALUES (1, ?1)", [first_index.cast_signed()])?;
    transaction.pragma_update(None, "user_version", FORMAT)
}

fn apply(transaction: &Transaction<'_>, state: &State, row: &RowKey) -> rusqlite::Result<usize> {
    match row {
        RowKey::Instance(service, id) => match state.system.get(&(service.clone(), id.clone())) {
            Some(instance) => transaction
                .prepare_cached("INSERT OR REPLACE INTO instances (service, id, document) VALUES (?1, ?2, ?3)")?
                .execute(params![service.as_str(), id, document(instance)?]),
            None => transaction
                .prepare_cached("DELETE FROM instances WHERE service = ?1 AND id = ?2")?
                .execute(params![service.as_str(), id]),
        },
        RowKey::Entry(key) => {
            let found = state.entries.get(key).map(|entry| document(entry.as_ref())).transpose()?;
            record(transaction, "entry", &document(key)?, found)
        }
        RowKey::Node(name) => {
            let found = state.nodes.get(name).map(|node| document(node.as_ref())).transpose()?;
            record(transaction, "node", name, found)
        }
    }
}

fn record(transaction: &Transaction<'_>, kind: &str, key: &str, found: Option<String>) -> rusqlite::Result<usize> {
    match found {
        Some(document) => transaction
            .prepare_cached("INSERT OR REPLACE INTO records (kind, key, document) VALUES (?1, ?2, ?3)")?
            .execute(params![kind, key, document]),
        None => {
            transaction.prepare_cached("DELETE FROM records WHERE kind = ?1 AND key = ?2")?.execute(params![kind, key])
        }
    }
}

fn document(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// A damaged file is put aside; a full disk or missing rights are not mended by that.
fn classify(path: &Path, source: rusqlite::Error) -> StoreError {
    let damaged = match &source {
        rusqlite::Error::SqliteFailure(failure, message) => {
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                || message.as_deref().is_some_and(|text| text.starts_with("no such table"))
        }
        rusqlite::Error::QueryReturnedNoRows
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => true,
        _ => false,
    };
    if damaged {
        StoreError::Damaged { path: path.to_owned(), problem: source.to_string() }
    } else {
        StoreError::Database { path: path.to_owned(), source: Arc::new(source) }
    }
}
