//! The machine: interpreters, what makes environments, ports, the watching of files.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;

use pinnace_manifest::{Manifest, PythonSpec, PythonVersion};
use pinnace_os::{PortOwner, find_program, port_owners};

use super::{Check, Machine, PATIENCE, Section, patiently, version};
use crate::serve::Candidate;
use crate::up::environment::interpreter_names;
use crate::up::running;
use crate::watch::{self, Trial, WatchError, Watched};

/// Where the kernel says how many folders a user may watch.
/// How a system runs without following files.
const WITHOUT_WATCHING: &str = "start with --no-watch";
const WATCHES: &str = "/proc/sys/fs/inotify/max_user_watches";

impl Machine {
    /// Asks every interpreter on `PATH` what it is, all at once.
    pub(super) fn look() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs: Vec<PathBuf> =
            interpreter_names().filter_map(|name| find_program(name.as_ref(), &path)).collect();
        let (answers_tx, answers) = mpsc::sync_channel(programs.len());
        for (place, program) in programs.iter().cloned().enumerate() {
            let answers_tx = answers_tx.clone();
            let thread = std::thread::Builder::new().name("pinnace-ask".to_owned());
            // Where there is no thread to be had, there is no answer; one that never answers is left behind.
            let _ = thread.spawn(move || answers_tx.send((place, Candidate::ask(&program))));
        }
        drop(answers_tx);
        let mut answered = BTreeMap::new();
        while let Ok((place, answer)) = answers.recv_timeout(PATIENCE) {
            answered.insert(place, answer);
        }
        let mut seen = HashSet::new();
        // `python3` is mostly a link to one of the others.
        let real = |program: &Path| fs_err::canonicalize(program).unwrap_or_else(|_| program.to_owned());
        let (mut interpreters, mut unusable) = (Vec::new(), Vec::new());
        for (place, program) in programs.iter().enumerate() {
            match answered.remove(&place) {
                Some(Ok(candidate)) if seen.insert(real(&candidate.program)) => interpreters.push(candidate),
                Some(Ok(_)) => {}
                Some(Err(error)) => unusable.push(error.to_string()),
                None => unusable.push(format!("`{}` does not answer", program.display())),
            }
        }
        Self { interpreters, unusable }
    }

    /// The interpreter that an environment would be made with.
    pub(super) fn choose(&self, asked: Option<&PythonSpec>) -> Option<&Candidate> {
        self.interpreters.iter().find(|candidate| {
            let (major, minor, patch) = candidate.version;
            (major, minor) >= (3, 10) && asked.is_none_or(|asked| asked.matches(PythonVersion { major, minor, patch }))
        })
    }

    pub(super) fn section(&self, manifest: Option<&Manifest>) -> Section {
        let services = manifest.map_or(&[][..], |manifest| &manifest.services);
        let watched: Vec<Watched> =
            services.iter().filter(|service| !service.is_external()).map(Watched::from).collect();
        let limit = fs_err::read_to_string(WATCHES).ok().and_then(|text| text.trim().parse().ok());
        let system = manifest.and_then(|manifest| running(&manifest.root)).map(|system| system.pid);
        let port = |port: u16, who: &str| self::port(port, who, taken_by(port).as_deref(), system);
        let checks = vec![
            self.python(),
            self.installer(),
            watches(watch::try_out(&watched), limit),
            port(8080, "gateway"),
            port(7070, "hub"),
        ];
        Section { about: "machine".to_owned(), checks }
    }

    fn python(&self) -> Check {
        const NAME: &str = "python";
        let place =
            |candidate: &Candidate| format!("{} at {}", version(candidate.version), candidate.program.display());
        let (hosts, others): (Vec<_>, Vec<_>) =
            self.interpreters.iter().partition(|candidate| candidate.runtime.is_ok());
        let reasons = others.iter().filter_map(|candidate| {
            let error = candidate.runtime.as_ref().err()?;
            Some(match error {
                crate::serve::InterpreterError::NoRuntime { .. } => format!("{}: no runtime for it", place(candidate)),
                _ => format!("{}: not hosted", place(candidate)),
            })
        });
        if let Some((first, more)) = hosts.split_first() {
            return Check::ok(NAME, place(first)).with_detail(more.iter().map(|host| place(host))).with_detail(reasons);
        }
        match self.interpreters.first().and_then(|candidate| candidate.runtime.as_ref().err()) {
            Some(error) => Check::failure(NAME, "no interpreter on PATH can host an application")
                .with_detail(reasons)
                .with_hint(error.hint()),
            None if !self.unusable.is_empty() => Check::failure(NAME, "no Python on PATH can be used")
                .with_detail(self.unusable.iter().cloned())
                .with_hint("mend it, or put another on PATH"),
            None => Check::failure(NAME, "there is no Python on PATH")
                .with_hint("`sudo apt-get install python3 python3-venv`, or put one on PATH"),
        }
    }

    /// What environments are made with: the same choice that `up` makes.
    fn installer(&self) -> Check {
        const NAME: &str = "environments";
        let path = std::env::var_os("PATH").unwrap_or_default();
        if let Some(uv) = find_program("uv".as_ref(), &path) {
            let program = uv.clone();
            let answer = patiently(move || Command::new(program).arg("--version").output());
            let said = answer.and_then(Result::ok).filter(|output| output.status.success());
            return match said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()) {
                Some(said) => Check::ok(NAME, format!("made by {said} at {}", uv.display())),
                None => Check::failure(NAME, format!("`{}` does not run", uv.display()))
                    .with_hint("mend it, or take it off PATH: environments are then made with venv and pip"),
            };
        }
        match self.choose(None) {
            Some(candidate) if candidate.makes_environments() => Check::ok(NAME, "made by venv and pip"),
            Some(candidate) => {
                let (major, minor, _) = candidate.version;
                Check::failure(NAME, format!("`{}` has no venv module with pip", candidate.program.display()))
                    .with_hint(format!("`sudo apt-get install python{major}.{minor}-venv`, or install `uv`"))
            }
            None => Check::failure(NAME, "there is no Python from 3.10 on that could make one")
                .with_hint("install one and put it on PATH"),
        }
    }
}

