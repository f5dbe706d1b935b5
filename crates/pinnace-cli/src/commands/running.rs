//! How commands find the system that they are about, and speak to it.
//!
//! The manifest itself is not read: a mistake in it must not keep anyone from looking at what runs.

use std::path::{Path, PathBuf};

use hyper::body::Incoming;
use pinnace_http::unix::{UnixClient, UnixError};
use pinnace_manifest::Manifest;
use pinnace_supervisor::up;
use pinnace_types::{ErrorCode, ExitCode, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Complaint;

/// A running system.
#[derive(Debug)]
pub(super) struct Running {
    client: UnixClient,
    gateway: UnixClient,
}

/// The file that is named, or the one here or in a folder above.
pub(super) fn manifest_path(file: Option<PathBuf>, hint: &str) -> Result<PathBuf, Complaint> {
    if let Some(file) = file {
        return Ok(file);
    }
    let here = std::env::current_dir().map_err(|error| Complaint::new(ExitCode::Failure, error.to_string()))?;
    let found = Manifest::find(&here).ok_or_else(|| {
        Complaint::new(ExitCode::Manifest, format!("there is no pinnace.toml in {} or above it", here.display()))
            .with_hint(hint)
    })?;
    // What is here is called as one would call it here.
    Ok(found.strip_prefix(&here).map(Path::to_owned).unwrap_or(found))
}

impl Running {
    /// The system of a file, or of the one that is found here.
    pub(super) fn find(file: Option<PathBuf>) -> Result<Self, Complaint> {
        let file = manifest_path(file, "name the file with --file")?;
        let root = root(&file)?;
        match up::running(&root) {
            Some(announcement) => Ok(Self {
                gateway: UnixClient::new(announcement.gateway_control()),
                client: UnixClient::new(announcement.control),
            }),
            None => Err(not_running(&format!("the system in {} does not run", root.display()))),
        }
    }

    /// Asks for a document.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Complaint> {
        self.client.get(path).await.map_err(complaint)
    }

    /// Asks its gateway for a document.
    pub(super) async fn get_from_gateway<T: DeserializeOwned>(&self, path: &str) -> Result<T, Complaint> {
        self.gateway.get(path).await.map_err(|error| match error {
            UnixError::Connect { .. } | UnixError::Http(_) => {
                Complaint::new(ExitCode::NotReady, "the gateway does not answer at the moment")
                    .with_hint("`pinnace ps` shows its state, `pinnace logs gateway` what it says")
            }
            other => complaint(other),
        })
    }

    /// Sends a command and waits for what comes of it.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Complaint> {
        self.client.post(path, body).await.map_err(complaint)
    }

    /// Asks for a stream.
    pub(super) async fn stream(&self, path: &str) -> Result<Incoming, Complaint> {
        self.client.stream(path).await.map_err(complaint)
    }
}

/// The folder of the file, as the system itself names it.
fn root(file: &Path) -> Result<PathBuf, Complaint> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if !file.is_file() {
        return Err(Complaint::new(ExitCode::Manifest, format!("there is no file {}", file.display())));
    }
    fs_err::canonicalize(folder).map_err(|error| Complaint::new(ExitCode::Manifest, error.to_string()))
}

fn not_running(message: &str) -> Complaint {
    Complaint::new(ExitCode::NotRunning, message).with_hint("`pinnace up` starts it")
}

fn complaint(error: UnixError) -> Complaint {
    match error {
        UnixError::Connect { .. } => not_running("the system does not answer: it has just ended, or is about to"),
        UnixError::Http(_) => not_running("the system ended before it answered"),
        UnixError::Problem(problem) => {
            let Problem { code, detail, hint, .. } = *problem;
            let code = match code {
                ErrorCode::NotFound | ErrorCode::BadRequest => ExitCode::Usage,
                ErrorCode::Unavailable => ExitCode::NotReady,
                _ => ExitCode::Failure,
            };
            hint.into_iter().fold(Complaint::new(code, detail), Complaint::with_hint)
        }
        other => Complaint::new(ExitCode::Failure, other.to_string())
            .with_hint("`pinnace version` and the version that `pinnace ps --json` names have to be one"),
    }
}

#[cfg(test)]
mod tests {
    use super::{complaint, root};
    use crate::Complaint;
    use pinnace_http::unix::UnixError;
    use pinnace_types::{ErrorCode, ExitCode, Problem};

    #[test]
    fn a_problem_keeps_its_words_and_its_way_out() {
        let problem =
            Problem::new(ErrorCode::NotFound, "there is no service `order`").with_hint("did you mean `orders`?");
        let expected =
            Complaint::new(ExitCode::Usage, "there is no service `order`").with_hint("did you mean `orders`?");
        assert_eq!(complaint(UnixError::Problem(Box::new(problem))), expected);
    }

    #[test]
    fn a_system_that_has_ended_does_not_run() {
        let source = std::io::ErrorKind::ConnectionRefused.into();
        assert_eq!(complaint(UnixError::Connect { path: "x".into(), source }).code(), ExitCode::NotRunning);
    }

    #[test]
    fn the_root_is_the_folder_without_links() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs_err::canonicalize(folder.path()).unwrap().join("real");
        fs_err::create_dir(&real).unwrap();
        fs_err::write(real.join("pinnace.toml"), "").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(root(&link.join("pinnace.toml")), Ok(real));
        assert_eq!(root(&link.join("other.toml")).unwrap_err().code(), ExitCode::Manifest);
    }
}
