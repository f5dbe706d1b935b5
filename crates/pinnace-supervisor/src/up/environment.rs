//! The Python environment of each service: its own, or one that is made for it and kept.
//!
//! An environment is keyed by the contents of the files that say what is in it and by where it is, so that a second
//! start looks at files and starts no process, a changed file brings another environment beside the old one, and a moved
//! folder brings a new one (environments hold absolute paths). What was cut short while it was made is made anew.
//!
//! Where to read next: `dependencies` for which files count, `interpreter` for which Python, `install` for how it is made.

mod dependencies;
mod install;
mod interpreter;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pinnace_manifest::{PythonSpec, PythonVersion, Run, Service};
use pinnace_os::free_space;
use pinnace_types::ExitCode;
use serde::{Deserialize, Serialize};

use super::folder::{StateFolder, bare};
use super::step::{StepError, StepRunner};
use dependencies::Dependencies;
use interpreter::Interpreter;

pub(crate) use dependencies::dependency_files;
pub(crate) use interpreter::names as interpreter_names;

/// Written last and removed first: an environment without it is not whole.
const MARKER: &str = "pinnace.json";

/// With less room than this, in bytes, a failed installer has failed for want of it.
const LEAST_FREE: u64 = 4 << 20;
/// How installers say that there is no room.
const NO_SPACE: [&str; 2] = ["No space left on device", "os error 28"];
const DISK_FULL: &str = "the disk is full: free some space; the next start tries again";

/// Makes environments.
#[derive(Debug)]
pub(crate) struct Environments {
    folder: Arc<StateFolder>,
    runner: StepRunner,
}

/// An environment that is there.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// Its interpreter.
    pub(crate) python: PathBuf,
    /// The folder of its programs.
    pub(crate) bin: PathBuf,
    /// The environment.
    pub(crate) venv: PathBuf,
}

