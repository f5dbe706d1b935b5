//! The gateway between a real client and real services.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use pinnace_gateway::{Gateway, Table};
use pinnace_http::client::{Client, ClientConfig};
use pinnace_http::{Body, Connection, Drain, Handler, Listener, RequestBody, Server, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use support::bound;

/// Tells what it got, echoes what it is sent, stays silent, or upgrades.
#[derive(Clone)]
struct Service(&'static str);

impl Handler for Service {
    async fn call(&self, mut request: Request<RequestBody>, _: Arc<Connection>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if path.ends_with("/silent") {
            std::future::pending::<()>().await;
        }
        if path.ends_with("/echo") {
            return Response::new(Body::from(request.into_body()));
        }
        if path.ends_with("/ws") {
            let upgrade = pinnace_http::upgrade::on(&mut request);
            tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(upgrade.await.unwrap());
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
            let head = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
            return head.body(Body::empty()).unwrap();
        }
        let headers: serde_json::Map<String, Value> =
            request.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into())).collect();
        let told = json!({ "service": self.0, "target": request.uri().to_string(), "headers": headers });
        Response::new(Body::from(told.to_string()))
    }
}

async fn serve(handler: impl Handler) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Server::new(ServerConfig::default(), handler).serve(vec![Listener::Tcp(listener)], Drain::new()));
    address
}

fn table(max_body: Option<&str>, routes: &Value) -> Table {
    let config = json!({ "system": "shop", "max_body": max_body, "routes": routes });
    Table::try_new(serde_json::from_value(config).unwrap()).unwrap()
}

async fn gateway(max_body: Option<&str>, routes: Value) -> (Gateway, SocketAddr) {
    let gateway = Gateway::new(table(max_body, &routes), None, None);
    let address = serve(gateway.clone()).await;
    (gateway, address)
}

async fn send(address: SocketAddr, request: http::request::Builder, body: Body) -> (http::response::Parts, Value) {
    let uri = format!("http://{address}{}", request.uri_ref().unwrap());
    let response = Client::new(ClientConfig::default()).send(request.uri(uri).body(body).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
    (head, value)
}

async fn get(address: SocketAddr, path: &str) -> (http::response::Parts, Value) {
    send(address, Request::get(path), Body::empty()).await
}

#[tokio::test]
async fn a_request_finds_its_service_and_the_service_learns_who_asked() {
    let (web, orders) = (serve(Service("web")).await, serve(Service("orders")).await);
    let routes = json!([{ "path": "/", "service": "web", "upstream": web },
                        { "path": "/orders", "service": "orders", "upstream": orders }]);
    let (_, address) = gateway(None, routes).await;
    let request = Request::get("/orders/1?a=b").header("host", "Shop.Example:80").header("x-forwarded-for", "6.6.6.6");
    let (head, told) = send(address, request.header("x-request-id", "mine"), Body::empty()).await;
    assert_eq!((&told["service"], &told["target"]), (&"orders".into(), &"/orders/1?a=b".into()));
    let headers = &told["headers"];
    assert_eq!((&headers["x-forwarded-for"], &headers["x-request-id"]), (&"127.0.0.1".into(), &"mine".into()));
    assert_eq!(
        (&headers["host"], &headers["x-forwarded-host"]),
        (&"Shop.Example:80".into(), &"Shop.Example:80".into())
    );
    assert_eq!(head.headers["x-request-id"], "mine");
    assert_eq!(get(address, "/ordersx").await.1["service"], "web");
}

#[tokio::test]
async fn what_could_reach_another_prefix_or_the_inside_is_refused_with_a_problem() {
    let orders = serve(Service("orders")).await;
    let (_, address) = gateway(None, json!([{ "path": "/orders", "service": "orders", "upstream": orders }])).await;
    for (path, status) in [
        ("/orders/../x", 400),
        ("/orders/%2e%2e/x", 400),
        ("/x/..%2Forders", 400),
        ("//orders", 400),
        ("/orders%2Fx", 400),
        ("/orders/-/metrics", 404),
        ("/-/info", 404),
        ("/x", 404),
        ("/-/health/live", 200),
        ("/-/health/ready", 200),
    ] {
        let (head, value) = get(address, path).await;
        assert_eq!(head.status, status, "{path}");
        if status != 200 {
            assert_eq!(value["request_id"], head.headers["x-request-id"].to_str().unwrap(), "{path}");
        }
    }
}

#[tokio::test]
async fn bytes_stream_both_ways_before_either_side_has_ended() {
    let orders = serve(Service("orders")).await;
    let (_, address) = gateway(None, json!([{ "path": "/", "service": "orders", "upstream": orders }])).await;
    let (sender, body) = Body::channel(1);
    let request = Request::post(format!("http://{address}/echo")).body(body).unwrap();
    let mut answer = Client::new(ClientConfig::default()).send(request).await.unwrap().into_body();
    for piece in ["one", "two"] {
        sender.send(piece).await.unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), Bytes::from(piece));
    }
    sender.finish().await.unwrap();
    assert!(answer.frame().await.is_none());
}

