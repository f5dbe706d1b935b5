//! A lock on a folder that ends with the process that holds it, however it ends.

use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// Held for as long as this value lives. The file stays; the lock on it does not.
#[derive(Debug)]
pub struct FolderLock {
    _lock: Flock<std::fs::File>,
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it.
    #[error("`{}` is held by process {holder}", path.display())]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// The holder's process id as it wrote it; 0 where it has not yet.
        holder: u32,
    },
    /// The file could not be opened or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FolderLock {
    /// Whether a process holds the lock. Asking leaves the file as it is; where there is none, nobody holds it.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match fs_err::File::open(path) {
            Ok(file) => file.into_parts().0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(false),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// Takes the lock, or says who has it.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let mut options = fs_err::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let (file, _) = options.open(path)?.into_parts();
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0)?;
                lock.rewind()?;
                writeln!(lock, "{}", std::process::id())?;
                Ok(Self { _lock: lock })
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                Err(LockError::Held { path: path.to_owned(), holder: text.trim().parse().unwrap_or(0) })
            }
            Err((_, errno)) => Err(LockError::Io(errno.into())),
        }
    }
}
