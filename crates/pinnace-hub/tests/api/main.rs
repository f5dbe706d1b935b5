//! The hub's API as a client sees it, with a supervisor that is made up.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use pinnace_http::Body;
use pinnace_types::control::ServiceState;
use serde_json::json;

use support::{Supervisor, TestHub, system};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi/hub.json");

#[tokio::test]
async fn what_the_supervisor_says_is_shown_and_registered() {
    let folder = tempfile::tempdir().unwrap();
    let (supervisor, hub) = (Supervisor::start(folder.path()), TestHub::start(folder.path()).await);
    let known = hub.until("/api/v1/system", |answer| answer["stale"] == false).await;
    assert_eq!(known["system"]["services"][0]["state"], "starting");
    let before = hub.get("/api/v1/registry/services").await.1;
    assert_eq!(before["services"], json!({ "orders": 2 }));
    supervisor.system.send_replace(system(ServiceState::Ready));
    let path = format!("/api/v1/registry/services/orders?index={}&wait=20s", before["index"]);
    let after = hub.get(&path).await.1;
    assert!(after["index"].as_u64() > before["index"].as_u64());
    let instances = &after["instances"];
    assert_eq!(instances[0]["registration"]["port"], 41_001);
    assert_eq!(instances[1]["registration"]["port"], 41_231, "an instance without a port is at the service's");
    assert_eq!(instances[1]["registration"]["state"], "ready");
    assert_eq!(hub.until("/api/v1/services/orders", |answer| answer["state"] == "ready").await["workers"], 2);
    hub.stop().await;
    supervisor.kill().await;
}

#[tokio::test]
async fn a_killed_hub_shows_at_once_what_it_knew_and_marks_it_stale_until_it_is_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let (supervisor, hub) = (Supervisor::start(folder.path()), TestHub::start(folder.path()).await);
    hub.until("/api/v1/system", |answer| answer["stale"] == false).await;
    let index = hub.get("/api/v1/registry/services").await.1["index"].as_u64();
    supervisor.kill().await;
    hub.until("/api/v1/system", |answer| answer["stale"] == true).await;
    hub.kill().await;

    let hub = TestHub::start(folder.path()).await;
    let (status, known) = hub.get("/api/v1/system").await;
    assert_eq!((status, &known["stale"]), (StatusCode::OK, &json!(true)));
    assert_eq!(known["system"]["services"][0]["name"], "orders");
    assert_eq!(hub.get("/api/v1/registry/services").await.1["index"].as_u64(), index);
    let supervisor = Supervisor::start(folder.path());
    hub.until("/api/v1/system", |answer| answer["stale"] == false).await;
    hub.stop().await;
    supervisor.kill().await;
}