/// What a start would find or do.
#[derive(Clone, Debug)]
pub(crate) enum Outlook {
    /// The manifest names one, and it is there.
    Named(Prepared),
    /// One was made to its end.
    Made(Prepared),
    /// One will be made.
    ToBeMade {
        /// From these files.
        files: Vec<PathBuf>,
        /// With one of these versions of Python.
        asked: Option<PythonSpec>,
    },
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    /// The one that the manifest names is none.
    #[error("there is no environment at `{}`", path.display())]
    Absent {
        /// The environment.
        path: PathBuf,
        /// The service's folder.
        folder: PathBuf,
    },
    /// The one that the manifest names has another Python.
    #[error("`{}` has Python {version}, the service asks for {asked}", path.display())]
    OtherPython {
        /// The environment.
        path: PathBuf,
        /// Its version.
        version: String,
        /// What the manifest asks for.
        asked: String,
    },
    /// No interpreter fits.
    #[error("there is no Python {asked} on PATH")]
    NoInterpreter {
        /// What is asked for.
        asked: String,
        /// What there is.
        found: Vec<String>,
    },
    /// What the service's files say is not understood.
    #[error("`{}`: {reason}", file.display())]
    Unclear {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
        /// The way out.
        hint: String,
    },
    /// A command failed.
    #[error("its environment could not be made: {0}")]
    Step(#[from] StepError),
    /// A command failed, and there is no room on the disk.
    #[error("its environment could not be made, the disk is full: {0}")]
    Full(StepError),
    /// A file cannot be read or written.
    #[error("its environment could not be made: `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// What stands in [`MARKER`].
#[derive(Debug, Deserialize, Serialize)]
struct Marker {
    /// The interpreter that it was made with.
    interpreter: PathBuf,
    /// Its version.
    version: (u32, u32, u32),
    /// The file that the environment's own `bin/python` leads to, through all links.
    ///
    /// An upgrade of the operating system may let the link lead to another version, which has none of the packages.
    file: PathBuf,
}

/// What there is to do for an environment.
enum Plan {
    /// Nothing: the manifest names one.
    Named(Prepared),
    /// Nothing: it was made to its end.
    Made(Prepared),
    /// Everything.
    ToMake { venv: PathBuf, dependencies: Dependencies, asked: Option<PythonSpec> },
}

impl Environments {
    pub(crate) fn new(folder: &Arc<StateFolder>, runner: StepRunner) -> Self {
        Self { folder: Arc::clone(folder), runner }
    }

    /// The environment of a service, made where it is not there yet.
    pub(crate) async fn prepare(&self, service: &Service) -> Result<Prepared, EnvironmentError> {
        let envs = self.folder.envs();
        let (venv, dependencies, asked) = match plan(&envs, service)? {
            Plan::Named(prepared) | Plan::Made(prepared) => return Ok(prepared),
            Plan::ToMake { venv, dependencies, asked } => (venv, dependencies, asked),
        };
        remove(vec![venv.clone()]).await.map_err(EnvironmentError::at(&venv))?;
        let interpreter = interpreter::find(asked.as_ref()).await?;
        let made = match install::install(&self.runner, service, &interpreter, &venv, &dependencies).await {
            Ok(()) => mark(&venv, interpreter),
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            let error = error.or_full(&envs);
            // On a full disk it would only be in the way. What is left over is removed by the next attempt.
            let _ = remove(vec![venv]).await;
            return Err(error);
        }
        if let Err(error) = remove(former(&envs, service, &venv)).await {
            tracing::warn!(%error, "an old environment cannot be removed");
        }
        Ok(prepared(venv))
    }
}

/// What a start would find for a service, without making or starting anything.
pub(crate) fn outlook(envs: &Path, service: &Service) -> Result<Outlook, EnvironmentError> {
    Ok(match plan(envs, service)? {
        Plan::Named(prepared) => Outlook::Named(prepared),
        Plan::Made(prepared) => Outlook::Made(prepared),
        Plan::ToMake { asked, .. } => Outlook::ToBeMade { files: dependency_files(service), asked },
    })
}

/// Whether a service has an environment at all: whatever is hosted, and a program beside files that ask for one.
pub(crate) fn is_wanted(service: &Service) -> bool {
    matches!(service.run, Run::Hosted { .. }) || service.venv.is_some() || !dependency_files(service).is_empty()
}

fn plan(envs: &Path, service: &Service) -> Result<Plan, EnvironmentError> {
    if let Some(venv) = &service.venv {
        return own(service, venv).map(Plan::Named);
    }
    let dependencies = Dependencies::read(service)?;
    let venv = envs.join(format!("{}-{}", service.name, dependencies.key(envs)));
    let asked = dependencies::asked_python(service);
    if is_usable(&venv, asked.as_ref()) {
        return Ok(Plan::Made(prepared(venv)));
    }
    Ok(Plan::ToMake { venv, dependencies, asked })
}

impl EnvironmentError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source: bare(source) }
    }

    /// For a file of the service.
    fn unreadable(file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        let hint = "mend the file or its rights; saving it tries again".to_owned();
        move |source| Self::Unclear { file, reason: bare(source).to_string(), hint }
    }

    /// The same failure, told as what it is where the disk is full: not every installer says so.
    fn or_full(self, envs: &Path) -> Self {
        match self {
            Self::Step(error) if free_space(envs).is_ok_and(|free| free < LEAST_FREE) => Self::Full(error),
            other => other,
        }
    }

    /// How `up` ends where the service never gets further.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Io { .. } | Self::Full(_) => ExitCode::Storage,
            Self::Step(error) if says(error, &NO_SPACE) => ExitCode::Storage,
            Self::NoInterpreter { .. } | Self::OtherPython { .. } => ExitCode::Interpreter,
            Self::Absent { .. } | Self::Unclear { .. } | Self::Step(_) => ExitCode::Environment,
        }
    }

    /// More lines: the installer's last words, or what there is.
    pub(crate) fn detail(&self) -> Vec<String> {
        match self {
            Self::Step(error) | Self::Full(error) => error.last_lines.clone(),
            Self::NoInterpreter { found, .. } => found.iter().map(|found| format!("there is {found}")).collect(),
            Self::Absent { .. } | Self::OtherPython { .. } | Self::Unclear { .. } | Self::Io { .. } => Vec::new(),
        }
    }

    /// The way out.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Absent { path, folder } => format!(
                "make it: `cd {} && python3 -m venv {} && {}/bin/pip install -r requirements.txt`; or take `venv` out",
                folder.display(),
                path.display(),
                path.display()
            ),
            Self::OtherPython { .. } => "make it anew with that Python, or change `python`".to_owned(),
            Self::NoInterpreter { .. } => "install one and put it on PATH, or change `python`".to_owned(),
            Self::Unclear { hint, .. } => hint.clone(),
            Self::Io { .. } => "free space on the disk, or mend the rights of the folder".to_owned(),
            Self::Full(_) => DISK_FULL.to_owned(),
            Self::Step(error) => step_hint(error),
        }
    }
}