/// Who has a port; nothing where it is free.
fn taken_by(port: u16) -> Option<Vec<PortOwner>> {
    let free = pinnace_os::listen(([127, 0, 0, 1], port).into()).is_ok();
    (!free).then(|| port_owners(port))
}

fn port(port: u16, who: &str, taken: Option<&[PortOwner]>, system: Option<u32>) -> Check {
    let name = format!("port {port}");
    let Some(owners) = taken else { return Check::ok(&name, format!("free for the {who}")) };
    if owners.iter().any(|owner| Some(owner.pid) == system) {
        return Check::ok(&name, format!("the {who} of this system listens"));
    }
    let message = match owners.first() {
        Some(PortOwner { pid, name }) => format!("taken by process {pid} ({name})"),
        None => "taken by a process of another user".to_owned(),
    };
    match system {
        // What runs already has other addresses.
        Some(_) => Check::ok(&name, format!("{message}; the system that runs has another")),
        None => Check::failure(&name, message)
            .with_hint(format!("end that process, or choose another: `pinnace up --{who} 127.0.0.1:PORT`")),
    }
}

fn watches(trial: Result<Trial, WatchError>, limit: Option<u64>) -> Check {
    const NAME: &str = "file changes";
    let limit = limit.map_or_else(String::new, |limit| format!(" of {limit} that a user may watch"));
    match trial {
        Ok(Trial { folders, is_limited: false }) => {
            Check::ok(NAME, format!("{folders} folder{} watched{limit}", if folders == 1 { "" } else { "s" }))
        }
        Ok(Trial { folders, is_limited: true }) => {
            Check::warning(NAME, format!("only {folders} folders can be watched{limit}; changes in others go unseen"))
                .with_hint(format!("{}, or {WITHOUT_WATCHING}", WatchError::MORE_WATCHES))
        }
        Err(error) => Check::warning(NAME, error.to_string()).with_hint(error.hint(WITHOUT_WATCHING)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use pinnace_os::PortOwner;

    use super::{port, watches};
    use crate::doctor::{Check, Machine};
    use crate::serve::{Candidate, InterpreterError};
    use crate::watch::Trial;

    fn candidate(minor: u32, has_runtime: bool) -> Candidate {
        let runtime = if has_runtime {
            Ok(PathBuf::from("/runtime"))
        } else {
            Err(InterpreterError::NoRuntime { suffix: ".so".to_owned(), tried: Vec::new() })
        };
        Candidate { program: PathBuf::from(format!("/bin/python3.{minor}")), version: (3, minor, 1), runtime }
    }

    fn owner(pid: u32) -> PortOwner {
        PortOwner { pid, name: "node".to_owned() }
    }

    #[test]
    fn the_interpreters_are_told_with_those_that_cannot_host_behind() {
        let machine = Machine {
            interpreters: vec![candidate(13, false), candidate(11, true), candidate(12, true)],
            unusable: Vec::new(),
        };
        let expected = Check::ok("python", "3.11.1 at /bin/python3.11").with_detail(
            ["3.12.1 at /bin/python3.12", "3.13.1 at /bin/python3.13: no runtime for it"].map(str::to_owned),
        );
        assert_eq!(machine.python(), expected);
        let spec = "<3.13".parse().unwrap();
        assert_eq!(machine.choose(Some(&spec)).unwrap().version, (3, 11, 1));
        assert_eq!(machine.choose(None).unwrap().version, (3, 13, 1));
    }

    #[test]
    fn no_interpreter_that_hosts_is_a_failure_with_the_way_out() {
        let check = Machine { interpreters: vec![candidate(12, false)], unusable: Vec::new() }.python();
        let expected = Check::failure("python", "no interpreter on PATH can host an application")
            .with_detail(["3.12.1 at /bin/python3.12: no runtime for it".to_owned()])
            .with_hint(
                "install `pinnace-runtime` for this Python; from the sources: `cargo xtask runtime --python PYTHON`",
            );
        assert_eq!(check, expected);
        let mut machine = Machine { interpreters: Vec::new(), unusable: Vec::new() };
        assert_eq!(machine.python().message, "there is no Python on PATH");
        machine.unusable.push("`/bin/python3` does not answer".to_owned());
        let expected = Check::failure("python", "no Python on PATH can be used")
            .with_detail(["`/bin/python3` does not answer".to_owned()])
            .with_hint("mend it, or put another on PATH");
        assert_eq!(machine.python(), expected);
    }

    #[test]
    fn a_port_is_free_or_its_owner_is_named() {
        assert_eq!(port(8080, "gateway", None, None), Check::ok("port 8080", "free for the gateway"));
        assert_eq!(
            port(7070, "hub", Some(&[owner(42)]), None),
            Check::failure("port 7070", "taken by process 42 (node)")
                .with_hint("end that process, or choose another: `pinnace up --hub 127.0.0.1:PORT`")
        );
        assert_eq!(port(7070, "hub", Some(&[]), None).message, "taken by a process of another user");
    }

    #[test]
    fn a_port_of_the_system_that_runs_is_as_it_should_be() {
        let owners = [owner(42), owner(43)];
        let taken = Some(&owners[..]);
        let own = port(8080, "gateway", taken, Some(43));
        assert_eq!(own, Check::ok("port 8080", "the gateway of this system listens"));
        let other = port(8080, "gateway", taken, Some(7));
        let text = "taken by process 42 (node); the system that runs has another";
        assert_eq!(other, Check::ok("port 8080", text));
    }

    #[test]
    fn folders_that_cannot_be_watched_are_a_warning() {
        let all = watches(Ok(Trial { folders: 14, is_limited: false }), Some(8192));
        assert_eq!(all, Check::ok("file changes", "14 folders watched of 8192 that a user may watch"));
        let some = watches(Ok(Trial { folders: 9, is_limited: true }), None);
        let expected = Check::warning("file changes", "only 9 folders can be watched; changes in others go unseen")
            .with_hint(
                "raise the limit with `sudo sysctl fs.inotify.max_user_watches=524288`, or start with --no-watch",
            );
        assert_eq!(some, expected);
    }
}
