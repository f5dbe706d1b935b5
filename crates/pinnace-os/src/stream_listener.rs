//! Listening sockets of either kind, TCP and Unix: opened, inherited, or taken by their number.
//!
//! A Unix socket leaves a file behind. One that nobody listens on any more is taken away before a new one is made, and
//! [`SocketFile`] takes its own away at the end, unless somebody else's has taken its place.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use fs_err as fs;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::lifetime::own_inherited;
use crate::listener::{inherited, listen_with};

/// A listening socket, non-blocking and closed to children.
#[derive(Debug)]
pub enum StreamListener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Where a socket listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListeningAt {
    /// At an address.
    Address(SocketAddr),
    /// At a file; empty where it has none.
    File(PathBuf),
}

/// The file of a Unix socket that was made here. Dropping it takes the file away, where it is still the same.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Device, inode and the time of its making: file systems give the number of an inode again.
type Identity = (u64, u64, i64, i64);

impl StreamListener {
    /// Opens a TCP socket; `backlog` connections may wait to be accepted, which the kernel cuts to `net.core.somaxconn`.
    pub fn bind(address: SocketAddr, backlog: i32) -> io::Result<Self> {
        listen_with(address, backlog).map(Self::Tcp)
    }

    /// Makes a Unix socket that whoever the mode lets may connect to. A file that nobody listens on is taken away first;
    /// one that is no socket is left alone, and so is one on which somebody listens: both are [`io::ErrorKind::AddrInUse`].
    pub fn bind_file(path: &Path, mode: u32, backlog: i32) -> io::Result<(Self, SocketFile)> {
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let metadata = fs::symlink_metadata(path)?;
        let file = SocketFile { path: path.to_owned(), identity: identity(&metadata) };
        // Nobody can connect before it listens, so nobody sees the mode that the umask made.
        fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        Ok((Self::Unix(socket.into()), file))
    }

    /// Takes the socket that this process inherited under this number and has it listen, which its starter may have left
    /// to it. To be asked once for a number.
    pub fn take(descriptor: i32, backlog: i32) -> io::Result<Self> {
        let nothing = || io::Error::new(io::ErrorKind::NotFound, "no such descriptor was inherited");
        let socket = Socket::from(own_inherited(descriptor).ok_or_else(nothing)?);
        socket.listen(backlog)?;
        Self::of(socket)
    }

    /// The listening sockets that this process inherited by systemd's protocol, with their names. To be asked once.
    pub fn inherited() -> io::Result<Vec<(String, Self)>> {
        let streams =
            inherited()?.into_iter().filter(|(_, socket)| socket.r#type().is_ok_and(|kind| kind == Type::STREAM));
        streams.map(|(name, socket)| Ok((name, Self::of(socket)?))).collect()
    }

    /// Where it listens.
    pub fn local(&self) -> io::Result<ListeningAt> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(ListeningAt::Address),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                Ok(ListeningAt::File(address.as_pathname().unwrap_or_else(|| Path::new("")).to_owned()))
            }
        }
    }

    /// Another descriptor of the same socket, to be handed on.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(OwnedFd::from),
            Self::Unix(listener) => listener.try_clone().map(OwnedFd::from),
        }
    }

    fn of(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let is_unix = socket.local_addr()?.is_unix();
        Ok(if is_unix { Self::Unix(socket.into()) } else { Self::Tcp(socket.into()) })
    }
}

impl fmt::Display for ListeningAt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "http://{address}"),
            Self::File(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| identity(&metadata) == self.identity) {
            // One that stays is taken away by the next who listens there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &std::fs::Metadata) -> Identity {
    (metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

/// Takes a socket's file away that nobody listens on.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "there is a file of that name which is no socket"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there")),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixStream;

    use super::{ListeningAt, StreamListener};

    #[test]
    fn a_socket_file_has_its_mode_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let (listener, file) = StreamListener::bind_file(&path, 0o660, 16).unwrap();
        assert_eq!(listener.local().unwrap(), ListeningAt::File(path.clone()));
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        UnixStream::connect(&path).unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn only_what_nobody_listens_on_makes_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let (first, first_file) = StreamListener::bind_file(&path, 0o600, 16).unwrap();
        assert_eq!(StreamListener::bind_file(&path, 0o600, 16).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(first);
        let (_second, _second_file) = StreamListener::bind_file(&path, 0o600, 16).unwrap();
        drop(first_file);
        UnixStream::connect(&path).expect("the file of the second one is not the first one's to take away");
        let plain = folder.path().join("plain");
        fs_err::write(&plain, "kept").unwrap();
        assert_eq!(StreamListener::bind_file(&plain, 0o600, 16).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(fs_err::read_to_string(&plain).unwrap(), "kept");
    }

    #[test]
    fn a_number_that_was_not_inherited_is_told() {
        assert_eq!(StreamListener::take(999, 16).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(StreamListener::take(2, 16).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
