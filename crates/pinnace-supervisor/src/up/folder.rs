//! `.pinnace`: the folder beside `pinnace.toml` that a system keeps its state in, and who may use it.
//!
//! | path | owner | what |
//! |---|---|---|
//! | `FORMAT` | supervisor | the version of this layout; a newer one is refused |
//! | `run/` | supervisor | the lock, `up.json`, remembered ports, the gateway's table, the hub's token |
//! | `envs/` | supervisor | the environments that were made |
//! | `logs/` | supervisor | a file for each service |
//! | `data/SERVICE/` | the service | its `SQLite` database |
//! | `data/hub/` | the hub | the registry |
//!
//! All of it is closed to other users, and a `.gitignore` of its own keeps it out of repositories.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use jiff::Timestamp;
use pinnace_os::{FolderLock, LockError};
use pinnace_types::{ExitCode, ServiceName, environment};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The layout that this version writes.
const FORMAT: u32 = 1;
/// The longest path that a Unix socket can have, with its end.
const LONGEST_SOCKET_PATH: usize = 107;

/// The folder, locked for this process.
#[derive(Debug)]
pub(crate) struct StateFolder {
    path: PathBuf,
    _lock: FolderLock,
}

/// What a running system says of itself in `run/up.json`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Announcement {
    /// Its supervisor's process.
    pub pid: u32,
    /// The Unix socket on which it is asked.
    pub control: PathBuf,
    /// When it started.
    pub started_at: Timestamp,
}

impl Announcement {
    /// The Unix socket on which its gateway is asked.
    pub fn gateway_control(&self) -> PathBuf {
        gateway_control(&self.control)
    }
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// Another process runs the system.
    #[error("the system of this folder runs already: process {pid}")]
    Running {
        /// That process; 0 where it has not said so yet.
        pid: u32,
    },
    /// A newer version has written it.
    #[error("`{}` was written by a newer version of pinnace (format {format}, this one knows {FORMAT})", path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// It cannot be read or written.
    #[error("cannot use `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no place for the control socket.
    #[error("`{}` is no safe place for the control socket: {reason}", path.display())]
    Socket {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl FolderError {
    /// How the command ends.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Running { .. } => ExitCode::AlreadyRunning,
            Self::Newer { .. } | Self::Io { .. } | Self::Socket { .. } => ExitCode::Storage,
        }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Running { .. } => "`pinnace ps` shows it; Ctrl-C in its terminal ends it".to_owned(),
            Self::Newer { .. } => "use the version of pinnace that wrote it".to_owned(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free space on the disk".to_owned()
            }
            Self::Io { .. } => "free space on the disk, or mend the rights of the folder".to_owned(),
            Self::Socket { .. } => format!("set {} to a folder that is yours alone", environment::XDG_RUNTIME_DIR),
        })
    }

    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source: bare(source) }
    }
}

impl StateFolder {
    /// Makes the folder of a system where it is not there, and takes its lock.
    pub(crate) fn open(root: &Path) -> Result<Self, FolderError> {
        let path = root.join(".pinnace");
        make(&path)?;
        let run = path.join("run");
        make(&run)?;
        let lock = lock(&lock_of(root))?;
        check_format(&path)?;
        for folder in ["envs", "logs", "data"] {
            make(&path.join(folder))?;
        }
        let ignore = path.join(".gitignore");
        if !ignore.exists() {
            fs_err::write(&ignore, "*\n").map_err(FolderError::at(&ignore))?;
        }
        Ok(Self { path, _lock: lock })
    }

    /// The environments.
    pub(crate) fn envs(&self) -> PathBuf {
        self.path.join("envs")
    }

    /// What belongs to this run, and what the next one remembers.
    pub(crate) fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    /// The log files.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// The data of the services and of the hub.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The folder of a service's own database, made where it is not there.
    pub(crate) fn service_data(&self, service: &ServiceName) -> Result<PathBuf, FolderError> {
        let path = self.data().join(service.as_str());
        make(&path)?;
        Ok(path)
    }

    /// The file with the hub's token, made where there is none. It stays the same over starts.
    pub(crate) fn hub_token(&self) -> Result<PathBuf, FolderError> {
        let path = self.run().join("hub-token");
        let known = fs_err::read_to_string(&path).is_ok_and(|token| is_token(token.trim()));
        if !known {
            let mut bytes = [0_u8; 32];
            getrandom::fill(&mut bytes).map_err(|error| FolderError::at(&path)(io::Error::other(error)))?;
            write_private(&path, format!("{}\n", hex(&bytes)).as_bytes()).map_err(FolderError::at(&path))?;
        }
        Ok(path)
    }

