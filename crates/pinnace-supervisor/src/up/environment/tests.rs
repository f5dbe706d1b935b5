//! Environments that are really made, by `venv` and `pip`, from a package that is made here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pinnace_manifest::{Manifest, Service};
use pinnace_os::{Output, Spawn, find_program};
use pinnace_types::ExitCode;
use tokio::time::{Duration, Instant};

use super::{EnvironmentError, Environments, MARKER};
use crate::up::Logs;
use crate::up::folder::StateFolder;
use crate::up::step::StepRunner;

/// Writes a wheel of one module: the smallest thing that pip installs, and without a network.
const WHEEL: &str = r#"
import zipfile
with zipfile.ZipFile("tiny-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("tiny.py", "WORD = 'installed'\n")
    wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("tiny-1.0.dist-info/RECORD", "tiny.py,,\ntiny-1.0.dist-info/METADATA,,\n")
"#;

/// A system of one service.
struct Fixture {
    root: tempfile::TempDir,
    folder: Arc<StateFolder>,
}

impl Fixture {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("orders")).unwrap();
        let folder = Arc::new(StateFolder::open(root.path()).unwrap());
        Self { root, folder }
    }

    fn write(&self, file: &str, text: &str) {
        fs_err::write(self.root.path().join("orders").join(file), text).unwrap();
    }

    fn service(&self, more: &str) -> Service {
        let file = self.root.path().join("pinnace.toml");
        let text = format!("[system]\nname = \"shop\"\n[service.orders]\npath = \"orders\"\n{more}\n");
        fs_err::write(&file, text).unwrap();
        Manifest::load(&file).unwrap().service("orders").unwrap().clone()
    }

    fn environments(&self) -> Environments {
        let guard = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guard.sh");
        Environments::new(&self.folder, StepRunner::new(guard, Logs::open(&self.folder.logs())))
    }

    /// Such as cannot run a step.
    fn without_guard(&self) -> Environments {
        Environments::new(&self.folder, StepRunner::new("/nowhere".into(), Logs::open(&self.folder.logs())))
    }

    fn there(&self) -> Vec<PathBuf> {
        let mut there: Vec<_> = fs_err::read_dir(self.folder.envs()).unwrap().map(|one| one.unwrap().path()).collect();
        there.sort();
        there
    }
}

async fn python(program: &Path, folder: &Path, script: &str) -> bool {
    let spawn = Spawn::new(program).args(["-I", "-c", script]).inherit_env().folder(folder).output(Output::Discard);
    spawn.spawn().unwrap().wait().await.unwrap().success()
}

#[tokio::test]
async fn an_environment_is_made_once_and_kept_while_its_files_stay_the_same() {
    let fixture = Fixture::new();
    let base = find_program("python3".as_ref(), &std::env::var_os("PATH").unwrap()).unwrap();
    assert!(python(&base, &fixture.root.path().join("orders"), WHEEL).await);
    fixture.write("requirements.txt", "./tiny-1.0-py3-none-any.whl\n");
    let service = fixture.service("");
    let prepared = fixture.environments().prepare(&service).await.unwrap();
    assert!(python(&prepared.python, fixture.root.path(), "import tiny; assert tiny.WORD == 'installed'").await);

    // The second start runs nothing: there is nothing to run with.
    let start = Instant::now();
    let again = fixture.without_guard().prepare(&service).await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(50), "{:?}", start.elapsed());
    assert_eq!(again.venv, prepared.venv);

    // What cannot be installed leaves nothing behind, and the former environment as it was.
    fixture.write("requirements.txt", "--no-index\nno-such-package-anywhere==9\n");
    let error = fixture.environments().prepare(&service).await.unwrap_err();
    assert!(error.to_string().contains("-m pip install"), "{error}");
    assert!(error.detail().iter().any(|line| line.contains("no-such-package-anywhere")), "{:?}", error.detail());
    assert!(error.hint().contains("dependency file"), "{}", error.hint());
    assert_eq!((error.exit_code(), fixture.there()), (ExitCode::Environment, vec![prepared.venv.clone()]));
    fixture.write("requirements.txt", "./tiny-1.0-py3-none-any.whl\n");
    assert_eq!(fixture.without_guard().prepare(&service).await.unwrap().venv, prepared.venv);

    // One that another interpreter took over, or that was cut short, is none.
    fs_err::remove_file(prepared.bin.join("python")).unwrap();
    fs_err::os::unix::fs::symlink("/bin/sh", prepared.bin.join("python")).unwrap();
    let error = fixture.without_guard().prepare(&service).await.unwrap_err();
    assert!(matches!(error, EnvironmentError::Step(_)), "{error}");
    assert!(fixture.there().is_empty(), "{:?}", fixture.there());
}