/// Says one thing at once and another when told; by path as events or as text.
#[derive(Clone)]
struct Slow(Arc<Notify>);

impl Handler for Slow {
    async fn call(&self, request: Request<RequestBody>, _: Arc<Connection>) -> Response<Body> {
        let (sender, body) = Body::channel(1);
        let told = Arc::clone(&self.0);
        tokio::spawn(async move {
            sender.send("one").await.unwrap();
            told.notified().await;
            // The gateway may have given up by now.
            if sender.send("two").await.is_ok() {
                let _ = sender.finish().await;
            }
        });
        let kind = if request.uri().path() == "/events" { "text/event-stream; charset=utf-8" } else { "text/plain" };
        Response::builder().header("content-type", kind).body(body).unwrap()
    }
}

#[tokio::test]
async fn events_pass_as_they_come_and_may_be_silent_for_longer_than_any_other_answer() {
    let told = Arc::new(Notify::new());
    let slow = serve(Slow(Arc::clone(&told))).await;
    let route = json!([{ "path": "/", "service": "slow", "upstream": slow, "timeout_ms": 100 }]);
    let (_, address) = gateway(None, route).await;
    let client = Client::new(ClientConfig::default());
    let begin = async |path: &str| {
        let request = Request::get(format!("http://{address}{path}")).body(Body::empty()).unwrap();
        let mut body = client.send(request).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), Bytes::from("one"));
        body
    };
    let (mut events, mut text) = (begin("/events").await, begin("/text").await);
    assert!(text.frame().await.is_none_or(|frame| frame.is_err()), "who is silent is given up");
    told.notify_waiters();
    assert_eq!(events.frame().await.unwrap().unwrap().into_data().unwrap(), Bytes::from("two"));
}

#[tokio::test]
async fn a_websocket_passes_and_no_other_upgrade_does() {
    let orders = serve(Service("orders")).await;
    let (_, address) = gateway(None, json!([{ "path": "/", "service": "orders", "upstream": orders }])).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
    let h2c = Request::get("/x").header("connection", "upgrade, http2-settings").header("upgrade", "h2c");
    let (_, told) = send(address, h2c, Body::empty()).await;
    assert_eq!(told["headers"].get("upgrade"), None);
}

