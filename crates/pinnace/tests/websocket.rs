//! A `WebSocket` of axum's in a service: the handshake, frames both ways, refusals, the end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use pinnace::Service;
use pinnace::axum::Router;
use pinnace::axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use pinnace::axum::response::Response;
use pinnace::axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The key of RFC 6455 section 1.3, and the answer to it.
const HANDSHAKE: &str = "GET /talk HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ACCEPTED: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

async fn talk(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

fn start() -> Running {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let routes = Router::new().route("/talk", get(talk)).route("/", get(|| async { "ahoy" }));
    let service = Service::new("shipping").routes(routes).without_access_log().listener(socket);
    let service = service.grace(Duration::from_millis(200)).stop_when(async {
        let _ = stopped.await;
    });
    Running { address, stop, serving: tokio::spawn(async { service.serve().await.unwrap() }) }
}

/// A text frame of a client, which is masked by nothing.
fn text(words: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(words.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(words.as_bytes());
    frame
}

/// Reads until the answer ends with this.
async fn until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    while !answer.ends_with(end) {
        let mut byte = [0];
        timeout(Duration::from_secs(10), stream.read_exact(&mut byte)).await.unwrap().unwrap();
        answer.extend_from_slice(&byte);
    }
    answer
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is cut has said what it had to say.
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_websocket_of_axum_talks_also_after_other_requests_and_behind_its_handshake() {
    let running = start();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until(&mut stream, b"ahoy").await;
    // The first frame comes with the handshake.
    stream.write_all(&[HANDSHAKE.as_bytes(), &text("first")].concat()).await.unwrap();
    let head = String::from_utf8(until(&mut stream, b"\r\n\r\n").await).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n") && head.contains(ACCEPTED), "{head}");
    assert_eq!(until(&mut stream, b"first").await, b"\x81\x05first");
    stream.write_all(&text("second")).await.unwrap();
    assert_eq!(until(&mut stream, b"second").await, b"\x81\x06second");
    // A stop ends it after the grace.
    running.stop.send(()).unwrap();
    assert_eq!(rest(&mut stream).await, "");
    timeout(Duration::from_secs(10), running.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_whose_upgrade_is_refused_ends_with_the_answer() {
    let running = start();
    for (request, status) in [
        (HANDSHAKE.replace("/talk", "/"), "200"),
        (HANDSHAKE.replace("Version: 13", "Version: 12"), "400"),
        (HANDSHAKE.replace("/talk", "/absent"), "404"),
    ] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.to_lowercase().contains("connection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_request_that_offers_http2_is_answered_and_its_connection_goes_on() {
    let running = start();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let offer = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                 HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(offer.as_bytes()).await.unwrap();
        assert!(until(&mut stream, b"ahoy").await.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}
