//! The moment between fork and exec: only async-signal-safe calls, no allocation, no lock.
//!
//! Whatever the child needs stands ready in a [`Plan`]. The child's exec either succeeds, which closes the error pipe,
//! or writes its `errno` there and ends.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

use nix::sys::signal::Signal;

use crate::child::{self, Child};
use crate::spawn::Output;

/// Inherited descriptors start here, as in systemd's protocol.
pub(crate) const FIRST_DESCRIPTOR: RawFd = 3;
/// Descriptors are moved up here first, so that putting one into its place cannot overwrite another.
const PARKING: RawFd = 128;
/// `LISTEN_PID=` and room for the digits, which are filled in by the child.
const LISTEN_PID_PREFIX: &[u8] = b"LISTEN_PID=";

/// All that the child does, decided and allocated by the parent.
pub(crate) struct Plan {
    pub(crate) path: CString,
    pub(crate) argv: Vec<CString>,
    pub(crate) envp: Vec<CString>,
    pub(crate) folder: Option<CString>,
    pub(crate) output: Output,
    pub(crate) descriptors: Vec<RawFd>,
    pub(crate) listen_pid: bool,
    pub(crate) own_group: bool,
    pub(crate) own_input: bool,
    pub(crate) death_signal: Option<Signal>,
}

/// Forks and executes.
pub(crate) fn start(plan: &Plan) -> io::Result<Child> {
    let (error_read, unparked) = pipe()?;
    let error_write = park(&unparked)?;
    drop(unparked);
    let null = fs_err::File::open("/dev/null")?;
    let discard = fs_err::OpenOptions::new().write(true).open("/dev/null")?;
    let (stdout, stderr) = match plan.output {
        Output::Pipe => (Some(pipe()?), Some(pipe()?)),
        Output::Inherit | Output::Discard => (None, None),
    };
    let output_of = |pipe: &Option<(OwnedFd, OwnedFd)>| match (pipe, plan.output) {
        (Some((_, write)), _) => Some(write.as_raw_fd()),
        (None, Output::Discard) => Some(discard.as_raw_fd()),
        (None, Output::Inherit | Output::Pipe) => None,
    };
    let mut listen_pid = [0_u8; 32];
    listen_pid[..LISTEN_PID_PREFIX.len()].copy_from_slice(LISTEN_PID_PREFIX);
    let argv = pointers(&plan.argv, None);
    let envp = pointers(&plan.envp, plan.listen_pid.then(|| listen_pid.as_ptr().cast()));
    let mut orders = Orders {
        path: plan.path.as_ptr(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        folder: plan.folder.as_ref().map_or(ptr::null(), |folder| folder.as_ptr()),
        stdin: plan.own_input.then(|| null.as_raw_fd()),
        stdout: output_of(&stdout),
        stderr: output_of(&stderr),
        parked: vec![-1; plan.descriptors.len()],
        descriptors: &plan.descriptors,
        listen_pid: listen_pid.as_mut_ptr(),
        own_group: plan.own_group,
        death_signal: plan.death_signal.map_or(0, |signal| signal as libc::c_int),
        parent: std::process::id().cast_signed(),
        error: error_write.as_raw_fd(),
    };

    // Registered under the lock from before the fork on, so that no child is ever taken for a stray.
    let mut known = child::KNOWN.lock();
    let old_mask = block_signals()?;
    // SAFETY: the child calls only async-signal-safe functions until it executes or ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: this is the freshly forked child, and `orders` points at memory that outlives the call.
        unsafe { orders.follow() }
    }
    let forked = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
    restore_signals(&old_mask);
    let pid = forked?;
    known.insert(pid);
    drop(known);
    drop(error_write);
    if let Some(error) = read_error(&error_read) {
        // SAFETY: `pid` is our own child, which has ended or is about to.
        unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
        child::KNOWN.lock().remove(&pid);
        return Err(error);
    }
    Child::new(pid, stdout.map(|(read, _)| read), stderr.map(|(read, _)| read))
}

/// What the child reads; nothing in it is allocated or freed by the child.
struct Orders<'plan> {
    path: *const libc::c_char,
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    folder: *const libc::c_char,
    stdin: Option<RawFd>,
    stdout: Option<RawFd>,
    stderr: Option<RawFd>,
    parked: Vec<RawFd>,
    descriptors: &'plan [RawFd],
    listen_pid: *mut u8,
    own_group: bool,
    death_signal: libc::c_int,
    parent: libc::pid_t,
    error: RawFd,
}

