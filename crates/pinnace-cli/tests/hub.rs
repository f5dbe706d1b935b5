//! `pinnace hub` as a process: it says where it listens, holds its folder alone, and ends when it is told.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// Ends the process with the test, also with one that fails.
struct Hub {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
}

impl Hub {
    fn start(folder: &Path) -> Self {
        fs_err::write(folder.join("token"), "0123456789abcdef\n").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pinnace"))
            .args(["hub", "--port", "0", "--data"])
            .arg(folder.join("data"))
            .arg("--control")
            .arg(folder.join("no-supervisor.sock"))
            .arg("--token-file")
            .arg(folder.join("token"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads its log up to a line with this message.
    fn line_with(&mut self, message: &str) -> String {
        self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(message)).expect("the hub ended")
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_hub_answers_survives_a_kill_and_ends_at_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Hub::start(folder.path());
    first.line_with("the hub answers");
    first.child.kill().unwrap();
    first.child.wait().unwrap();

    let mut second = Hub::start(folder.path());
    let listening = second.line_with("listening");
    let line: serde_json::Value = serde_json::from_str(&listening).unwrap();
    second.line_with("the hub answers");
    let mut stream = TcpStream::connect(line["address"].as_str().unwrap()).unwrap();
    stream.write_all(b"GET /-/health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(r#"{"status":"ok"}"#), "{answer}");
    second.signal("-TERM");
    assert_eq!(second.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_hub_waits_for_the_folder_and_then_says_who_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Hub::start(folder.path());
    first.line_with("the hub answers");
    let mut second = Hub::start(folder.path());
    second.line_with(&format!("is held by process {}", first.child.id()));
    assert_eq!(second.child.wait().unwrap().code(), Some(9));
}

#[test]
fn a_short_token_is_no_token() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("short"), "abc").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pinnace"))
        .args(["hub", "--port", "0", "--data"])
        .arg(folder.path())
        .args(["--control", "none", "--token-file"])
        .arg(folder.path().join("short"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("has fewer than 16 characters") && !text.contains("abc"), "{text}");
    assert_eq!(output.status.code(), Some(13));
}
