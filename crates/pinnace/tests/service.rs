//! A service as its callers see it: the management paths, request ids, limits, failures, its end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pinnace::axum::extract::{ConnectInfo, State};
use pinnace::axum::http::{Request, StatusCode, header};
use pinnace::axum::routing::{get, post};
use pinnace::axum::{Extension, Router};
use pinnace::{Answer, Body, Peer, PeerError, PeerErrorKind, Problem, RequestId, Service, ServiceError};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// A service that runs, and the way to it.
struct Running {
    peer: Peer,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServiceError>>,
}

fn start(routes: Router) -> Running {
    start_as(Service::new("shipping").routes(routes))
}

fn start_as(service: Service) -> Running {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let service = service.without_access_log().listener(socket).stop_when(async {
        // A sender that is dropped stops nothing.
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    });
    let peer = Peer::new("shipping", &format!("http://{address}")).unwrap();
    Running { peer, address, stop, serving: tokio::spawn(service.serve()) }
}

fn problem(answer: &Answer) -> Problem {
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    serde_json::from_slice(answer.bytes()).unwrap()
}

// ---- the management paths ----

#[tokio::test]
async fn the_management_paths_are_those_of_a_python_service() {
    let peer = start(Router::new().route("/", get(|| async { "ahoy" }))).peer;
    for path in ["/-/health/live", "/-/health/ready"] {
        let answer = peer.get(path).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().as_str()), (200, r#"{"status":"ok"}"#), "{path}");
    }
    let information: Value = peer.get("/-/info").await.unwrap().json().unwrap();
    assert_eq!((&information["service"], &information["pid"]), (&"shipping".into(), &std::process::id().into()));
    let refused = peer.post("/-/info", "").await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()[header::ALLOW].to_str().unwrap()), (405, "GET, HEAD"));
    assert_eq!(peer.get("/-/else").await.unwrap().status(), 404, "the rest is the author's");
}

#[tokio::test]
async fn each_answer_is_counted_once_and_a_management_path_never() {
    let routes = Router::new()
        .route("/", get(|| async { "ahoy" }).head(|| async {}))
        .route("/nothing", get(|| async { StatusCode::NO_CONTENT }))
        .route("/panic", get(|| async { fail() }));
    let peer = start(routes).peer;
    for path in ["/", "/", "/nothing", "/panic", "/absent"] {
        peer.get(path).await.unwrap();
    }
    peer.send(Request::head("/").body(Body::empty()).unwrap()).await.unwrap();
    let metrics = peer.get("/-/metrics").await.unwrap().text();
    for (method, status, count) in
        [("GET", 200, 2), ("GET", 204, 1), ("GET", 500, 1), ("GET", 404, 1), ("HEAD", 200, 1)]
    {
        let line = format!(
            "http_server_request_duration_seconds_count{{service_name=\"shipping\",http_request_method=\"{method}\",\
             http_response_status_code=\"{status}\"}} {count}"
        );
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
}

fn fail() {
    panic!("overboard")
}

#[tokio::test]
async fn a_readiness_of_the_authors_own_is_asked_each_time_and_its_reason_is_kept() {
    let is_ready = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_ready);
    let service = Service::new("shipping").ready(move || {
        let is_ready = seen.load(Ordering::Relaxed);
        async move { if is_ready { Ok(()) } else { Err("postgres://user:password@db refused".into()) } }
    });
    let peer = start_as(service).peer;
    let answer = peer.get("/-/health/ready").await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().as_str()), (503, r#"{"status":"unready"}"#));
    assert_eq!(peer.get("/-/health/live").await.unwrap().status(), 200, "it lives");
    is_ready.store(true, Ordering::Relaxed);
    assert_eq!(peer.get("/-/health/ready").await.unwrap().status(), 200);
}

// ---- request ids ----

async fn ids(Extension(id): Extension<RequestId>) -> String {
    let current = pinnace::current_request_id().unwrap();
    format!("{id} {current}")
}

async fn pass_on(State(back): State<Peer>) -> Result<String, PeerError> {
    Ok(back.get("/").await?.accepted()?.text())
}

