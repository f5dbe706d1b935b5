//! A whole system as its user has it: `up` in one terminal, the other commands in another.
//!
//! The services are shell programs, so that nothing has to be installed first.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A running `pinnace up`; killed with the test, also with one that fails.
struct Up {
    folder: TempDir,
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Up {
    fn start(services: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manifest = format!("[system]\nname = \"demo\"\n{services}");
        fs_err::write(folder.path().join("pinnace.toml"), manifest).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pinnace"))
            .args(["up", "--gateway", "127.0.0.1:0", "--hub", "127.0.0.1:0"])
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(fs_err::File::create(folder.path().join("talk.log")).unwrap().into_parts().0)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { folder, child, lines }
    }

    /// What it shows up to a line that begins so.
    fn until(&mut self, beginning: &str) -> Vec<String> {
        let mut seen = Vec::new();
        for line in self.lines.by_ref().map(Result::unwrap) {
            seen.push(line);
            if seen.last().is_some_and(|line| line.starts_with(beginning)) {
                return seen;
            }
        }
        panic!("no line begins with {beginning:?}: {seen:?}; {}", self.talk());
    }

    fn talk(&self) -> String {
        fs_err::read_to_string(self.folder.path().join("talk.log")).unwrap()
    }

    fn pinnace(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinnace"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.pinnace(arguments).output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// Presses Ctrl-C and waits for the end.
    fn interrupt(&mut self) -> Option<i32> {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TICKER: &str = "[service.ticker]\npath = \".\"\nport = false\n\
    command = [\"sh\", \"-c\", \"while :; do echo tick; sleep 0.05; done\"]\n";
const BROKEN: &str = "[service.broken]\npath = \".\"\n\
    command = [\"sh\", \"-c\", \"echo no money left >&2; exit 3\"]\n";

#[test]
fn a_system_is_shown_looked_at_told_and_ended() {
    let mut up = Up::start(TICKER, &[]);
    let overview = up.until("hub");
    assert_eq!(overview[0], "SERVICE  FRAMEWORK  URL  STATE  START");
    assert!(overview[1].starts_with("ticker   –          –    ready  "), "{overview:?}");
    assert!(overview[3].ends_with("no service has a route"), "{overview:?}");
    assert_eq!(up.until("ticker").pop().as_deref(), Some("ticker-1  | tick"));
    up.until("ticker");

    let (code, system, _) = up.run(&["ps", "--json"]);
    let system: Value = serde_json::from_str(&system).unwrap();
    assert_eq!(
        (code, system["name"].as_str(), system["pid"].as_u64()),
        (Some(0), Some("demo"), Some(up.child.id().into()))
    );
    let (code, table, _) = up.run(&["ps"]);
    assert_eq!(code, Some(0));
    assert!(table.lines().any(|line| line.starts_with("ticker   ready  1     1     ")), "{table}");

    let (code, log, _) = up.run(&["logs", "ticker", "--tail", "2"]);
    assert_eq!((code, log.as_str()), (Some(0), "ticker-1 | tick\nticker-1 | tick\n"));
    let (code, log, _) = up.run(&["logs", "ticker", "-n", "1", "--json"]);
    let line: Value = serde_json::from_str(&log).unwrap();
    assert_eq!((code, line["stream"].as_str(), line["text"].as_str()), (Some(0), Some("stdout"), Some("tick")));

    let (code, said, _) = up.run(&["restart", "ticker"]);
    assert_eq!((code, said.as_str()), (Some(0), "ticker is ready: 1 instance\n"));
    let (code, said, why) = up.run(&["restart", "tiker"]);
    assert_eq!((code, said.as_str()), (Some(2), ""));
    assert_eq!(why, "error: there is no service `tiker`\nhint: did you mean `ticker`?\n");
    let (code, _, why) = up.run(&["scale", "ticker=2"]);
    assert_eq!(code, Some(1));
    assert!(why.starts_with("error: `ticker` cannot be scaled: "), "{why}");
    let (code, _, why) = up.run(&["up"]);
    assert_eq!(code, Some(9), "{why}");

    assert_eq!(up.interrupt(), Some(0));
    assert!(up.talk().ends_with("stopping; a second Ctrl-C ends it at once\n"), "{}", up.talk());
    let (code, _, why) = up.run(&["ps"]);
    assert_eq!(code, Some(10), "{why}");
    assert!(why.ends_with("hint: `pinnace up` starts it\n"), "{why}");
    let (code, _, why) = up.run(&["logs"]);
    assert_eq!(code, Some(10), "{why}");
    assert!(why.ends_with("hint: what was written before is in .pinnace/logs\n"), "{why}");
    let file = fs_err::read_to_string(up.folder.path().join(".pinnace/logs/ticker.log")).unwrap();
    assert!(file.lines().any(|line| line.ends_with("Z ticker-1 o tick")), "{file}");
}

#[test]
fn logs_are_followed_until_nobody_reads_or_the_system_ends() {
    let mut up = Up::start(TICKER, &[]);
    up.until("hub");
    let follow = |up: &Up| {
        let mut child = up.pinnace(&["logs", "-f"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ticker") {
            line.clear();
            lines.read_line(&mut line).unwrap();
        }
        (child, lines)
    };
    // As with `| head -1`.
    let (mut reader, lines) = follow(&up);
    drop(lines);
    assert_eq!(reader.wait().unwrap().code(), Some(0));

    let (mut reader, mut lines) = follow(&up);
    let sent = Command::new("kill").args(["-INT", &reader.id().to_string()]).status().unwrap();
    assert!(sent.success());
    lines.read_to_string(&mut String::new()).unwrap();
    assert_eq!(reader.wait().unwrap().code(), Some(0));

    let (reader, mut lines) = follow(&up);
    assert_eq!(up.interrupt(), Some(0));
    lines.read_to_string(&mut String::new()).unwrap();
    let Output { status, stderr, .. } = reader.wait_with_output().unwrap();
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap().as_str()), (Some(0), "the system has ended\n"));
}

#[test]
fn what_does_not_start_is_shown_with_its_last_words_and_decides_the_exit_code() {
    let mut up = Up::start(&format!("{TICKER}{BROKEN}"), &[]);
    let overview = up.until("`pinnace logs broken`");
    let has = |beginning: &str| overview.iter().any(|line| line.starts_with(beginning));
    assert!(has("broken has failed: ended with exit code 3"), "{overview:?}");
    assert!(has("broken-1  | no money left"), "{overview:?}");
    assert!(overview.iter().any(|line| line.starts_with("broken ") && line.contains(" failed ")), "{overview:?}");
    assert_eq!(up.interrupt(), Some(8), "{}", up.talk());

    let mut strict = Up::start(&format!("{TICKER}{BROKEN}"), &["--strict"]);
    assert_eq!(strict.child.wait().unwrap().code(), Some(8), "{}", strict.talk());
}

#[test]
fn json_is_one_object_for_the_system_and_then_one_a_line() {
    let mut up = Up::start(TICKER, &["--json"]);
    let objects: Vec<Value> =
        up.lines.by_ref().take(3).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!((objects[0]["event"].as_str(), objects[0]["name"].as_str()), (Some("system"), Some("demo")));
    assert!(objects[1..].iter().all(|line| line["text"].is_string()), "{objects:?}");
    assert_eq!(up.interrupt(), Some(0));
}

#[test]
fn a_manifest_that_cannot_be_used_ends_it_with_the_place() {
    let mut up = Up::start("[service.x]\nport = 3\n", &[]);
    assert_eq!(up.child.wait().unwrap().code(), Some(3));
    assert!(up.talk().contains("pinnace.toml:4:"), "{}", up.talk());
}
