//! The life of `pinnace gateway` from outside: it reads its table again, keeps a good one, logs, and stops when told or
//! when its starter is gone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::Path;

use pinnace_os::{Child, Exit, Lifetime, Output, Signal, Spawn};
use pinnace_types::environment;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::unix::pipe::Receiver;

const EMPTY: &str = r#"{ "system": "shop", "routes": [] }"#;
const AWAY: &str = r#"{ "system": "shop", "routes": [
    { "path": "/", "service": "orders", "upstream": "127.0.0.1:1", "available": false } ] }"#;

struct Running {
    child: Child,
    lines: Lines<BufReader<Receiver>>,
    address: SocketAddr,
    lifetime: Lifetime,
}

async fn start(config: &Path) -> Running {
    let lifetime = Lifetime::new().unwrap();
    let mut child = Spawn::new(env!("CARGO_BIN_EXE_pinnace"))
        .args(["gateway", "--listen", "127.0.0.1:0", "--log-format", "json", "--config"])
        .arg(config)
        .env(environment::LOG, "debug")
        .pass(environment::LIFETIME_FD, lifetime.descriptor().unwrap())
        .output(Output::Pipe)
        .death_signal(Signal::SIGKILL)
        .spawn()
        .unwrap();
    let (_, stderr) = child.take_output().unwrap();
    let mut lines = BufReader::new(stderr).lines();
    let address = line(&mut lines, "listening").await["address"].as_str().unwrap().parse().unwrap();
    Running { child, lines, address, lifetime }
}

/// The next line with this message.
async fn line(lines: &mut Lines<BufReader<Receiver>>, message: &str) -> Value {
    loop {
        let value: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        if value["message"] == message {
            return value;
        }
    }
}

async fn status(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /x?token=secret HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text[9..12].to_owned()
}

#[tokio::test]
async fn a_good_table_is_taken_a_bad_one_refused_and_a_stop_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gateway.json");
    fs_err::write(&config, EMPTY).unwrap();
    let mut gateway = start(&config).await;
    assert_eq!(status(gateway.address).await, "404");
    let logged = line(&mut gateway.lines, "request").await;
    assert_eq!(
        (&logged["path"], &logged["status"], &logged["request_id"]),
        (&"/x".into(), &404.into(), &"mine".into())
    );
    for (text, message) in [(AWAY, "table read again"), ("{", "table refused, the old one stays")] {
        fs_err::write(&config, text).unwrap();
        gateway.child.signal(Signal::SIGHUP).unwrap();
        line(&mut gateway.lines, message).await;
        assert_eq!(status(gateway.address).await, "503");
    }
    gateway.child.signal(Signal::SIGTERM).unwrap();
    assert_eq!(gateway.child.wait().await.unwrap(), Exit::Code(0));
}

#[tokio::test]
async fn it_ends_with_its_starter() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gateway.json");
    fs_err::write(&config, EMPTY).unwrap();
    let mut gateway = start(&config).await;
    drop(gateway.lifetime);
    assert_eq!(gateway.child.wait().await.unwrap(), Exit::Code(0));
}
