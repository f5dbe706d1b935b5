//! The signals that a parent of processes answers to.

use std::io::{self, IsTerminal as _};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a parent was asked by a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asked {
    /// SIGTERM or SIGINT, or the terminal is gone.
    Stop,
    /// SIGHUP.
    Reload,
    /// SIGUSR1: another process has taken over; end as old workers do after a reload, so that no client loses a request.
    Retire,
    /// SIGCHLD: a child has ended, perhaps an adopted one that nobody else waits for.
    Reap,
}

/// Listens to SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGCHLD.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    retire: Signal,
    child: Signal,
    on_terminal: bool,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            retire: signal(SignalKind::user_defined1())?,
            child: signal(SignalKind::child())?,
            on_terminal: io::stderr().is_terminal(),
        })
    }

    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            // A terminal that is closed sends the same signal, and then is no terminal any more.
            _ = self.hangup.recv() => if self.on_terminal && !io::stderr().is_terminal() { Asked::Stop } else { Asked::Reload },
            _ = self.retire.recv() => Asked::Retire,
            _ = self.child.recv() => Asked::Reap,
        }
    }
}
