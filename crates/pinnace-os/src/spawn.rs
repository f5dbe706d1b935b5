//! How a process comes to be: program, arguments, a complete environment, and exactly the descriptors it should have.
//!
//! The standard library's `Command` cannot hand on descriptors at fixed numbers without racing its own error pipe, and
//! cannot put the child's own process id into `LISTEN_PID`. So this is a fork and an exec of our own: everything that
//! allocates happens before the fork, [`crate::exec`] holds the few calls that happen after it.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use pinnace_types::environment;

use crate::child::Child;
use crate::exec::{self, Plan};

/// A process that is about to be started.
///
/// Defaults: the environment is empty, the folder is the parent's, standard input is `/dev/null`, both outputs are
/// inherited, the process leads a group of its own, nothing else is inherited.
#[derive(Debug)]
pub struct Spawn {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    output: Output,
    listeners: Vec<(String, OwnedFd)>,
    passed: Vec<(Option<String>, OwnedFd)>,
    own_group: bool,
    own_input: bool,
    death_signal: Option<Signal>,
}

/// Where standard output and standard error go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    /// To where the parent's go.
    Inherit,
    /// To the parent, which reads them from [`Child::take_output`].
    Pipe,
    /// Nowhere.
    Discard,
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start `{}`", program.display())]
pub struct SpawnError {
    /// The program.
    pub program: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: std::io::Error,
}

impl Spawn {
    /// A process that runs this program; a path, see [`find_program`] for a name.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
            output: Output::Inherit,
            listeners: Vec::new(),
            passed: Vec::new(),
            own_group: true,
            own_input: true,
            death_signal: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable; the last value of a name counts.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let name = name.into();
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
        self
    }

    /// Sets variables.
    #[must_use]
    pub fn envs(self, variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>) -> Self {
        variables.into_iter().fold(self, |spawn, (name, value)| spawn.env(name, value))
    }

    /// Takes over the environment of this process, without what describes inherited descriptors.
    #[must_use]
    pub fn inherit_env(self) -> Self {
        let own = [
            environment::LISTEN_FDS,
            environment::LISTEN_PID,
            environment::LISTEN_FDNAMES,
            environment::LIFETIME_FD,
            environment::STATUS_FD,
            environment::WORKER,
        ];
        self.envs(std::env::vars_os().filter(|(name, _)| !own.iter().any(|known| OsStr::new(known) == name)))
    }

    /// The folder that it starts in.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Where its output goes.
    #[must_use]
    pub const fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Hands on a listening socket, from descriptor 3 on and in this order, as systemd does.
    #[must_use]
    pub fn listener(mut self, name: impl Into<String>, socket: OwnedFd) -> Self {
        self.listeners.push((name.into(), socket));
        self
    }

    /// Hands on another descriptor, behind the listening sockets; its number is put into the variable.
    #[must_use]
    pub fn pass(mut self, variable: impl Into<String>, descriptor: OwnedFd) -> Self {
        self.passed.push((Some(variable.into()), descriptor));
        self
    }

    /// The same without a variable: the child learns the number, [`Spawn::next_descriptor`], in another way.
    #[must_use]
    pub fn pass_silently(mut self, descriptor: OwnedFd) -> Self {
        self.passed.push((None, descriptor));
        self
    }

    /// Keeps it in the parent's process group.
    #[must_use]
    pub const fn same_group(mut self) -> Self {
        self.own_group = false;
        self
    }

    /// Gives it the parent's standard input. On a terminal that is of use in the parent's group alone: see
    /// [`Spawn::same_group`].
    #[must_use]
    pub const fn same_input(mut self) -> Self {
        self.own_input = false;
        self
    }

    /// The signal that the kernel sends it when the parent's thread ends. Start it from a thread that stays.
    #[must_use]
    pub const fn death_signal(mut self, signal: Signal) -> Self {
        self.death_signal = Some(signal);
        self
    }

    /// The number that the next passed descriptor will have in the child. Listening sockets have to be there already.
    pub fn next_descriptor(&self) -> i32 {
        exec::FIRST_DESCRIPTOR + i32::try_from(self.listeners.len() + self.passed.len()).unwrap_or(i32::MAX / 2)
    }

    /// Starts it. Must be called within a tokio runtime, which waits for its end.
    pub fn spawn(self) -> Result<Child, SpawnError> {
        let program = self.program.clone();
        self.try_spawn().map_err(|source| SpawnError { program, source })
    }

    fn try_spawn(mut self) -> std::io::Result<Child> {
        self.describe_descriptors();
        let path = c_string(self.program.as_os_str())?;
        let mut argv = vec![path.clone()];
        for argument in &self.arguments {
            argv.push(c_string(argument)?);
        }
        let mut envp = Vec::with_capacity(self.environment.len() + 1);
        for (name, value) in &self.environment {
            let mut entry = name.clone();
            entry.push("=");
            entry.push(value);
            envp.push(c_string(&entry)?);
        }
        let sockets = self.listeners.iter().map(|(_, socket)| socket.as_raw_fd());
        let descriptors = sockets.chain(self.passed.iter().map(|(_, fd)| fd.as_raw_fd())).collect();
        let folder = self.folder.as_deref().map(|folder| c_string(folder.as_os_str())).transpose()?;
        exec::start(&Plan {
            path,
            argv,
            envp,
            folder,
            output: self.output,
            descriptors,
            listen_pid: !self.listeners.is_empty(),
            own_group: self.own_group,
            own_input: self.own_input,
            death_signal: self.death_signal,
        })
    }

    fn describe_descriptors(&mut self) {
        let mut variables = Vec::new();
        if !self.listeners.is_empty() {
            let names: Vec<&str> = self.listeners.iter().map(|(name, _)| name.as_str()).collect();
            variables.push((environment::LISTEN_FDS.to_owned(), self.listeners.len().to_string()));
            variables.push((environment::LISTEN_FDNAMES.to_owned(), names.join(":")));
        }
        for (index, (variable, _)) in self.passed.iter().enumerate() {
            let number = exec::FIRST_DESCRIPTOR as usize + self.listeners.len() + index;
            variables.extend(variable.clone().map(|variable| (variable, number.to_string())));
        }
        for (name, value) in variables {
            self.environment.retain(|(known, _)| known.as_os_str() != OsStr::new(&name));
            self.environment.push((name.into(), value.into()));
        }
    }
}

/// Finds a program by name in a `PATH`, or takes a path with a slash as it is.
pub fn find_program(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name));
    }
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn c_string(text: &OsStr) -> std::io::Result<CString> {
    CString::new(text.as_bytes())
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidInput, "a NUL byte in an argument or variable"))
}
