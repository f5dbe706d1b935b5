//! How a process of the platform tells the one that started it that it answers.

use std::fs::File;
use std::io::Write as _;

use pinnace_types::status::StatusEvent;

/// Tells it, where the starter wants to know. To be called once.
pub(super) fn tell_ready() {
    let Some(descriptor) = pinnace_os::inherited_status() else { return };
    // The type always serialises; a starter that is gone ends this process by its lifetime pipe.
    let mut line = serde_json::to_vec(&StatusEvent::Ready).unwrap_or_default();
    line.push(b'\n');
    let _ = File::from(descriptor).write_all(&line);
}
