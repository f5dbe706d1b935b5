//! The signals that a service answers to: the same as those of `pinnace serve`, without a reload.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a service was asked by a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asked {
    /// SIGINT.
    Stop,
    /// SIGTERM.
    Terminate,
    /// SIGUSR1: another process has taken over the socket.
    Retire,
}

/// Listens to SIGTERM, SIGINT and SIGUSR1.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    retire: Signal,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            retire: signal(SignalKind::user_defined1())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Terminate,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.retire.recv() => Asked::Retire,
        }
    }
}