fn step_hint(error: &StepError) -> String {
    const NO_NETWORK: [&str; 12] = [
        "name resolution",
        "Name or service not known",
        "Max retries exceeded",
        "Read timed out",
        "ProxyError",
        "Could not connect",
        "NewConnectionError",
        "Connection refused",
        "Network is unreachable",
        "ConnectTimeoutError",
        "error sending request",
        "dns error",
    ];
    if says(error, &NO_SPACE) {
        DISK_FULL.to_owned()
    } else if says(error, &NO_NETWORK) {
        "the package index cannot be reached: mind the network or a proxy; the next start tries again".to_owned()
    } else if says(error, &["No matching distribution", "no version", "No solution found"]) {
        "mend the version in the service's dependency file; saving it tries again".to_owned()
    } else if says(error, &["ensurepip"]) {
        "the interpreter lacks its venv module: `sudo apt-get install python3-venv`".to_owned()
    } else {
        "the command can be run by hand; the next start tries again".to_owned()
    }
}

fn says(error: &StepError, words: &[&str]) -> bool {
    error.last_lines.iter().any(|line| words.iter().any(|word| line.contains(word)))
}

fn prepared(venv: PathBuf) -> Prepared {
    let bin = venv.join("bin");
    Prepared { python: bin.join("python"), bin, venv }
}

/// The environment that the manifest names: it is taken as it is.
fn own(service: &Service, venv: &Path) -> Result<Prepared, EnvironmentError> {
    if !venv.join("bin/python").exists() {
        return Err(EnvironmentError::Absent { path: venv.to_owned(), folder: service.path.clone() });
    }
    let settings = fs_err::read_to_string(venv.join("pyvenv.cfg")).unwrap_or_default();
    let version = settings.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        matches!(key.trim(), "version" | "version_info").then(|| value.trim().to_owned())
    });
    if let (Some(asked), Some(version)) = (&service.python, version)
        && interpreter::parse(&version).is_some_and(|version| !asked.matches(version))
    {
        let path = venv.to_owned();
        return Err(EnvironmentError::OtherPython { path, version, asked: asked.as_str().to_owned() });
    }
    Ok(prepared(venv.to_owned()))
}

/// Whether an environment was made to its end and its interpreter is still there and still asked for.
fn is_usable(venv: &Path, asked: Option<&PythonSpec>) -> bool {
    let Ok(text) = fs_err::read(venv.join(MARKER)) else { return false };
    let Ok(Marker { version: (major, minor, patch), file, .. }) = serde_json::from_slice(&text) else { return false };
    let fits = asked.is_none_or(|asked| asked.matches(PythonVersion { major, minor, patch }));
    fits && fs_err::canonicalize(venv.join("bin/python")).is_ok_and(|now| now == file)
}

/// Says that an environment is whole.
fn mark(venv: &Path, interpreter: Interpreter) -> Result<(), EnvironmentError> {
    let python = venv.join("bin/python");
    let file = fs_err::canonicalize(&python).map_err(EnvironmentError::at(&python))?;
    let marker = Marker { interpreter: interpreter.program, version: interpreter.version, file };
    let path = venv.join(MARKER);
    // The type always serialises.
    let text = serde_json::to_vec_pretty(&marker).unwrap_or_default();
    fs_err::write(&path, text).map_err(EnvironmentError::at(&path))
}

/// Environments of former contents, but the newest: old workers may still run in it.
fn former(envs: &Path, service: &Service, current: &Path) -> Vec<PathBuf> {
    let prefix = format!("{}-", service.name);
    let is_former = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(&prefix));
        path != current && name.is_some_and(|key| key.len() == dependencies::KEY_LENGTH && !key.contains('-'))
    };
    let entries = fs_err::read_dir(envs).into_iter().flatten().flatten();
    let mut former: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_former).collect();
    former.sort_by_key(|path| fs_err::metadata(path).and_then(|metadata| metadata.modified()).ok());
    former.pop();
    former
}

/// Removes environments, of which some may not be there. They hold thousands of files: not on the supervisor's thread.
async fn remove(environments: Vec<PathBuf>) -> io::Result<()> {
    let ignore_absent = |end: io::Result<()>| match end {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let remove_all = move || {
        for path in environments {
            // Cut short, the removal must not leave what looks whole.
            ignore_absent(fs_err::remove_file(path.join(MARKER)))?;
            ignore_absent(fs_err::remove_dir_all(&path))?;
        }
        Ok(())
    };
    tokio::task::spawn_blocking(remove_all).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests;
