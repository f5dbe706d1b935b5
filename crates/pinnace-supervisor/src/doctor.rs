//! What would keep a system from running, told before it is started.
//!
//! Each check looks and changes nothing: no folder is made, no environment, no process of a service. It asks the same
//! functions that [`crate::up`] goes by, so that both agree. A check is a fact in a sentence, and the way out where
//! something is amiss; how they are shown is the front end's matter.
//!
//! Where to read next: `machine` for what belongs to no system, `system` for a manifest and its state folder, `service`
//! for one service, `application` for what can be said of an application without importing it.

mod application;
mod machine;
mod service;
mod system;

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use pinnace_manifest::Manifest;
use serde::Serialize;

use crate::serve::Candidate;

/// A program that says nothing for so long is passed over.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that was looked at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Report {
    /// The machine, then the system, then each of its services.
    pub sections: Vec<Section>,
}

/// What belongs together.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Section {
    /// `machine`, `system`, or `service orders`.
    pub about: String,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Check {
    /// What was looked at, in a word or two.
    pub name: String,
    /// How it stands.
    pub outcome: Outcome,
    /// What was found.
    pub message: String,
    /// More lines, where they help.
    pub detail: Vec<String>,
    /// The way out.
    pub hint: Option<String>,
}

/// How something stands.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// A start works, and something will be missed.
    Warning,
    /// A start would fail.
    Failure,
}

/// What all checks may know.
#[derive(Debug)]
struct Machine {
    /// The interpreters on `PATH` that answer, in the order in which environments ask for them.
    interpreters: Vec<Candidate>,
    /// What is called like one and is none that can be used, each with the reason.
    unusable: Vec<String>,
}

/// Looks at the machine and, where a file is given, at the system that it describes.
pub fn look(file: Option<&Path>) -> Report {
    let machine = Machine::look();
    let loaded = file.map(|file| (file, Manifest::load(file)));
    let manifest = loaded.as_ref().and_then(|(_, loaded)| loaded.as_ref().ok());
    let mut sections = vec![machine.section(manifest)];
    match &loaded {
        Some((file, loaded)) => sections.extend(system::sections(file, loaded, &machine)),
        None => sections.push(system::absent()),
    }
    Report { sections }
}

/// Does something that may never end, such as asking a program, in a thread that is then left behind.
fn patiently<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done_tx, done) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("pinnace-ask".to_owned());
    thread.spawn(move || done_tx.send(work())).ok()?;
    done.recv_timeout(PATIENCE).ok()
}

impl Report {
    /// How many checks have this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        let checks = self.sections.iter().flat_map(|section| &section.checks);
        checks.filter(|check| check.outcome == outcome).count()
    }

    /// The worst of all outcomes.
    pub fn outcome(&self) -> Outcome {
        let checks = self.sections.iter().flat_map(|section| &section.checks);
        checks.map(|check| check.outcome).max().unwrap_or(Outcome::Ok)
    }
}

impl Check {
    fn new(name: &str, outcome: Outcome, message: impl Into<String>) -> Self {
        Self { name: name.to_owned(), outcome, message: message.into(), detail: Vec::new(), hint: None }
    }

    fn ok(name: &str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, message)
    }

    fn warning(name: &str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Warning, message)
    }

    fn failure(name: &str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Failure, message)
    }

    fn with_detail(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.detail.extend(lines);
        self
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A path as it is best read: relative to the system's folder where it is below it.
fn shown(root: &Path, path: &Path) -> String {
    match path.strip_prefix(root) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => below.display().to_string(),
        Err(_) => path.display().to_string(),
    }
}

/// `3.11.7`
fn version((major, minor, patch): (u32, u32, u32)) -> String {
    format!("{major}.{minor}.{patch}")
}