#[tokio::test]
async fn a_request_id_goes_through_all_services_and_comes_back() {
    let back = start(Router::new().route("/", get(ids))).peer;
    let front = start(Router::new().route("/", get(pass_on)).with_state(back)).peer;
    let request = Request::get("/").header("x-request-id", "abc-1").body(Body::empty()).unwrap();
    let answer = front.send(request).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.headers()["x-request-id"].to_str().unwrap()), ("abc-1 abc-1", "abc-1"));
    let fresh = front.get("/").await.unwrap();
    let id = fresh.headers()["x-request-id"].to_str().unwrap();
    assert_eq!((id.len(), fresh.text()), (32, format!("{id} {id}")));
}

// ---- limits and failures ----

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_whether_it_is_announced_or_not() {
    let routes = Router::new().route("/", post(|body: String| async move { body.len().to_string() }));
    let peer = start_as(Service::new("shipping").routes(routes).body_limit(3 << 20)).peer;
    let announced = |size| Request::post("/").body(Body::full(vec![b'x'; size])).unwrap();
    let allowed = peer.send(announced(3 << 20)).await.unwrap();
    assert_eq!(allowed.text(), (3 << 20).to_string(), "more than axum's own default");
    let refused = peer.send(announced((3 << 20) + 1)).await.unwrap();
    assert_eq!(problem(&refused).status, 413);
    let (sender, body) = Body::channel(4);
    let sending = tokio::spawn(async move {
        for _ in 0..4 {
            // The service reads no more once it has seen enough.
            let _ = sender.send(vec![b'x'; 1 << 20]).await;
        }
        sender.finish().await
    });
    let answer = peer.send(Request::post("/").body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 413);
    let _ = sending.await;
}

#[tokio::test]
async fn a_handler_that_panics_is_a_problem_for_its_caller_alone() {
    let peer = start(Router::new().route("/panic", get(|| async { fail() })).route("/", get(|| async { "ahoy" }))).peer;
    let request = Request::get("/panic").header("x-request-id", "abc").body(Body::empty()).unwrap();
    let answer = peer.send(request).await.unwrap();
    let problem = problem(&answer);
    assert_eq!((problem.status, problem.request_id.unwrap().as_str()), (500, "abc"));
    assert!(!answer.text().contains("overboard"), "what went wrong is for the log");
    assert_eq!(peer.get("/").await.unwrap().text(), "ahoy");
}

#[tokio::test]
async fn handlers_see_who_asks() {
    let routes = Router::new()
        .route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }));
    assert_eq!(start(routes).peer.get("/").await.unwrap().text(), "127.0.0.1");
}

#[tokio::test]
async fn a_port_in_use_is_told_with_its_owner_and_the_exit_code_of_a_command() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Service::new("shipping").port(port).serve().await.unwrap_err();
    assert_eq!(error.exit_number(), 5);
    assert!(error.to_string().starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains(&format!("(process {}) listens there", std::process::id())), "{hint}");
}

/// Sends a head and a body one after the other; the answer's head, in lower case.
async fn exchange(stream: &mut TcpStream, head: &str, body: &[u8]) -> String {
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"ahoy") {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "{}", String::from_utf8_lossy(&text));
    }
    String::from_utf8(text).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn a_body_that_a_handler_leaves_unread_costs_its_client_no_request() {
    let address = start(Router::new().route("/", post(|| async { "ahoy" }))).address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for size in [0, 1, 100, 64 << 10] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
        let answer = exchange(&mut stream, &head, &vec![b'x'; size]).await;
        assert!(answer.starts_with("http/1.1 200") && !answer.contains("connection: close"), "{size}: {answer}");
    }
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = exchange(&mut stream, chunked, b"2\r\nhi\r\n0\r\n\r\n").await;
    assert!(!answer.contains("connection: close"), "{answer}");
    // More than that, and a body that nobody has asked for yet: the client is told that it has to connect again.
    for more in ["Content-Length: 70000\r\n", "Content-Length: 9\r\nExpect: 100-continue\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answer = exchange(&mut stream, &format!("POST / HTTP/1.1\r\nHost: a\r\n{more}\r\n"), b"").await;
        assert!(answer.starts_with("http/1.1 200") && answer.contains("connection: close"), "{more}: {answer}");
    }
}