    /// Says where this system is asked. Whoever reads it later finds out from the lock whether it still holds.
    pub(crate) fn announce(&self, control: &Path, started_at: Timestamp) -> Result<(), FolderError> {
        let announcement = Announcement { pid: std::process::id(), control: control.to_owned(), started_at };
        let path = self.run().join("up.json");
        let beside = path.with_extension("new");
        // The type always serialises.
        let text = serde_json::to_vec_pretty(&announcement).unwrap_or_default();
        write_private(&beside, &text).map_err(FolderError::at(&beside))?;
        fs_err::rename(&beside, &path).map_err(FolderError::at(&path))
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        // Nobody reads it once the lock is free; this only keeps the folder tidy.
        let _ = fs_err::remove_file(self.run().join("up.json"));
    }
}

/// The system that runs in the folder of this manifest, if one does.
pub fn running(root: &Path) -> Option<Announcement> {
    let text = fs_err::read(root.join(".pinnace/run/up.json")).ok()?;
    let announcement: Announcement = serde_json::from_slice(&text).ok()?;
    // What a killed system left behind does not count.
    FolderLock::is_held(&lock_of(root)).is_ok_and(|held| held).then_some(announcement)
}

/// A path for the control socket of the system in this folder: short, in a folder that is closed to others.
///
/// The caller holds the folder's lock, so that a socket that is there belongs to a process that is gone; it is removed.
pub(crate) fn control_socket(root: &Path) -> Result<PathBuf, FolderError> {
    let path = control_path(root)?;
    match fs_err::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FolderError::at(&path)(error)),
        _ => Ok(path),
    }
}

/// The socket of the gateway, beside that of the system.
pub(crate) fn gateway_control(control: &Path) -> PathBuf {
    control.with_extension("gateway.sock")
}

/// The same path, whatever is there: the first of the user's folders that will do, made where it is not there.
pub(crate) fn control_path(root: &Path) -> Result<PathBuf, FolderError> {
    let uid = own_user()?;
    first_safe(socket_places(root, uid), |folder| make_closed(folder, uid))
}

/// The same path as far as can be said without making anything.
pub(crate) fn socket_outlook(root: &Path) -> Result<PathBuf, FolderError> {
    let uid = own_user()?;
    first_safe(socket_places(root, uid), |folder| {
        if folder.exists() {
            check_closed(folder, uid)
        } else if may_make(folder) {
            Ok(())
        } else {
            Err(FolderError::at(folder)(io::ErrorKind::PermissionDenied.into()))
        }
    })
}

/// Whether a system could keep its state below this folder, as far as can be said without writing.
pub(crate) fn outlook(root: &Path) -> Result<(), FolderError> {
    let path = root.join(".pinnace");
    if !may_make(&path.join("run")) {
        return Err(FolderError::at(&path)(io::ErrorKind::PermissionDenied.into()));
    }
    match fs_err::read_to_string(path.join("FORMAT")).ok().and_then(|text| text.trim().parse().ok()) {
        Some(format) if format > FORMAT => Err(FolderError::Newer { path, format }),
        _ => Ok(()),
    }
}

/// Whether a folder is there and may be written to, or could be made.
fn may_make(folder: &Path) -> bool {
    let there = folder.ancestors().find(|folder| folder.symlink_metadata().is_ok());
    there.is_some_and(|folder| folder.is_dir() && pinnace_os::may_write(folder))
}

fn own_user() -> Result<u32, FolderError> {
    // The owner of this process's own entry is its user, without asking a user database.
    let own = Path::new("/proc/self");
    Ok(fs_err::metadata(own).map_err(FolderError::at(own))?.uid())
}

/// Where the control socket may be, in the order in which places are tried.
fn socket_places(root: &Path, uid: u32) -> impl Iterator<Item = PathBuf> {
    // `su` and containers often name a runtime folder that is not there.
    let given = std::env::var_os(environment::XDG_RUNTIME_DIR).map(PathBuf::from);
    let given = given.filter(|folder| folder.is_absolute() && folder.is_dir()).map(|folder| folder.join("pinnace"));
    let temporary = [std::env::temp_dir(), PathBuf::from("/tmp")].map(|folder| folder.join(format!("pinnace-{uid}")));
    let name = format!("{}.sock", &hex(&Sha256::digest(root.as_os_str().as_encoded_bytes()))[..12]);
    given.into_iter().chain(temporary).map(move |folder| folder.join(&name))
}