#[tokio::test]
async fn of_former_environments_one_is_kept() {
    let fixture = Fixture::new();
    let service = fixture.service("");
    for key in ["aaaaaaaaaaaa", "bbbbbbbbbbbb"] {
        fs_err::create_dir(fixture.folder.envs().join(format!("orders-{key}"))).unwrap();
    }
    let other = fixture.folder.envs().join("orders-api-aaaaaaaaaaaa");
    fs_err::create_dir(&other).unwrap();
    let removed = super::former(&fixture.folder.envs(), &service, &fixture.folder.envs().join("orders-cccccccccccc"));
    assert_eq!(removed.len(), 1);
    fs_err::write(removed[0].join(MARKER), "{}").unwrap();
    super::remove(removed).await.unwrap();
    assert_eq!(fixture.there().len(), 2);
    assert!(other.exists());
}

#[tokio::test]
async fn a_version_that_nobody_has_is_told_with_those_that_are_there() {
    let fixture = Fixture::new();
    let service = fixture.service("python = \"==3.13.99\"");
    let error = fixture.environments().prepare(&service).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no Python ==3.13.99 on PATH");
    assert!(error.detail().iter().all(|line| line.starts_with("there is 3.")), "{:?}", error.detail());
    assert!(!error.detail().is_empty());
    assert_eq!(error.exit_code(), ExitCode::Interpreter);
}

#[tokio::test]
async fn an_environment_that_the_manifest_names_is_taken_as_it_is() {
    let fixture = Fixture::new();
    let service = fixture.service("venv = \".venv\"\npython = \">=3.12\"");
    let error = fixture.without_guard().prepare(&service).await.unwrap_err();
    assert!(error.hint().contains("-m venv"), "{}", error.hint());
    assert_eq!(error.exit_code(), ExitCode::Environment);
    let venv = fixture.root.path().join("orders/.venv");
    fs_err::create_dir_all(venv.join("bin")).unwrap();
    fs_err::write(venv.join("bin/python"), "").unwrap();
    fs_err::write(venv.join("pyvenv.cfg"), "home = /usr\nversion = 3.11.2\n").unwrap();
    let error = fixture.without_guard().prepare(&service).await.unwrap_err();
    assert!(error.to_string().ends_with("has Python 3.11.2, the service asks for >=3.12"), "{error}");
    fs_err::write(venv.join("pyvenv.cfg"), "home = /usr\nversion_info = 3.12.1.final.0\n").unwrap();
    let prepared = fixture.without_guard().prepare(&service).await.unwrap();
    assert_eq!(prepared.python, service.venv.unwrap().join("bin/python"));
}

#[test]
fn a_network_that_is_not_there_and_a_full_disk_have_words_of_their_own() {
    let hint = |line: &str| {
        let step = crate::up::step::StepError {
            command: "pip install".to_owned(),
            how: "ended with exit code 1".to_owned(),
            last_lines: vec![line.to_owned(), "ERROR: No matching distribution found for flask".to_owned()],
        };
        let error = EnvironmentError::from(step);
        (error.hint(), error.exit_code())
    };
    // `venv` swallows what its installer says.
    let step = crate::up::step::StepError {
        command: "python -m venv x".to_owned(),
        how: "ended with exit code 1".to_owned(),
        last_lines: vec!["Error: Command '['-m', 'ensurepip']' returned non-zero exit status 1.".to_owned()],
    };
    let full = EnvironmentError::Full(step);
    assert!(full.to_string().contains("the disk is full: `python -m venv x` ended"), "{full}");
    assert_eq!((full.exit_code(), full.hint().contains("free some space")), (ExitCode::Storage, true));
    let (text, code) = hint("NewConnectionError(': [Errno -3] Temporary failure in name resolution')");
    assert!(text.contains("network") && text.contains("next start tries again"), "{text}");
    assert_eq!(code, ExitCode::Environment);
    let (text, code) = hint("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device");
    assert!(text.contains("disk is full"), "{text}");
    assert_eq!(code, ExitCode::Storage);
}
