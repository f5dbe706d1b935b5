//! The control API over a real socket, with a system that is made up.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pinnace_http::Body;
use pinnace_http::unix::{UnixClient, UnixError};
use pinnace_types::control::{LogLine, LogStream, ScaleRequest, ServiceKind, ServiceState, ServiceView, SystemView};
use pinnace_types::{ErrorCode, Problem, ServiceName};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::{bind, serve};
use crate::up::Logs;
use crate::up::handle::{Command, Handle, Refusal, What};

struct Running {
    client: UnixClient,
    view: watch::Sender<SystemView>,
    logs: Logs,
    serving: JoinHandle<()>,
    socket: PathBuf,
    _folder: TempDir,
}

/// A system with one service, `orders`, that does what it is told.
fn start() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let logs = Logs::open(&folder.path().join("logs"));
    let view = watch::Sender::new(system(ServiceState::Starting));
    let (commands, orders) = mpsc::channel(4);
    tokio::spawn(obey(orders));
    let handle = Handle::new(commands, view.subscribe());
    let serving = tokio::spawn(serve(bind(&socket).unwrap(), handle, logs.clone()));
    Running { client: UnixClient::new(&socket), view, logs, serving, socket, _folder: folder }
}

async fn obey(mut orders: mpsc::Receiver<Command>) {
    while let Some(Command { service: name, what, reply }) = orders.recv().await {
        let answer = match (name.as_str(), what) {
            ("orders", What::Restart) => Ok(service(ServiceState::Ready)),
            ("orders", What::Scale(instances)) => {
                // Told by a field that a test can read.
                Ok(ServiceView { restarts: u64::from(instances), ..service(ServiceState::Ready) })
            }
            ("order", _) => Err(Refusal::Unknown { name, nearest: Some("orders".to_owned()) }),
            ("mailer", What::Scale(_)) => {
                Err(Refusal::NotScalable { name, reason: "it is a program of its own".to_owned() })
            }
            ("broken", _) => Err(Refusal::Failed { name, reason: "exit code 1".to_owned() }),
            ("late", _) => Err(Refusal::Stopping),
            _ => Err(Refusal::Unknown { name, nearest: None }),
        };
        // A test may have gone away.
        let _ = reply.send(answer);
    }
}

fn system(state: ServiceState) -> SystemView {
    SystemView {
        name: "shop".to_owned(),
        version: pinnace_types::VERSION.to_owned(),
        root: "/srv/shop".to_owned(),
        pid: 1,
        started_at: jiff::Timestamp::UNIX_EPOCH,
        gateway_url: "http://127.0.0.1:8080".to_owned(),
        hub_url: "http://127.0.0.1:7070".to_owned(),
        services: vec![service(state)],
    }
}

fn service(state: ServiceState) -> ServiceView {
    ServiceView {
        name: ServiceName::try_new("orders").unwrap(),
        kind: ServiceKind::Hosted,
        framework: None,
        url: None,
        routes: Vec::new(),
        state,
        reason: None,
        ready_ms: None,
        workers: 1,
        restarts: 0,
        instances: Vec::new(),
    }
}

fn problem(error: UnixError) -> (u16, ErrorCode, String, Option<String>) {
    match error {
        UnixError::Problem(problem) => (problem.status, problem.code, problem.detail, problem.hint),
        other => panic!("{other}"),
    }
}