#[tokio::test]
async fn a_damaged_last_state_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(folder.path().join("data")).unwrap();
    fs_err::write(folder.path().join("data/system.json"), "{").unwrap();
    let hub = TestHub::start(folder.path()).await;
    assert_eq!(hub.get("/api/v1/system").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let names: Vec<_> = fs_err::read_dir(folder.path().join("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().any(|name| name.starts_with("system.json.damaged-")), "{names:?}");
    hub.stop().await;
}

#[tokio::test]
async fn restart_scale_and_logs_are_the_supervisors_matter() {
    let folder = tempfile::tempdir().unwrap();
    let (supervisor, hub) = (Supervisor::start(folder.path()), TestHub::start(folder.path()).await);
    let (status, view) = hub.ask(Method::POST, "/api/v1/services/orders/restart", Body::empty()).await;
    assert_eq!((status, &view["name"]), (StatusCode::OK, &json!("orders")));
    let body = Body::full(r#"{"instances":3}"#);
    assert_eq!(hub.ask(Method::POST, "/api/v1/services/orders/scale", body).await.0, StatusCode::OK);
    let request = hub.request(Method::GET, "/api/v1/logs?service=orders&tail=7").body(Body::empty()).unwrap();
    let response = hub.send(request).await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{\"line\":1}\n{\"line\":2}\n");
    // Its problems come through as they are.
    let (status, problem) = hub.ask(Method::POST, "/api/v1/services/absent/restart", Body::empty()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(problem["detail"].as_str().unwrap().starts_with("the supervisor knows no"), "{problem}");
    supervisor.kill().await;
    let (status, problem) = hub.ask(Method::POST, "/api/v1/services/orders/restart", Body::empty()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    hub.stop().await;
}

#[tokio::test]
async fn every_refusal_is_a_problem_with_an_id() {
    let folder = tempfile::tempdir().unwrap();
    let (supervisor, hub) = (Supervisor::start(folder.path()), TestHub::start(folder.path()).await);
    hub.until("/api/v1/system", |answer| answer["stale"] == false).await;
    let large = Body::full(format!(r#"{{"instances":3,"x":"{}"}}"#, "x".repeat(20_000)));
    for (method, path, body, status) in [
        (Method::GET, "/nowhere", Body::empty(), 404),
        (Method::GET, "/api/v1/services/absent", Body::empty(), 404),
        (Method::GET, "/api/v1/services/NOT%20a%20name", Body::empty(), 404),
        (Method::GET, "/api/v1/services/%ff", Body::empty(), 400),
        (Method::DELETE, "/api/v1/system", Body::empty(), 405),
        (Method::GET, "/api/v1/services/orders/scale", Body::empty(), 405),
        (Method::POST, "/api/v1/services/orders/scale", Body::full("{"), 400),
        (Method::POST, "/api/v1/services/orders/scale", Body::full(r#"{"instances":1,"more":2}"#), 400),
        (Method::POST, "/api/v1/services/orders/scale", large, 413),
        (Method::GET, "/api/v1/logs?tail=many", Body::empty(), 400),
        (Method::GET, "/api/v1/logs?tial=1", Body::empty(), 400),
        (Method::GET, "/api/v1/registry/services?index=1&wait=soon", Body::empty(), 400),
    ] {
        let (answered, problem) = hub.ask(method.clone(), path, body).await;
        assert_eq!((answered.as_u16(), problem["status"].as_u64()), (status, Some(status.into())), "{method} {path}");
        assert!(problem["request_id"].is_string() && problem["detail"].is_string(), "{problem}");
    }
    hub.stop().await;
    supervisor.kill().await;
}

#[tokio::test]
async fn nothing_but_the_documented_open_paths_answers_without_the_token_or_to_a_foreign_page() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::start(folder.path()).await;
    let document = pinnace_hub::openapi();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path.replace("{name}", "orders");
        for (method, operation) in operations.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let open = operation["security"].is_array();
            let bare = http::Request::builder().method(&method).uri(&path).header("host", "localhost");
            let status = hub.send(bare.body(Body::empty()).unwrap()).await.status();
            assert_eq!(status == StatusCode::UNAUTHORIZED, !open, "{method} {path}: {status}");
            for (name, value) in [("origin", "http://evil.example"), ("host", "evil.example")] {
                let mut foreign = hub.request(method.clone(), &path).body(Body::empty()).unwrap();
                foreign.headers_mut().insert(name, value.parse().unwrap());
                assert_eq!(hub.send(foreign).await.status(), StatusCode::FORBIDDEN, "{method} {path}");
            }
        }
    }
    hub.stop().await;
}

#[tokio::test]
async fn every_documented_operation_answers_with_the_documented_media_type() {
    let folder = tempfile::tempdir().unwrap();
    let (supervisor, hub) = (Supervisor::start(folder.path()), TestHub::start(folder.path()).await);
    hub.until("/api/v1/system", |answer| answer["stale"] == false).await;
    let document = pinnace_hub::openapi();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let documented = operation["responses"]["200"]["content"].as_object().unwrap().keys().next().unwrap();
            let body =
                if operation["requestBody"].is_object() { Body::full(r#"{"instances":3}"#) } else { Body::empty() };
            let query = if path == "/api/v1/logs" { "?service=orders&tail=7" } else { "" };
            let path = path.replace("{name}", "orders") + query;
            let method = method.to_uppercase().parse().unwrap();
            let response = hub.send(hub.request(method, &path).body(body).unwrap()).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let answered = response.headers()["content-type"].to_str().unwrap();
            assert_eq!(answered.split(';').next().unwrap(), documented, "{path}");
        }
    }
    hub.stop().await;
    supervisor.kill().await;
}

#[tokio::test]
async fn events_begin_with_the_system_and_follow_its_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (supervisor, hub) = (Supervisor::start(folder.path()), TestHub::start(folder.path()).await);
    hub.until("/api/v1/system", |answer| answer["stale"] == false).await;
    let request = hub.request(Method::GET, "/api/v1/events").body(Body::empty()).unwrap();
    let mut body = hub.send(request).await.into_body();
    let mut text = String::new();
    let mut changed = false;
    while !text.contains(r#""state":"ready""#) {
        let frame = body.frame().await.expect("the stream ended").unwrap();
        text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        if !changed && text.contains(r#""state":"starting""#) {
            changed = true;
            supervisor.system.send_replace(system(ServiceState::Ready));
        }
    }
    assert!(text.starts_with("event: system\ndata: {") || text.starts_with(": alive"), "{text}");
    let (_, metrics) = metrics(&hub).await;
    assert!(metrics.contains("pinnace_event_readers{service_name=\"hub\"} 1\n"), "{metrics}");
    // The stream ends with the hub, and does not keep it from ending.
    hub.stop().await;
    supervisor.kill().await;
}

#[tokio::test]
async fn no_more_than_64_readers_follow_the_events() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::start(folder.path()).await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let request = hub.request(Method::GET, "/api/v1/events").body(Body::empty()).unwrap();
        let response = hub.send(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        open.push(response);
    }
    assert_eq!(hub.get("/api/v1/events").await.0, StatusCode::SERVICE_UNAVAILABLE);
    drop(open);
    hub.stop().await;
}

#[tokio::test]
async fn the_metrics_count_what_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::start(folder.path()).await;
    for _ in 0..5 {
        hub.get("/-/health/ready").await;
    }
    let (status, text) = metrics(&hub).await;
    assert_eq!(status, StatusCode::OK);
    let line = "http_server_request_duration_seconds_count{service_name=\"hub\",http_request_method=\"GET\",\
                http_response_status_code=\"200\"} 5";
    assert!(text.lines().any(|candidate| candidate == line), "{text}");
    hub.stop().await;
}

#[test]
fn the_committed_description_is_the_current_one() {
    let current = serde_json::to_string_pretty(&pinnace_hub::openapi()).unwrap() + "\n";
    if std::env::var_os("PINNACE_WRITE_GENERATED").is_some() {
        fs_err::write(DOCUMENT, &current).unwrap();
    }
    let committed = fs_err::read_to_string(DOCUMENT).unwrap();
    assert!(committed == current, "run the tests of pinnace-hub once with PINNACE_WRITE_GENERATED=1");
}

async fn metrics(hub: &TestHub) -> (StatusCode, String) {
    let response = hub.send(hub.request(Method::GET, "/-/metrics").body(Body::empty()).unwrap()).await;
    let status = response.status();
    (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}
