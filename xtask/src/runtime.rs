//! `cargo xtask runtime`: builds the extension module for one interpreter and lays out the folder that `pinnace serve`
//! appends to a worker's `sys.path`: `target/PROFILE/runtime/{pinnace,pinnace_runtime}`.
//!
//! Extension modules carry the interpreter's ABI in their file name, so that one folder serves any number of interpreters.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

/// The arguments of `cargo xtask runtime`.
#[derive(Args)]
pub(crate) struct RuntimeArgs {
    /// The interpreter to build for
    #[arg(long, default_value = "python3")]
    python: String,
    /// The cargo profile
    #[arg(long, default_value = "release")]
    profile: String,
    /// What else `cargo build` compiles in the same go, after `--`, such as `-- --package pinnace-cli`: what several
    /// packages share is compiled once then
    #[arg(last = true, value_name = "CARGO ARGUMENT")]
    with: Vec<String>,
}

impl RuntimeArgs {
    pub(crate) fn run(&self) -> Result<(), String> {
        let root = workspace_root();
        let output = target_dir(&root)?.join(if self.profile == "dev" { "debug" } else { &self.profile });
        // What `python3` means may depend on the folder (pyenv), so the interpreter itself is named.
        let python = ask(&self.python, "import sys; print(sys.executable)")?;
        let suffix = ask(&python, "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))")?;
        run(Command::new(env!("CARGO"))
            .args(["build", "--package", "pinnace-python", "--profile", &self.profile])
            .args(&self.with)
            .env("PYO3_PYTHON", &python)
            .current_dir(&root))?;
        let runtime = output.join("runtime");
        copy_package(&root.join("python/pinnace/src/pinnace"), &runtime.join("pinnace"))?;
        copy_package(&root.join("python/pinnace-runtime/src/pinnace_runtime"), &runtime.join("pinnace_runtime"))?;
        let module = runtime.join("pinnace_runtime").join(format!("_native{suffix}"));
        // A running worker may have the old file mapped: the new one takes its place, it is not written over.
        let fresh = module.with_extension("fresh");
        fs_err::copy(output.join("lib_native.so"), &fresh).map_err(|error| error.to_string())?;
        fs_err::rename(&fresh, &module).map_err(|error| error.to_string())
    }
}

/// The folder of the workspace's `Cargo.toml`. Cargo says it to what it runs: a target folder may serve several checkouts,
/// so that what it said when this was compiled may be another one's.
pub(crate) fn workspace_root() -> PathBuf {
    let own = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    own.as_deref().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
}

fn target_dir(root: &Path) -> Result<PathBuf, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    metadata["target_directory"].as_str().map(PathBuf::from).ok_or_else(|| "cargo metadata names no target".to_owned())
}

fn ask(python: &str, code: &str) -> Result<String, String> {
    let output = Command::new(python)
        .args(["-c", code])
        .output()
        .map_err(|error| format!("{python}: {error}; give another interpreter with --python"))?;
    if !output.status.success() {
        return Err(format!("{python} failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}

fn copy_package(from: &Path, to: &Path) -> Result<(), String> {
    copy_tree(from, to).map_err(|error| error.to_string())
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "__pycache__" {
                copy_tree(&entry.path(), &target)?;
            }
        } else {
            fs_err::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
