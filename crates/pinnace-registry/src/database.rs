//! The file: one `SQLite` database in WAL mode, a row for each instance and one for the index.
//!
//! `synchronous = FULL`: changes of a registry are rare and small, and an index that went back after a power cut would leave
//! everyone who waits on it waiting. Rows hold the instance as JSON: nobody queries inside.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, Transaction, params};

use crate::{Instance, InvalidInstance};

/// The version of the format that this build writes, in `PRAGMA user_version`.
const FORMAT: u32 = 1;
/// What brings a database from the version of its place to the next.
const MIGRATIONS: [&str; FORMAT as usize] = ["
    CREATE TABLE instances (service TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (service, id));
    CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL);
"];

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
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A damaged file could not be put aside.
    #[error("cannot put the damaged registry aside")]
    Quarantine(#[source] std::io::Error),
    /// The registration is out of bounds.
    #[error(transparent)]
    Invalid(#[from] InvalidInstance),
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
}

/// One row to write or to remove.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    Put(&'a Instance),
    Remove { service: &'a str, id: &'a str },
}

impl Database {
    /// Opens or makes the file and reads it. A new one begins after `first_index`.
    pub(crate) fn open(path: &Path, first_index: u64) -> Result<(Self, Contents), StoreError> {
        let fail = |source| classify(path, source);
        let mut connection = Connection::open(path).map_err(fail)?;
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

    /// Writes all changes and the index, or nothing.
    pub(crate) fn write(&mut self, index: u64, changes: &[Change<'_>]) -> Result<(), StoreError> {
        let Self { connection, path } = self;
        let fail = |source| StoreError::Database { path: path.clone(), source };
        let transaction = connection.transaction().map_err(fail)?;
        for change in changes {
            apply(&transaction, change).map_err(fail)?;
        }
        transaction.execute("UPDATE position SET last = max(last, ?1)", [index.cast_signed()]).map_err(fail)?;
        transaction.commit().map_err(fail)
    }

    fn read(&self) -> Result<Contents, StoreError> {
        let fail = |source| classify(&self.path, source);
        let index: i64 = self.connection.query_row("SELECT last FROM position", [], |row| row.get(0)).map_err(fail)?;
        let mut statement = self.connection.prepare("SELECT document FROM instances").map_err(fail)?;
        let documents = statement.query_map([], |row| row.get::<_, String>(0)).map_err(fail)?;
        let mut instances = Vec::new();
        for document in documents {
            let instance = serde_json::from_str(&document.map_err(fail)?)
                .map_err(|error| StoreError::Damaged { path: self.path.clone(), problem: error.to_string() })?;
            instances.push(instance);
        }
        Ok(Contents { index: index.cast_unsigned(), instances })
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

fn apply(transaction: &Transaction<'_>, change: &Change<'_>) -> rusqlite::Result<usize> {
    match change {
        Change::Put(instance) => {
            let document = serde_json::to_string(instance)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            let of = &instance.registration;
            transaction
                .prepare_cached("INSERT OR REPLACE INTO instances (service, id, document) VALUES (?1, ?2, ?3)")?
                .execute(params![of.service.as_str(), of.id, document])
        }
        Change::Remove { service, id } => transaction
            .prepare_cached("DELETE FROM instances WHERE service = ?1 AND id = ?2")?
            .execute(params![service, id]),
    }
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
        StoreError::Database { path: path.to_owned(), source }
    }
}
