//! How a serve parent tells what happens: as status lines to a supervisor, or in words on standard error.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use pinnace_types::status::StatusEvent;

use super::ServeConfig;

/// Where events go.
#[derive(Debug)]
pub(super) struct Report {
    name: String,
    address: SocketAddr,
    workers: u32,
    status: Option<File>,
    loaded: String,
}

impl Report {
    pub(super) fn new(config: &ServeConfig, address: SocketAddr, status: Option<OwnedFd>) -> Self {
        let status = status.map(File::from);
        Self { name: config.name.clone(), address, workers: config.workers, status, loaded: String::new() }
    }

    /// Tells one event.
    pub(super) fn tell(&mut self, event: &StatusEvent) {
        match &mut self.status {
            Some(status) => {
                // These types always serialise; a supervisor that is gone ends this process by its lifetime pipe.
                let mut line = serde_json::to_vec(event).unwrap_or_default();
                line.push(b'\n');
                let _ = status.write_all(&line);
            }
            None => self.say(event),
        }
    }

    /// Says that begun requests are being finished, where there is a person to read it.
    pub(super) fn stopping(&self) {
        if self.status.is_none() {
            write_lines(&[format!("{}: finishing what was begun; a second Ctrl-C ends it at once", self.name)]);
        }
    }

    fn say(&mut self, event: &StatusEvent) {
        let Self { name, address, workers, .. } = self;
        let lines = match event {
            StatusEvent::Loaded { target, framework, python } => {
                self.loaded = format!("{framework} ({target}) on {python}");
                return;
            }
            StatusEvent::Ready => {
                let processes = if *workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") };
                vec![format!("{name}: {} answers on http://{address}, {processes}", self.loaded)]
            }
            StatusEvent::Reloaded { millis } => vec![format!("{name}: reloaded in {millis} ms")],
            StatusEvent::ReloadFailed(failure) => {
                let mut lines = vec![format!("{name}: not reloaded, the old workers go on: {}", failure.message)];
                lines.extend(failure.detail.iter().map(|line| format!("  {line}")));
                lines.extend(failure.hint.iter().map(|hint| format!("hint: {hint}")));
                lines
            }
            // The command itself says it, with its exit code.
            StatusEvent::Failed(_) => return,
            StatusEvent::WorkerDied { pid, how, lost, backoff_ms } => {
                let requests = match lost.len() {
                    0 => "no request was begun".to_owned(),
                    1 => format!("1 request was begun: {}", lost[0]),
                    count => format!("{count} requests were begun: {}", lost.join(" ")),
                };
                vec![format!("{name}: worker {pid} ended ({how}); {requests}; the next starts in {backoff_ms} ms")]
            }
        };
        write_lines(&lines);
    }
}

fn write_lines(lines: &[String]) {
    // A closed standard error cannot be told to anyone.
    let _ = std::io::stderr().write_all((lines.join("\n") + "\n").as_bytes());
}