/// The next text of a stream that holds what is wanted.
async fn until(body: &mut Incoming, text: &mut String, wanted: impl Fn(&str) -> bool) {
    while !wanted(text) {
        let frame = body.frame().await.expect("the stream goes on").unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
}

fn lines(text: &str) -> Vec<LogLine> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_view_is_what_the_system_says() {
    let running = start();
    assert_eq!(running.client.get::<SystemView>("/v1/system").await.unwrap(), system(ServiceState::Starting));
    running.view.send_replace(system(ServiceState::Ready));
    assert_eq!(running.client.get::<SystemView>("/v1/system").await.unwrap(), system(ServiceState::Ready));
}

#[tokio::test]
async fn the_socket_is_its_owners_alone() {
    let running = start();
    assert_eq!(fs_err::metadata(&running.socket).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn commands_are_answered_with_the_service() {
    let running = start();
    let orders: ServiceView = running.client.post("/v1/services/orders/restart", &()).await.unwrap();
    assert_eq!(orders, service(ServiceState::Ready));
    let request = ScaleRequest { instances: 3 };
    let orders: ServiceView = running.client.post("/v1/services/orders/scale", &request).await.unwrap();
    assert_eq!(orders.restarts, 3);
}

#[tokio::test]
async fn refusals_are_problems_with_a_way_out() {
    let running = start();
    let cases = [
        ("order", ErrorCode::NotFound, "there is no service `order`", Some("did you mean `orders`?")),
        ("x", ErrorCode::NotFound, "there is no service `x`", Some("`pinnace ps` lists the services")),
        ("mailer", ErrorCode::Conflict, "`mailer` cannot be scaled: it is a program of its own", None),
        (
            "broken",
            ErrorCode::Unavailable,
            "`broken` did not become ready: exit code 1",
            Some("`pinnace logs broken` has what it wrote"),
        ),
        ("late", ErrorCode::Unavailable, "the system is stopping", None),
    ];
    for (name, code, detail, hint) in cases {
        let path = format!("/v1/services/{name}/scale");
        let error = running.client.post::<ServiceView>(&path, &ScaleRequest { instances: 2 }).await.unwrap_err();
        assert_eq!(problem(error), (code.http_status(), code, detail.to_owned(), hint.map(str::to_owned)));
    }
}

#[tokio::test]
async fn bad_requests_are_refused_with_what_is_wrong() {
    let running = start();
    let cases = [
        (Method::GET, "/", "", 404, "the supervisor knows no /"),
        (Method::GET, "/v1/services/orders", "", 404, "the supervisor knows no /v1/services/orders"),
        (Method::POST, "/v1/system", "", 405, "/v1/system is asked for with GET"),
        (Method::GET, "/v1/services/orders/restart", "", 405, "/v1/services/orders/restart is asked for with POST"),
        (Method::POST, "/v1/services/Orders/restart", "", 404, "`O` at position 1 is not allowed in a service name"),
        (Method::POST, "/v1/services/orders/scale", "{}", 400, "missing field `instances`"),
        (Method::POST, "/v1/services/orders/scale", r#"{"instances":0}"#, 400, "has 1 to 64 instances, not 0"),
        (Method::POST, "/v1/services/orders/scale", r#"{"instances":65}"#, 400, "has 1 to 64 instances, not 65"),
        (Method::POST, "/v1/services/orders/scale", r#"{"instances":1,"x":2}"#, 400, "unknown field `x`"),
        (Method::GET, "/v1/logs?lines=3", "", 400, "unknown field `lines`"),
        (Method::GET, "/v1/logs?tail=-3", "", 400, "tail: invalid digit"),
        (Method::GET, "/v1/logs?service=order", "", 404, "there is no service `order`"),
    ];
    for (method, path, body, status, detail) in cases {
        let answer = running.client.send(method, path, Body::full(body)).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let problem: Problem = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
        assert!(problem.detail.contains(detail), "{path}: {}", problem.detail);
    }
    let large = Body::full(vec![b' '; 17 << 10]);
    let answer = running.client.send(Method::POST, "/v1/services/orders/scale", large).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_slow_reader_of_events_gets_the_newest_view_and_no_queue() {
    let running = start();
    let mut body = running.client.stream("/v1/events").await.unwrap();
    let mut text = String::new();
    until(&mut body, &mut text, |text| text.ends_with("\n\n")).await;
    let view = text.strip_prefix("event: system\ndata: ").unwrap();
    assert_eq!(serde_json::from_str::<SystemView>(view).unwrap(), system(ServiceState::Starting));
    // Each is longer than what a socket holds; thousands of them wait nowhere.
    let long = "x".repeat(1 << 20);
    for number in 0..1000 {
        running.view.send_modify(|view| view.root = format!("{long}{number}"));
        tokio::task::yield_now().await;
    }
    text.clear();
    until(&mut body, &mut text, |text| text.contains("x999\"") && text.ends_with("\n\n")).await;
    let events = text.matches("event: system").count();
    assert!(events < 10, "{events} events waited");
}

#[tokio::test]
async fn events_end_with_the_system() {
    let running = start();
    let body = running.client.stream("/v1/events").await.unwrap();
    let Running { view, client: _, logs: _, serving: _, socket: _, _folder: _ } = running;
    view.send_replace(system(ServiceState::Stopped));
    drop(view);
    let text = body.collect().await.unwrap().to_bytes();
    assert!(std::str::from_utf8(&text).unwrap().contains("\"stopped\""));
}

#[tokio::test]
async fn logs_are_the_last_lines_and_then_those_that_follow() {
    let running = start();
    let (orders, other) = (ServiceName::try_new("orders").unwrap(), ServiceName::try_new("other").unwrap());
    for number in 0..5 {
        running.logs.line(&orders, "orders-1", LogStream::Stdout, number.to_string());
        running.logs.line(&other, "other-1", LogStream::Stderr, number.to_string());
    }
    let body = running.client.stream("/v1/logs?tail=2&follow=false&service=orders").await.unwrap();
    let text = body.collect().await.unwrap().to_bytes();
    let texts =
        |lines: &[LogLine]| lines.iter().map(|line| format!("{} {}", line.instance, line.text)).collect::<Vec<_>>();
    assert_eq!(texts(&lines(std::str::from_utf8(&text).unwrap())), ["orders-1 3", "orders-1 4"]);

    let mut body = running.client.stream("/v1/logs?tail=1&follow=true").await.unwrap();
    let mut text = String::new();
    until(&mut body, &mut text, |text| text.lines().count() == 1).await;
    running.logs.line(&orders, "orders-1", LogStream::Stdout, "more".to_owned());
    until(&mut body, &mut text, |text| text.lines().count() == 2).await;
    assert_eq!(texts(&lines(&text)), ["other-1 4", "orders-1 more"]);
}

#[tokio::test]
async fn a_slow_reader_of_logs_is_told_what_it_missed() {
    let running = start();
    let orders = ServiceName::try_new("orders").unwrap();
    let mut body = running.client.stream("/v1/logs?tail=0&follow=true").await.unwrap();
    for number in 0..5000 {
        running.logs.line(&orders, "orders-1", LogStream::Stdout, number.to_string());
    }
    running.logs.line(&orders, "orders-1", LogStream::Stdout, "last".to_owned());
    let mut text = String::new();
    until(&mut body, &mut text, |text| text.contains("\"last\"") && text.ends_with('\n')).await;
    let lines = lines(&text);
    let missing: u64 = lines
        .iter()
        .filter_map(|line| {
            line.text.strip_prefix("… ")?.strip_suffix(" lines are missing here: the reader was too slow")
        })
        .map(|number| number.parse::<u64>().unwrap())
        .sum();
    assert!(missing > 0);
    let seen = lines.iter().filter(|line| line.stream == LogStream::Stdout).count() as u64;
    assert_eq!(seen + missing, 5001, "what was not seen was told");
}

#[tokio::test]
async fn dropping_it_ends_every_connection() {
    let running = start();
    let mut body = running.client.stream("/v1/logs?follow=true").await.unwrap();
    running.serving.abort();
    let _ = running.serving.await;
    assert!(!matches!(body.frame().await, Some(Ok(_))));
    assert!(matches!(running.client.get::<SystemView>("/v1/system").await, Err(UnixError::Connect { .. })));
}
