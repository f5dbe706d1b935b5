//! `pinnace run`: a program finds what the service itself finds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

const MANIFEST: &str = "[system]\nname = \"demo\"\n[service.shop]\npath = \"shop\"\ncommand = [\"sleep\", \"600\"]\n\
    health = \"/\"\nready_timeout = \"600s\"\ncalls = [\"bank\"]\ndatabase = { engine = \"sqlite\", migrate = \"false\" }\n\
    env = { CURRENCY = \"EUR\" }\n[service.bank]\nexternal = true\nurl = \"https://bank.example\"\n";

fn system() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir(folder.path().join("shop")).unwrap();
    fs_err::write(folder.path().join("pinnace.toml"), MANIFEST).unwrap();
    folder
}

fn pinnace(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinnace"));
    command.args(arguments).current_dir(folder.path()).env("PORT", "1").env("PYTHONHOME", "/nowhere");
    command
}

fn run(folder: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = pinnace(folder, arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn it_has_the_folder_and_the_variables_of_its_service_and_its_exit_code_is_its_own() {
    let folder = system();
    let script = "pwd; echo $PINNACE_SERVICE $CURRENCY $BANK_URL [$PYTHONHOME]; echo $DATABASE_URL; exit 7";
    let (code, shown, talk) = run(&folder, &["run", "shop", "--", "sh", "-c", script]);
    let root = fs_err::canonicalize(folder.path()).unwrap();
    let root = root.display();
    let expected =
        format!("{root}/shop\nshop EUR https://bank.example []\nsqlite:///{root}/.pinnace/data/shop/db.sqlite3\n");
    assert_eq!((code, shown, talk.as_str()), (Some(7), expected, ""));
}

#[test]
fn beside_a_running_system_it_finds_the_same_addresses() {
    let folder = system();
    let up = ["up", "--gateway", "127.0.0.1:0", "--hub", "127.0.0.1:0", "--no-migrate"];
    let mut child = pinnace(&folder, &up).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let stop = Stop(child);
    assert_eq!(first, "demo: starting 1 service");
    let (_, system, _) = run(&folder, &["ps", "--json"]);
    let system: serde_json::Value = serde_json::from_str(&system).unwrap();
    let url = system["services"][2]["url"].as_str().unwrap().to_owned();
    let (code, shown, _) = run(&folder, &["run", "shop", "--", "sh", "-c", "echo http://127.0.0.1:$PORT"]);
    assert_eq!((code, shown.trim_end()), (Some(0), url.as_str()));
    drop(stop);
}

#[test]
fn what_cannot_be_run_is_told() {
    let folder = system();
    let (code, _, talk) = run(&folder, &["run", "shp", "--", "true"]);
    assert_eq!((code, talk.as_str()), (Some(2), "error: there is no service `shp` here\nhint: there are shop\n"));
    let (code, _, talk) = run(&folder, &["run", "bank", "--", "true"]);
    assert_eq!((code, talk.lines().next()), (Some(2), Some("error: there is no service `bank` here")));
    let (code, _, talk) = run(&folder, &["run", "shop", "--", "no-such-program"]);
    assert_eq!(code, Some(127), "{talk}");
    assert!(talk.starts_with("error: there is no program `no-such-program` in the environment or on PATH\n"), "{talk}");
}

/// Ends a process with the test.
struct Stop(Child);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