/// Takes the first socket whose folder will do; where none does, the first one's refusal tells why.
fn first_safe(
    sockets: impl Iterator<Item = PathBuf>,
    check: impl Fn(&Path) -> Result<(), FolderError>,
) -> Result<PathBuf, FolderError> {
    let mut refusal = None;
    for socket in sockets {
        let folder = socket.parent().unwrap_or_else(|| Path::new("/"));
        let is_short = gateway_control(&socket).as_os_str().len() <= LONGEST_SOCKET_PATH;
        let too_long = || {
            let reason = "its path is too long for a socket".to_owned();
            Err(FolderError::Socket { path: folder.to_owned(), reason })
        };
        match if is_short { check(folder) } else { too_long() } {
            Ok(()) => return Ok(socket),
            Err(error) => {
                refusal.get_or_insert(error);
            }
        }
    }
    let nowhere =
        || FolderError::Socket { path: PathBuf::from("/tmp"), reason: "there is no folder for it".to_owned() };
    Err(refusal.unwrap_or_else(nowhere))
}

fn make_closed(folder: &Path, uid: u32) -> Result<(), FolderError> {
    make(folder)?;
    check_closed(folder, uid)
}

fn check_closed(folder: &Path, uid: u32) -> Result<(), FolderError> {
    let metadata = fs_err::symlink_metadata(folder).map_err(FolderError::at(folder))?;
    let refused = |reason: &str| FolderError::Socket { path: folder.to_owned(), reason: reason.to_owned() };
    if !metadata.is_dir() || metadata.uid() != uid {
        return Err(refused("it belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(refused("others may open it"));
    }
    Ok(())
}

/// Takes the lock, or says who has it.
fn lock(path: &Path) -> Result<FolderLock, FolderError> {
    // Whoever only asks holds it for an instant, and then the file names a process that is gone.
    const TRIES: usize = 100;
    let mut tries = 0..TRIES;
    loop {
        match FolderLock::acquire(path) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Held { holder, .. }) if tries.next().is_some() && !is_alive(holder) => {
                std::thread::yield_now();
            }
            Err(LockError::Held { holder, .. }) => return Err(FolderError::Running { pid: holder }),
            Err(LockError::Io(source)) => return Err(FolderError::at(path)(source)),
            Err(other) => return Err(FolderError::at(path)(io::Error::other(other))),
        }
    }
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// An error as the operating system said it, without the path that `fs_err` puts before it and we too.
pub(crate) fn bare(error: io::Error) -> io::Error {
    // It keeps the number to itself; every error of the operating system ends in it.
    let text = error.to_string();
    let code = text.strip_suffix(')').and_then(|text| text.rsplit_once("(os error ")?.1.parse().ok());
    code.map_or(error, io::Error::from_raw_os_error)
}

fn lock_of(root: &Path) -> PathBuf {
    root.join(".pinnace/run/lock")
}

/// A folder for its owner alone; one that is there keeps its rights.
fn make(path: &Path) -> Result<(), FolderError> {
    match fs_err::create_dir_all(path.parent().unwrap_or(path)).and_then(|()| fs_err::create_dir(path)) {
        Ok(()) => fs_err::set_permissions(path, Permissions::from_mode(0o700)).map_err(FolderError::at(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(FolderError::at(path)(error)),
    }
}

fn check_format(path: &Path) -> Result<(), FolderError> {
    let file = path.join("FORMAT");
    match fs_err::read_to_string(&file) {
        Ok(text) => match text.trim().parse() {
            Ok(format) if format <= FORMAT => Ok(()),
            Ok(format) => Err(FolderError::Newer { path: path.to_owned(), format }),
            // A start that was cut short may leave it empty: then nothing else was written either.
            Err(_) => fs_err::write(&file, format!("{FORMAT}\n")).map_err(FolderError::at(&file)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs_err::write(&file, format!("{FORMAT}\n")).map_err(FolderError::at(&file))
        }
        Err(error) => Err(FolderError::at(&file)(error)),
    }
}

/// Whether a text is long enough to be a secret and can stand in a header.
fn is_token(text: &str) -> bool {
    text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A file that is there would keep its rights.
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(bytes)
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
    use std::path::Path;

    use jiff::Timestamp;
    use pinnace_types::ExitCode;

    use super::{FolderError, StateFolder, control_socket, first_safe, make_closed, running, socket_outlook};

    fn mode(path: &Path) -> u32 {
        fs_err::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn it_is_closed_to_others_and_ignored_by_git() {
        let root = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(root.path()).unwrap();
        let own = root.path().join(".pinnace");
        for path in [own.clone(), folder.run(), folder.envs(), folder.logs(), folder.data()] {
            assert_eq!(mode(&path), 0o700, "{}", path.display());
        }
        assert_eq!(fs_err::read_to_string(own.join(".gitignore")).unwrap(), "*\n");
        let token = folder.hub_token().unwrap();
        assert_eq!(mode(&token), 0o600);
        let first = fs_err::read_to_string(&token).unwrap();
        assert_eq!(first.trim().len(), 64);
        assert_eq!(fs_err::read_to_string(folder.hub_token().unwrap()).unwrap(), first);
    }

    #[test]
    fn a_second_system_learns_who_runs_it_and_a_reader_finds_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(root.path()).unwrap();
        assert_eq!(running(root.path()), None);
        folder.announce(Path::new("/tmp/x.sock"), Timestamp::UNIX_EPOCH).unwrap();
        let announcement = running(root.path()).unwrap();
        assert_eq!((announcement.pid, announcement.control.to_str()), (std::process::id(), Some("/tmp/x.sock")));
        let error = StateFolder::open(root.path()).unwrap_err();
        assert!(matches!(error, FolderError::Running { pid } if pid == std::process::id()), "{error}");
        assert_eq!(error.exit_code(), ExitCode::AlreadyRunning);
        drop(folder);
        assert_eq!(running(root.path()), None);
        StateFolder::open(root.path()).unwrap();
    }

    #[test]
    fn a_control_socket_is_short_private_and_the_same_for_the_same_folder() {
        let root = tempfile::tempdir().unwrap();
        let uid = fs_err::metadata(root.path()).unwrap().uid();
        let long = root.path().join("x".repeat(100));
        let open = root.path().join("open");
        fs_err::create_dir(&open).unwrap();
        fs_err::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
        let good = root.path().join("pinnace");
        let sockets = || [&long, &open, &good].map(|folder| folder.join("a.sock")).into_iter();
        let make = |folder: &Path| make_closed(folder, uid);
        assert_eq!(first_safe(sockets(), make).unwrap(), good.join("a.sock"));
        assert_eq!(mode(&good), 0o700);
        let error = first_safe(sockets().take(2), make).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
        let error = first_safe(sockets().skip(1).take(1), make).unwrap_err();
        assert!(error.to_string().contains("others may open it"), "{error}");
        assert!(error.hint().unwrap().contains("XDG_RUNTIME_DIR"));

        let path = control_socket(root.path()).unwrap();
        assert_eq!(socket_outlook(root.path()).unwrap(), path);
        fs_err::write(&path, "of a process that is gone").unwrap();
        assert_eq!(control_socket(root.path()).unwrap(), path);
        assert!(!path.exists());
        assert_ne!(control_socket(&good).unwrap(), path, "a moved folder has another one");
    }

    #[test]
    fn a_lock_whose_holder_is_gone_is_not_taken_for_a_running_system() {
        let root = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(root.path()).unwrap();
        // As whoever asks at this moment would leave it: held, with the number of a process that is gone.
        fs_err::write(folder.run().join("lock"), "4194304\n").unwrap();
        let error = StateFolder::open(root.path()).unwrap_err();
        assert!(matches!(error, FolderError::Running { pid: 4_194_304 }), "{error}");
        drop(folder);
        StateFolder::open(root.path()).unwrap();
    }

    #[test]
    fn a_token_that_is_cut_short_is_made_anew_and_private() {
        let root = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(root.path()).unwrap();
        fs_err::write(folder.run().join("hub-token"), "short").unwrap();
        let token = folder.hub_token().unwrap();
        assert_eq!(fs_err::read_to_string(&token).unwrap().trim().len(), 64);
        assert_eq!(mode(&token), 0o600);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_told_once_with_its_path() {
        let error = FolderError::at(Path::new("/x"))(fs_err::read("/nowhere/at/all").unwrap_err());
        assert_eq!(error.to_string(), "cannot use `/x`: No such file or directory (os error 2)");
        let error = FolderError::at(Path::new("/x"))(std::io::Error::from_raw_os_error(28));
        assert_eq!(error.hint().as_deref(), Some("free space on the disk"));
        assert_eq!(error.exit_code(), ExitCode::Storage);
    }

    #[test]
    fn what_a_newer_version_wrote_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        drop(StateFolder::open(root.path()).unwrap());
        fs_err::write(root.path().join(".pinnace/FORMAT"), "7\n").unwrap();
        let error = StateFolder::open(root.path()).unwrap_err();
        assert!(error.to_string().contains("format 7"), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Storage);
    }

    #[test]
    fn a_file_in_its_place_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        fs_err::write(root.path().join(".pinnace"), "").unwrap();
        let error = StateFolder::open(root.path()).unwrap_err();
        assert!(error.to_string().contains(".pinnace`"), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Storage);
    }
}
