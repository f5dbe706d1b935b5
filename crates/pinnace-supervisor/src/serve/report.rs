//! How a serve parent tells what happens: as status lines to a supervisor, or in words on standard error.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pinnace_discovery::{LeaseNews, Registration};
use pinnace_types::status::StatusEvent;
use pinnace_types::worker::{Failure, LogFormat, LogLevel};
use pinnace_types::{ByteSize, HumanDuration};

use super::life::mebibytes;
use super::{ServeConfig, Socket};

/// Where events go.
#[derive(Debug)]
pub(super) struct Report {
    name: String,
    places: String,
    workers: u32,
    format: LogFormat,
    level: LogLevel,
    status: Option<File>,
    loaded: String,
}

#[derive(Clone, Copy)]
enum Weight {
    Fact,
    Warning,
}

impl Report {
    pub(super) fn new(config: &ServeConfig, sockets: &[Socket], status: Option<OwnedFd>) -> Self {
        let places: Vec<String> = sockets.iter().map(|socket| socket.at.to_string()).collect();
        Self {
            name: config.name.clone(),
            places: places.join(", "),
            workers: config.workers,
            format: config.log_format,
            level: config.log_level,
            status: status.map(File::from),
            loaded: String::new(),
        }
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
            self.write(Weight::Fact, "finishing what was begun; a second Ctrl-C ends it at once", &[]);
        }
    }

    /// Says which files have changed.
    pub(super) fn changed(&self, files: &[PathBuf], folder: &Path) {
        let first = files.first().map(|file| file.strip_prefix(folder).unwrap_or(file).display().to_string());
        let what = match (first, files.len()) {
            (None, _) => "much has changed".to_owned(),
            (Some(first), 1) => format!("{first} changed"),
            (Some(first), count) => format!("{first} and {} more changed", count - 1),
        };
        self.write(Weight::Fact, &format!("{what}: reloading"), &[]);
    }

    /// Says that a change is waited for.
    pub(super) fn waiting(&self) {
        self.write(Weight::Fact, "waiting for a change of its files", &[]);
    }

    /// Shows why a worker did not start or end well, while others go on.
    pub(super) fn show(&self, failure: &Failure) {
        self.write(Weight::Warning, &failure.message, &lines_of(failure));
    }

    /// Says that a worker is ended because it no longer answers.
    pub(super) fn silent(&self, pid: u32, message: &str) {
        let text = format!("worker {pid} is replaced: {message}; the stacks of its threads follow");
        self.write(Weight::Warning, &text, &[]);
    }

    /// Says whose requests were not finished in time.
    pub(super) fn cut_off(&self, pid: u32, lost: &[String]) {
        self.write(Weight::Warning, &format!("worker {pid} was cut off while it drained; {}", begun(lost)), &[]);
    }

    /// Says that a worker has done enough, and who takes over.
    pub(super) fn renewed(&self, pid: u32, why: &str, successor: u32) {
        self.write(Weight::Fact, &format!("worker {pid} is replaced by {successor}: {why}"), &[]);
    }

    /// Says that a worker that has done enough goes on.
    pub(super) fn not_renewed(&self, why: &str, how: &str) {
        let text =
            format!("a worker should be replaced, since {why}; the new one did not start ({how}), the old one goes on");
        self.write(Weight::Warning, &text, &[]);
    }

    /// Says that workers reach a limit so soon that they are not replaced at once.
    pub(super) fn hurried(&self, life: Duration) {
        let life = HumanDuration::new(Duration::from_millis(u64::try_from(life.as_millis()).unwrap_or(u64::MAX)));
        let text = format!(
            "workers reach a limit within {life} of their start: from now on there are up to 10s between two \
             replacements; raise --max-requests, --max-memory or --max-lifetime"
        );
        self.write(Weight::Warning, &text, &[]);
    }

    /// Says that a ceiling is below what the application needs.
    pub(super) fn born_large(&self, pid: u32, resident: u64, ceiling: ByteSize) {
        let text = format!(
            "worker {pid} has {} of memory as it starts, and --max-memory is {ceiling}: no replacement would be smaller, \
             so there is one every 10m at most; raise --max-memory",
            mebibytes(resident)
        );
        self.write(Weight::Warning, &text, &[]);
    }

    /// Says that a worker is left alone while a debugger is there.
    pub(super) fn debugged(&self, pid: u32, by: &str) {
        let text = format!("worker {pid} is left alone from now on, however long it is silent: {by}");
        self.write(Weight::Fact, &text, &[]);
    }

    /// Says what has become of the registration.
    pub(super) fn registry(&self, news: &LeaseNews, registered: Option<&Registration>) {
        match news {
            LeaseNews::Registered => {
                let entry = registered.map(|entry| format!(" as {} at {}", entry.id, entry.endpoint));
                self.write(Weight::Fact, &format!("registered{}", entry.unwrap_or_default()), &[]);
            }
            LeaseNews::NotYet { reason } => {
                self.write(Weight::Warning, &format!("not registered yet, which is tried again: {reason}"), &[]);
            }
            LeaseNews::Lost { reason } => {
                let line = format!("the registry is away, the service goes on and tries to register again: {reason}");
                self.write(Weight::Warning, &line, &[]);
            }
            LeaseNews::Again => self.write(Weight::Fact, "registered again", &[]),
        }
    }

    fn say(&mut self, event: &StatusEvent) {
        let Self { places, workers, .. } = self;
        match event {
            StatusEvent::Loaded { target, framework, python } => {
                self.loaded = format!("{framework} ({target}) on {python}");
            }
            StatusEvent::Ready => {
                let processes = if *workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") };
                let line = format!("{} answers on {places}, {processes}", self.loaded);
                self.write(Weight::Fact, &line, &[]);
            }
            StatusEvent::Reloaded { millis } => self.write(Weight::Fact, &format!("reloaded in {millis} ms"), &[]),
            StatusEvent::ReloadFailed(failure) => {
                let line = format!("not reloaded, the old workers go on: {}", failure.message);
                self.write(Weight::Warning, &line, &lines_of(failure));
            }
            // The command itself says it, with its exit code.
            StatusEvent::Failed(_) => {}
            StatusEvent::WorkerDied { pid, how, lost, backoff_ms } => {
                let line = format!("worker {pid} ended ({how}); {}; the next starts in {backoff_ms} ms", begun(lost));
                self.write(Weight::Warning, &line, &[]);
            }
        }
    }

    fn write(&self, weight: Weight, message: &str, more: &[String]) {
        let wanted = match weight {
            Weight::Fact => LogLevel::Info,
            Weight::Warning => LogLevel::Warn,
        };
        if wanted > self.level {
            return;
        }
        match (self.format, weight) {
            (LogFormat::Text, _) => {
                let mut text = format!("{}: {message}\n", self.name);
                for line in more {
                    text.push_str(line);
                    text.push('\n');
                }
                // A closed standard error cannot be told to anyone.
                let _ = std::io::stderr().write_all(text.as_bytes());
            }
            (LogFormat::Json, Weight::Fact) => tracing::info!(service = self.name, "{message}"),
            (LogFormat::Json, Weight::Warning) => {
                tracing::warn!(service = self.name, detail = more.join("\n"), "{message}");
            }
        }
    }
}

fn lines_of(failure: &Failure) -> Vec<String> {
    let detail = failure.detail.iter().map(|line| format!("  {line}"));
    detail.chain(failure.hint.iter().map(|hint| format!("hint: {hint}"))).collect()
}

fn begun(requests: &[String]) -> String {
    match requests {
        [] => "no request was begun".to_owned(),
        [one] => format!("1 request was begun: {one}"),
        several => format!("{} requests were begun: {}", several.len(), several.join(" ")),
    }
}
