//! A process that was started here, held by a pidfd, so that a signal never reaches another process that got its number.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

/// Every child of this process that a [`Child`] stands for; all others were adopted.
pub(crate) static KNOWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// A running process. Dropping it lets it run on.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    pidfd: AsyncFd<OwnedFd>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    exit: Option<Exit>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// With an exit status.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Exit {
    /// Whether it ended with status 0.
    pub const fn success(self) -> bool {
        matches!(self, Self::Code(0))
    }

    /// The status that a shell would report: 128 and the signal's number where one ended it.
    pub fn shell_status(self) -> u8 {
        match self {
            Self::Code(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            Self::Signal(signal) => u8::try_from((128 + signal) & 0xff).unwrap_or(u8::MAX),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exit code {code}"),
            Self::Signal(signal) => match Signal::try_from(*signal) {
                Ok(name) => write!(formatter, "signal {signal} ({name})"),
                Err(_) => write!(formatter, "signal {signal}"),
            },
        }
    }
}

impl Child {
    pub(crate) fn new(pid: i32, stdout: Option<OwnedFd>, stderr: Option<OwnedFd>) -> io::Result<Self> {
        // SAFETY: a plain system call; the result is checked before it is owned.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, libc::PIDFD_NONBLOCK) };
        let pidfd = i32::try_from(pidfd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: a fresh descriptor that nobody else owns.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        // SAFETY: an `OwnedFd` always gives the same descriptor, and it stays open until the registration is dropped.
        let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, tokio::io::Interest::READABLE) }?;
        let receiver = |fd: OwnedFd| pipe::Receiver::from_owned_fd(fd);
        Ok(Self {
            pid,
            pidfd,
            stdout: stdout.map(receiver).transpose()?,
            stderr: stderr.map(receiver).transpose()?,
            exit: None,
        })
    }

    /// Its process id, which is also the id of its group where it leads one.
    pub const fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Its two outputs, once, where they are piped.
    pub fn take_output(&mut self) -> Option<(pipe::Receiver, pipe::Receiver)> {
        match (self.stdout.take(), self.stderr.take()) {
            (Some(stdout), Some(stderr)) => Some((stdout, stderr)),
            _ => None,
        }
    }

    /// Waits for its end; may be called again.
    pub async fn wait(&mut self) -> io::Result<Exit> {
        loop {
            if let Some(exit) = self.try_wait()? {
                return Ok(exit);
            }
            let mut ready = self.pidfd.readable().await?;
            if self.exit.is_none() {
                ready.clear_ready();
            }
        }
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        if self.exit.is_some() {
            return Ok(self.exit);
        }
        let status = waitid(Id::Pid(Pid::from_raw(self.pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)?;
        self.exit = match status {
            WaitStatus::Exited(_, code) => Some(Exit::Code(code)),
            WaitStatus::Signaled(_, signal, _) => Some(Exit::Signal(signal as i32)),
            WaitStatus::StillAlive
            | WaitStatus::Stopped(..)
            | WaitStatus::Continued(_)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_) => None,
        };
        if self.exit.is_some() {
            KNOWN.lock().remove(&self.pid);
        }
        Ok(self.exit)
    }

    /// Sends it a signal; one that has ended gets none.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        // SAFETY: a plain system call on a descriptor that we own.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.get_ref().as_raw_fd(),
                signal as libc::c_int,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        let error = io::Error::last_os_error();
        if result == 0 || error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Reaped if it has ended; one that runs on becomes a stray for `family::reap_strays` once it ends.
        let _ = self.try_wait();
        KNOWN.lock().remove(&self.pid);
    }
}