// ---- other services ----

/// Passes on what happens to a call.
async fn relay(peer: Peer) -> Answer {
    let routes = Router::new().route("/", get(pass_on)).with_state(peer);
    start(routes).peer.get("/").await.unwrap()
}

#[tokio::test]
async fn a_call_that_fails_is_a_problem_that_names_the_service() {
    // Nobody listens on it, and nobody else can while it is bound.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = held.local_addr().unwrap();
    let unreachable = relay(Peer::new("catalog", &format!("http://{nobody}")).unwrap()).await;
    assert_eq!((problem(&unreachable).status, problem(&unreachable).service.as_deref()), (503, Some("catalog")));

    let silent = start(Router::new().route("/", get(std::future::pending::<()>))).peer;
    let late = relay(silent.timeout(Duration::from_millis(50))).await;
    assert_eq!(problem(&late).status, 504);

    let refusing = start(Router::new());
    let refused = relay(refusing.peer).await;
    assert_eq!(problem(&refused).status, 502);

    let large = start(Router::new().route("/", get(|| async { "x".repeat(100) }))).peer;
    let error = large.answer_limit(99).get("/").await.unwrap_err();
    assert!(matches!(error.kind, PeerErrorKind::TooLarge { limit: 99 }), "{error}");
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_told_without_what_it_says() {
    for (url, reason) in [
        ("https://catalog:443", "http://"),
        ("catalog:80", "http://"),
        ("http://user:secret@catalog", "user name"),
        ("http://sec ret", "no URL"),
    ] {
        let error = Peer::new("catalog", url).unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains("sec"), "{error}");
    }
}

#[tokio::test]
async fn a_path_below_the_address_is_kept_and_what_is_no_path_is_refused() {
    let running = start(Router::new().route("/base/items", get(|| async { "all" })));
    let below = Peer::new("catalog", &format!("http://{}/base/", running.address)).unwrap();
    assert_eq!(below.get("/items?page=2").await.unwrap().text(), "all");
    for path in ["items", "", "http://elsewhere/items", "//elsewhere/items x"] {
        assert!(matches!(below.get(path).await.unwrap_err().kind, PeerErrorKind::Request { .. }), "{path}");
    }
}

// ---- its end ----

#[tokio::test]
async fn a_service_that_stops_finishes_what_was_begun_and_accepts_no_more() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (handlers_begun, handlers_go) = (Arc::clone(&begun), Arc::clone(&go));
    let slow = move || {
        let (begun, go) = (Arc::clone(&handlers_begun), Arc::clone(&handlers_go));
        async move {
            begun.notify_one();
            go.notified().await;
            "finished"
        }
    };
    let Running { peer, stop, serving, .. } = start(Router::new().route("/", get(slow)));
    let caller = peer.clone();
    let call = tokio::spawn(async move { caller.get("/").await });
    begun.notified().await;
    stop.send(()).unwrap();
    // Once its socket is closed, nothing new can be begun.
    while !matches!(peer.get("/-/health/live").await, Err(PeerError { kind: PeerErrorKind::Unreachable, .. })) {
        tokio::task::yield_now().await;
    }
    assert!(!serving.is_finished());
    go.notify_one();
    let answer = call.await.unwrap().unwrap();
    assert_eq!(answer.text(), "finished");
    assert_eq!(answer.headers()[header::CONNECTION], "close");
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_not_finished_within_the_grace_is_cut_off() {
    let begun = Arc::new(Notify::new());
    let seen = Arc::clone(&begun);
    let never = move || {
        let begun = Arc::clone(&seen);
        async move {
            begun.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let service =
        Service::new("shipping").routes(Router::new().route("/", get(never))).grace(Duration::from_millis(50));
    let Running { peer, stop, serving, .. } = start_as(service);
    let call = tokio::spawn(async move { peer.get("/").await });
    begun.notified().await;
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(matches!(call.await.unwrap().unwrap_err().kind, PeerErrorKind::Broken));
}
