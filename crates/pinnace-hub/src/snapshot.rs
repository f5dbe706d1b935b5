//! The file that remembers the last system that was seen: one JSON document, replaced as a whole.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pinnace_types::control::SystemView;
use serde::{Deserialize, Serialize};

const FILE: &str = "system.json";
const FORMAT: u32 = 1;

/// What was seen, and when.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Snapshot {
    format: u32,
    pub(crate) seen_at: Timestamp,
    pub(crate) system: SystemView,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It was written by a later version.
    #[error("`{}` has format {found}; this version of pinnace reads up to {FORMAT}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// The operating system refused.
    #[error("cannot keep the last state of the system")]
    File(#[from] std::io::Error),
}

impl Snapshot {
    pub(crate) fn new(system: SystemView, seen_at: Timestamp) -> Self {
        Self { format: FORMAT, seen_at, system }
    }

    /// Reads the last one; a damaged file is put aside with a warning.
    pub(crate) fn load(folder: &Path, now: Timestamp) -> Result<Option<Self>, SnapshotError> {
        let path = folder.join(FILE);
        let bytes = match fs_err::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if let Some(found) = document["format"].as_u64().filter(|found| *found > u64::from(FORMAT)) {
            return Err(SnapshotError::Newer { path, found });
        }
        match serde_json::from_value(document) {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(error) => {
                let aside = folder.join(format!("{FILE}.damaged-{}", now.as_millisecond()));
                fs_err::rename(&path, &aside)?;
                tracing::warn!(problem = %error, aside = %aside.display(), "the last state was damaged and is unknown");
                Ok(None)
            }
        }
    }

    /// Replaces the file: a reader, also one after a kill, finds the old or the new one.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), SnapshotError> {
        let fresh = folder.join(format!("{FILE}.new"));
        let mut file = fs_err::File::create(&fresh)?;
        serde_json::to_writer(&mut file, self).map_err(std::io::Error::from)?;
        file.flush()?;
        file.sync_all()?;
        fs_err::rename(fresh, folder.join(FILE))?;
        Ok(())
    }
}
