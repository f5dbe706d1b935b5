//! Which Python runs the workers, and where the runtime for it is.
//!
//! The interpreter is the one that was asked for, else that of `$VIRTUAL_ENV`, else that of the environment in which this
//! binary is installed, else `python3` on `PATH`. It is asked once what it is. The runtime folder holds the package
//! `pinnace` and an extension module whose file name carries the interpreter's ABI.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use pinnace_os::find_program;
use pinnace_types::environment;
use serde::Deserialize;

/// The oldest Python that is hosted.
const OLDEST: (u32, u32) = (3, 10);
/// What the interpreter is asked.
const QUESTION: &str = "import json, sys, sysconfig; print(json.dumps({'executable': sys.executable, 'implementation': \
     sys.implementation.name, 'version': list(sys.version_info[:3]), 'suffix': sysconfig.get_config_var('EXT_SUFFIX')}))";

/// An interpreter that can host, with its runtime.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// The program.
    pub program: PathBuf,
    /// Its version.
    pub version: (u32, u32, u32),
    /// The folder to append to `sys.path`.
    pub runtime: PathBuf,
}

/// An interpreter that answers; whether it can host is a question of its own.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Where it really is.
    pub(crate) program: PathBuf,
    /// Its version.
    pub(crate) version: (u32, u32, u32),
    /// Its runtime, or why it cannot host.
    pub(crate) runtime: Result<PathBuf, InterpreterError>,
}

/// Why no interpreter can host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterpreterError {
    /// There is none.
    #[error("there is no Python interpreter at `{0}`")]
    NotFound(String),
    /// It does not answer as an interpreter does.
    #[error("`{program}` is no usable Python interpreter: {reason}")]
    Unusable {
        /// The program.
        program: String,
        /// What it said.
        reason: String,
    },
    /// It is too old.
    #[error("`{program}` is Python {version}; 3.10 is the oldest that is hosted")]
    TooOld {
        /// The program.
        program: String,
        /// Its version.
        version: String,
    },
    /// There is no runtime for it.
    #[error("there is no runtime for this interpreter (`_native{suffix}`)")]
    NoRuntime {
        /// The ending of the module that was looked for.
        suffix: String,
        /// Where it was looked for.
        tried: Vec<PathBuf>,
    },
}

#[derive(Deserialize)]
struct Answer {
    executable: String,
    implementation: String,
    version: (u32, u32, u32),
    suffix: String,
}

impl Interpreter {
    /// Finds the interpreter and its runtime.
    pub fn find(asked_for: Option<&Path>) -> Result<Self, InterpreterError> {
        let candidate = Candidate::ask(&choose(asked_for)?)?;
        Ok(Self { program: candidate.program, version: candidate.version, runtime: candidate.runtime? })
    }

    /// The statement that a worker starts with: the runtime goes behind the user's own packages.
    pub(super) fn bootstrap(&self) -> String {
        let runtime = serde_json::Value::from(self.runtime.to_string_lossy().into_owned());
        format!(
            "import sys; sys.path[:] = [p for p in sys.path if p]; sys.path.append({runtime}); \
             import runpy; runpy.run_module('pinnace._worker', run_name='__main__', alter_sys=True)"
        )
    }
}

impl Candidate {
    /// Asks a program what it is.
    pub(crate) fn ask(program: &Path) -> Result<Self, InterpreterError> {
        let answer = ask(program)?;
        let runtime = runtime_of(program, &answer);
        Ok(Self { program: PathBuf::from(answer.executable), version: answer.version, runtime })
    }

    /// Whether it has what it takes to make environments with `pip` in them.
    pub(crate) fn makes_environments(&self) -> bool {
        let asked = Command::new(&self.program).args(["-I", "-c", "import ensurepip, venv"]).output();
        asked.is_ok_and(|output| output.status.success())
    }
}

