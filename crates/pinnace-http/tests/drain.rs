//! A draining server loses no request: the promise that a reload stands on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::Response;
use pinnace_http::Body;
use pinnace_http::Connection;
use pinnace_http::Drain;
use pinnace_http::Handler;
use pinnace_http::Listener;
use pinnace_http::RequestBody;
use pinnace_http::Server;
use pinnace_http::ServerConfig;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

#[derive(Clone)]
struct Hello;

impl Handler for Hello {
    async fn call(&self, _: Request<RequestBody>, _: Arc<Connection>) -> Response<Body> {
        Response::new(Body::from("hello"))
    }
}

const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

async fn start(config: ServerConfig) -> (SocketAddr, Drain, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let drain = Drain::new();
    let serving = tokio::spawn(Server::new(config, Hello).serve(vec![Listener::Tcp(listener)], drain.clone()));
    (address, drain, serving)
}

/// Reads one response of `Hello`; nothing when the connection ended instead.
async fn response(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    while !text.ends_with(b"hello") {
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => text.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
    Some(String::from_utf8(text).unwrap().to_ascii_lowercase())
}

#[tokio::test]
async fn a_client_that_posts_without_pause_loses_nothing_and_is_asked_to_leave() {
    let (address, drain, serving) = start(ServerConfig::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answered = 0;
    loop {
        stream.write_all(POST).await.unwrap();
        let text = response(&mut stream).await.expect("a request was lost");
        answered += 1;
        if answered == 200 {
            drain.drain(Duration::from_secs(2), Duration::from_secs(5));
        }
        if text.contains("connection: close") {
            break;
        }
    }
    assert!(answered >= 201);
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    serving.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_answered_during_the_linger_and_closed_after_it() {
    let (address, drain, serving) = start(ServerConfig::default()).await;
    let (mut used, mut unused) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    for stream in [&mut used, &mut unused] {
        stream.write_all(POST).await.unwrap();
        response(stream).await.unwrap();
    }
    drain.drain(Duration::from_millis(300), Duration::from_secs(20));
    used.write_all(POST).await.unwrap();
    assert!(response(&mut used).await.unwrap().contains("connection: close"));
    assert_eq!(unused.read(&mut [0; 8]).await.unwrap(), 0);
    serving.await.unwrap();
}

#[tokio::test]
async fn an_instance_that_retires_still_takes_who_comes_to_its_own_socket_and_nobody_at_the_shared_one() {
    let (shared, own) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (at_shared, at_own) = (shared.local_addr().unwrap(), own.local_addr().unwrap());
    let drain = Drain::new();
    let listeners = vec![Listener::Tcp(shared), Listener::Own(own)];
    let serving = tokio::spawn(Server::new(ServerConfig::default(), Hello).serve(listeners, drain.clone()));
    TcpStream::connect(at_own).await.unwrap();

    drain.retire(Duration::from_secs(6), Duration::from_secs(20));
    while TcpStream::connect(at_shared).await.is_ok() {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        let mut late = TcpStream::connect(at_own).await.unwrap();
        late.write_all(POST).await.unwrap();
        assert!(response(&mut late).await.unwrap().contains("connection: close"));
    }
    // It does not wait for the whole linger once nobody comes.
    tokio::time::timeout(Duration::from_secs(5), serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(at_own).await.is_err());
}

#[tokio::test]
async fn an_end_that_is_hurried_closes_the_own_socket_at_once() {
    let own = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let drain = Drain::new();
    let serving =
        tokio::spawn(Server::new(ServerConfig::default(), Hello).serve(vec![Listener::Own(own)], drain.clone()));
    drain.retire(Duration::from_mins(10), Duration::from_mins(10));
    drain.drain(Duration::ZERO, Duration::from_mins(10));
    let begun = tokio::time::Instant::now();
    serving.await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(900), "it waited for callers");
}

#[tokio::test]
async fn an_unfinished_head_is_answered_with_408_and_a_large_one_with_431() {
    let config = ServerConfig { header_timeout: Duration::from_millis(100), ..ServerConfig::default() };
    let (address, drain, serving) = start(config).await;
    for (sent, status) in [
        (b"GET / HTTP/1.1\r\nHo".to_vec(), "HTTP/1.1 408"),
        ([b"GET / HTTP/1.1\r\nA: ".to_vec(), vec![b'a'; 70_000]].concat(), "HTTP/1.1 431"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n".to_vec(), "HTTP/1.1 400"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&sent).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with(status), "{text}");
    }
    drain.drain(Duration::ZERO, Duration::from_secs(5));
    serving.await.unwrap();
}