impl Orders<'_> {
    /// Becomes the program, or reports `errno` and ends.
    ///
    /// # Safety
    /// Only in a freshly forked child; all pointers must be valid.
    unsafe fn follow(&mut self) -> ! {
        // SAFETY: the caller vouches for the pointers; every call below is async-signal-safe.
        unsafe {
            let errno = match self.try_follow() {
                Ok(()) => 0,
                Err(errno) => errno,
            };
            let bytes = errno.to_ne_bytes();
            libc::write(self.error, bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127)
        }
    }

    /// # Safety
    /// As for [`Orders::follow`].
    unsafe fn try_follow(&mut self) -> Result<(), libc::c_int> {
        // SAFETY: see `follow`.
        unsafe {
            if self.own_group {
                check(libc::setpgid(0, 0))?;
            }
            if self.death_signal != 0 {
                check(libc::prctl(libc::PR_SET_PDEATHSIG, self.death_signal))?;
                if libc::getppid() != self.parent {
                    // The parent ended before the request was made: nobody will send the signal.
                    libc::_exit(127);
                }
            }
            for signal in 1..=64 {
                // Handlers are reset by exec, but what is ignored would stay ignored. KILL and STOP refuse, and may.
                libc::signal(signal, libc::SIG_DFL);
            }
            self.place_descriptors()?;
            if !self.folder.is_null() {
                check(libc::chdir(self.folder))?;
            }
            self.write_own_pid();
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
            libc::execve(self.path, self.argv, self.envp);
            Err(*libc::__errno_location())
        }
    }

    /// # Safety
    /// As for [`Orders::follow`].
    unsafe fn place_descriptors(&mut self) -> Result<(), libc::c_int> {
        // SAFETY: plain descriptor calls on numbers that the parent vouches for.
        unsafe {
            // Everything that has a place is moved out of the way before anything is put into it.
            let stdout = self.stdout.map(|fd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, PARKING));
            let stderr = self.stderr.map(|fd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, PARKING));
            for (parked, descriptor) in self.parked.iter_mut().zip(self.descriptors) {
                *parked = check(libc::fcntl(*descriptor, libc::F_DUPFD_CLOEXEC, PARKING))?;
            }
            if let Some(fd) = self.stdin {
                check(libc::dup2(fd, 0))?;
            }
            if let Some(fd) = stdout {
                check(libc::dup2(fd, 1))?;
            }
            if let Some(fd) = stderr {
                check(libc::dup2(fd, 2))?;
            }
            for (place, parked) in (FIRST_DESCRIPTOR..).zip(&self.parked) {
                check(libc::dup2(*parked, place))?;
            }
            // What this process was itself started with and never asked for goes no further. Kernels before 5.11 refuse.
            let first = FIRST_DESCRIPTOR.cast_unsigned() + libc::c_uint::try_from(self.parked.len()).unwrap_or(0);
            libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
            Ok(())
        }
    }

    /// Writes the child's own id into the prepared `LISTEN_PID=`.
    ///
    /// # Safety
    /// As for [`Orders::follow`].
    unsafe fn write_own_pid(&self) {
        let mut digits = [0_u8; 10];
        // SAFETY: async-signal-safe, no arguments.
        let mut rest = unsafe { libc::getpid() }.unsigned_abs();
        let mut count = 0;
        loop {
            digits[count] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            count += 1;
            if rest == 0 {
                break;
            }
        }
        for index in 0..count {
            // SAFETY: the buffer has 32 bytes: 11 of prefix, at most 10 of digits, and zeros.
            unsafe { *self.listen_pid.add(LISTEN_PID_PREFIX.len() + index) = digits[count - 1 - index] };
        }
    }
}

fn check(result: libc::c_int) -> Result<libc::c_int, libc::c_int> {
    // SAFETY: reads the calling thread's errno.
    if result < 0 { Err(unsafe { *libc::__errno_location() }) } else { Ok(result) }
}

fn pointers(strings: &[CString], more: Option<*const libc::c_char>) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain(more).chain([ptr::null()]).collect()
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(io::Error::from)
}

/// A copy of a descriptor out of the way of those that get fixed places.
fn park(descriptor: &OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: a plain descriptor call; the result is checked before it is owned.
    let copy = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, PARKING) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `copy` is a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Until the child has executed no handler of the parent may run in it.
fn block_signals() -> io::Result<libc::sigset_t> {
    // SAFETY: both sets are plain memory, initialised by the calls themselves.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut old: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        match libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old) {
            0 => Ok(old),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

fn restore_signals(mask: &libc::sigset_t) {
    // SAFETY: `mask` came from `block_signals`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}

/// Waits for the exec; what can be read is the `errno` of one that failed.
fn read_error(pipe: &OwnedFd) -> Option<io::Error> {
    let mut bytes = [0_u8; 4];
    loop {
        match nix::unistd::read(pipe, &mut bytes) {
            Ok(4) => return Some(io::Error::from_raw_os_error(i32::from_ne_bytes(bytes))),
            Err(nix::errno::Errno::EINTR) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}