impl InterpreterError {
    pub(crate) fn detail(&self) -> Vec<String> {
        match self {
            Self::NoRuntime { tried, .. } => tried.iter().map(|path| format!("looked in {}", path.display())).collect(),
            Self::NotFound(_) | Self::Unusable { .. } | Self::TooOld { .. } => Vec::new(),
        }
    }

    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NotFound(_) => "name one with --python, or `sudo apt-get install python3 python3-venv`".to_owned(),
            Self::Unusable { .. } => "name a CPython interpreter with --python".to_owned(),
            Self::TooOld { .. } => "name a newer one with --python".to_owned(),
            Self::NoRuntime { .. } => {
                "install `pinnace-runtime` for this Python; from the sources: `cargo xtask runtime --python PYTHON`"
                    .to_owned()
            }
        }
    }
}

fn choose(asked_for: Option<&Path>) -> Result<PathBuf, InterpreterError> {
    if let Some(asked_for) = asked_for {
        return on_path(asked_for.as_os_str());
    }
    if let Some(active) = std::env::var_os(environment::VIRTUAL_ENV) {
        let program = Path::new(&active).join("bin/python");
        return if program.exists() {
            Ok(program)
        } else {
            Err(InterpreterError::NotFound(program.display().to_string()))
        };
    }
    if let Some(own) = own_folder() {
        let program = own.join("python");
        if own.parent().is_some_and(|environment| environment.join("pyvenv.cfg").exists()) && program.exists() {
            return Ok(program);
        }
    }
    on_path(OsStr::new("python3"))
}

fn on_path(name: &OsStr) -> Result<PathBuf, InterpreterError> {
    let not_found = || InterpreterError::NotFound(name.to_string_lossy().into_owned());
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_program(name, &path).filter(|program| program.exists()).ok_or_else(not_found)
}

fn ask(program: &Path) -> Result<Answer, InterpreterError> {
    let unusable = |reason: String| InterpreterError::Unusable { program: program.display().to_string(), reason };
    let output =
        Command::new(program).args(["-I", "-c", QUESTION]).output().map_err(|error| unusable(error.to_string()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(unusable(words.lines().last().unwrap_or("it failed").to_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| unusable(error.to_string()))
}

fn runtime_of(program: &Path, answer: &Answer) -> Result<PathBuf, InterpreterError> {
    let program = || program.display().to_string();
    let (major, minor, _) = answer.version;
    if (major, minor) < OLDEST {
        return Err(InterpreterError::TooOld { program: program(), version: format!("{major}.{minor}") });
    }
    if answer.implementation != "cpython" {
        let reason = format!("it is {}; CPython is hosted", answer.implementation);
        return Err(InterpreterError::Unusable { program: program(), reason });
    }
    runtime_for(&answer.suffix)
}

fn runtime_for(suffix: &str) -> Result<PathBuf, InterpreterError> {
    let mut tried = Vec::new();
    for folder in runtime_folders() {
        let package = folder.join("pinnace_runtime");
        if package.join(format!("_native{suffix}")).exists() || package.join("_native.abi3.so").exists() {
            return Ok(folder);
        }
        tried.push(folder);
    }
    Err(InterpreterError::NoRuntime { suffix: suffix.to_owned(), tried })
}

fn runtime_folders() -> Vec<PathBuf> {
    if let Some(asked_for) = std::env::var_os(environment::RUNTIME_DIR) {
        return vec![PathBuf::from(asked_for)];
    }
    let Some(own) = own_folder() else { return Vec::new() };
    let mut folders = vec![own.join("runtime"), own.join("../lib/pinnace/runtime")];
    // In a virtual environment the packages are installed beside the binary.
    let libraries = fs_err::read_dir(own.join("../lib")).into_iter().flatten().flatten();
    folders.extend(libraries.map(|library| library.path().join("site-packages")).filter(|path| path.exists()));
    folders
}

fn own_folder() -> Option<PathBuf> {
    std::env::current_exe().ok()?.parent().map(Path::to_path_buf)
}