#[tokio::test]
async fn a_service_that_fails_is_named_with_the_status_that_says_how() {
    let orders = serve(Service("orders")).await;
    // A port that nobody listens on, and one that breaks every connection.
    let (_held, gone) = bound();
    let breaking = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broken = breaking.local_addr().unwrap();
    let (count_tx, mut count_rx) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = breaking.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = count_tx.send(()).await;
        }
    });
    let routes = json!([{ "path": "/gone", "service": "gone", "upstream": gone },
        { "path": "/broken", "service": "broken", "upstream": broken },
        { "path": "/slow", "service": "slow", "upstream": orders, "timeout_ms": 100 },
        { "path": "/off", "service": "off", "upstream": orders, "available": false }]);
    let (_, address) = gateway(None, routes).await;
    for (path, status, service) in
        [("/gone", 503, "gone"), ("/broken", 502, "broken"), ("/slow/silent", 504, "slow"), ("/off", 503, "off")]
    {
        let (head, problem) = get(address, path).await;
        assert_eq!((head.status.as_u16(), &problem["service"]), (status, &service.into()), "{problem}");
        assert_eq!(head.headers.contains_key("retry-after"), status == 503);
        assert!(problem["request_id"].is_string());
    }
    let tries = std::iter::from_fn(|| count_rx.try_recv().ok()).count();
    let (head, _) = send(address, Request::post("/broken"), Body::from("once")).await;
    assert_eq!((tries, head.status), (3, StatusCode::BAD_GATEWAY));
    assert_eq!(std::iter::from_fn(|| count_rx.try_recv().ok()).count(), 1);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let orders = serve(Service("orders")).await;
    let routes = json!([{ "path": "/", "service": "orders", "upstream": orders }]);
    let (_, address) = gateway(Some("1KiB"), routes).await;
    let (head, _) = send(address, Request::post("/x"), Body::full(vec![b'a'; 1025])).await;
    assert_eq!(head.status, StatusCode::PAYLOAD_TOO_LARGE);
    let (sender, body) = Body::channel(4);
    let sending = tokio::spawn(async move {
        for _ in 0..2 {
            let _ = sender.send(vec![b'a'; 1000]).await;
        }
        let _ = sender.finish().await;
    });
    let (head, _) = send(address, Request::post("/silent"), body).await;
    assert_eq!(head.status, StatusCode::PAYLOAD_TOO_LARGE);
    sending.await.unwrap();
    let (head, _) = send(address, Request::post("/x"), Body::full(vec![b'a'; 1024])).await;
    assert_eq!(head.status, StatusCode::OK);
}

#[tokio::test]
async fn a_request_with_a_body_reaches_a_service_that_listens_a_moment_later() {
    let (held, address) = bound();
    let routes = json!([{ "path": "/", "service": "late", "upstream": address }]);
    let (_, door) = gateway(None, routes).await;
    let starting = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let listener = held.listen(16).unwrap();
        Server::new(ServerConfig::default(), Service("late")).serve(vec![Listener::Tcp(listener)], Drain::new()).await;
    });
    let (head, value) = send(door, Request::post("/echo"), Body::from("kept")).await;
    assert_eq!((head.status, value), (StatusCode::OK, "kept".into()));
    starting.abort();
}

#[tokio::test]
async fn a_new_table_counts_from_the_next_request_on() {
    let orders = serve(Service("orders")).await;
    let (gateway, address) = gateway(None, json!([])).await;
    assert_eq!(get(address, "/x").await.0.status, StatusCode::NOT_FOUND);
    gateway.replace(table(None, &json!([{ "path": "/", "service": "orders", "upstream": orders }])));
    assert_eq!(get(address, "/x").await.1["service"], "orders");
}

#[tokio::test]
async fn with_a_new_table_no_request_goes_to_a_process_that_only_an_old_connection_leads_to() {
    // As while a service is reloaded: whoever accepted before goes on answering, whoever accepts now is another.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for connection in 1.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{connection}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let routes = json!([{ "path": "/", "service": "orders", "upstream": upstream }]);
    let (gateway, address) = gateway(None, routes.clone()).await;
    assert_eq!(get(address, "/").await.1, 1);
    assert_eq!(get(address, "/").await.1, 1, "connections are kept");
    gateway.replace(table(None, &routes));
    assert_eq!(get(address, "/").await.1, 2);
}
