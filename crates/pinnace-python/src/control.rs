//! The worker's end of the control socket: what the parent commands, and its end.
//!
//! A thread of its own reads it, so that the worker ends at once when its parent is gone, even while an application
//! blocks the event loop. Events upwards are written by Python, which has more to say before this exists.

use std::io::{BufRead as _, BufReader};
use std::os::fd::{FromRawFd as _, RawFd};
use std::os::unix::net::UnixStream;

use pinnace_types::worker::WorkerCommand;
use tokio::sync::watch;

/// What the parent wants.
pub(crate) fn listen(descriptor: RawFd) -> std::io::Result<watch::Receiver<Option<WorkerCommand>>> {
    // SAFETY: the descriptor is duplicated, so the original stays Python's; the duplicate belongs to the stream alone.
    let socket = unsafe {
        let duplicate = libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3);
        if duplicate < 0 {
            return Err(std::io::Error::last_os_error());
        }
        UnixStream::from_raw_fd(duplicate)
    };
    socket.set_nonblocking(false)?;
    let (command_tx, command_rx) = watch::channel(None);
    std::thread::Builder::new().name("pinnace-control".to_owned()).spawn(move || {
        for line in BufReader::new(socket).lines() {
            let Ok(line) = line else { break };
            // A command that this version does not know is left alone: the parent has the same version.
            if let Ok(command) = serde_json::from_str(&line) {
                let _ = command_tx.send(Some(command));
            }
        }
        end_at_once();
    })?;
    Ok(command_rx)
}

fn end_at_once() {
    // SAFETY: `_exit` has no precondition. Nothing is to be flushed: whoever would read it is gone.
    unsafe { libc::_exit(1) }
}
