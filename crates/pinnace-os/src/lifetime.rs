//! How a process learns that the one that started it is gone, however it went.
//!
//! The supervisor keeps the writing end of a pipe on which nothing is ever written. Every leader of a family inherits
//! the reading end; when the supervisor ends, `kill -9` included, the kernel closes the writing end and they read end of file.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use nix::fcntl::OFlag;
use tokio::net::unix::pipe;

use pinnace_types::environment;

/// The supervisor's end: families live for as long as this value does.
#[derive(Debug)]
pub struct Lifetime {
    _writing: OwnedFd,
    reading: OwnedFd,
}

/// The other end, inherited by a leader.
#[derive(Debug)]
pub struct LifetimeEnd(pipe::Receiver);

impl Lifetime {
    /// Opens the pipe.
    pub fn new() -> io::Result<Self> {
        let (reading, writing) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        Ok(Self { _writing: writing, reading })
    }

    /// A descriptor to pass to a child as [`environment::LIFETIME_FD`].
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.reading.try_clone()
    }
}

impl LifetimeEnd {
    /// The end that this process inherited, if its starter gave it one. To be asked once.
    pub fn inherited() -> io::Result<Option<Self>> {
        let Some(descriptor) = inherited_descriptor(environment::LIFETIME_FD) else { return Ok(None) };
        pipe::Receiver::from_owned_fd(descriptor).map(|receiver| Some(Self(receiver)))
    }

    /// Completes when the starter is gone.
    pub async fn ended(&self) {
        let mut byte = [0_u8; 1];
        loop {
            if self.0.readable().await.is_err() {
                return;
            }
            match self.0.try_read(&mut byte) {
                Ok(0) => return,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// Takes a descriptor whose number stands in a variable, and closes it to children.
pub(crate) fn inherited_descriptor(variable: &str) -> Option<OwnedFd> {
    let number: i32 = std::env::var(variable).ok()?.parse().ok()?;
    own_inherited(number)
}

/// Owns an inherited descriptor, if there is one of that number.
pub(crate) fn own_inherited(number: i32) -> Option<OwnedFd> {
    // SAFETY: a plain descriptor call; it fails on a number that is not open.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: the descriptor is open, was handed to this process by its starter, and each number is asked for once.
    (number > 2 && result == 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes the descriptor for status lines, if the starter gave one. To be asked once.
pub fn inherited_status() -> Option<OwnedFd> {
    inherited_descriptor(environment::STATUS_FD)
}
