//! A hub in this process with a supervisor that is made up: what it says and does is in the test's hands.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pinnace_http::{Body, Connection, Drain, Handler, Listener, RequestBody, Server, ServerConfig, problem_response};
use pinnace_hub::{Hub, HubConfig, RegistryConfig};
use pinnace_types::control::{InstanceView, ServiceKind, ServiceState, ServiceView, SystemView};
use pinnace_types::{ErrorCode, Problem, Secret, ServiceName};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) const TOKEN: &str = "0123456789abcdef";

/// A made-up supervisor on a Unix socket.
pub(crate) struct Supervisor {
    pub(crate) system: watch::Sender<SystemView>,
    task: JoinHandle<()>,
}

/// A hub that serves on a port of its own.
pub(crate) struct TestHub {
    pub(crate) address: SocketAddr,
    drain: Drain,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Control(watch::Sender<SystemView>);

impl Supervisor {
    pub(crate) fn start(folder: &Path) -> Self {
        let path = socket(folder);
        let _ = fs_err::remove_file(&path);
        let listener = Listener::Unix(tokio::net::UnixListener::bind(path).unwrap());
        let system = watch::Sender::new(system(ServiceState::Starting));
        let server = Server::new(ServerConfig::default(), Control(system.clone()));
        let task = tokio::spawn(server.serve(vec![listener], Drain::new()));
        Self { system, task }
    }

    /// Ends it as a kill would: every connection breaks.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

impl Handler for Control {
    async fn call(&self, request: Request<RequestBody>, _: Arc<Connection>) -> Response<Body> {
        let path = request.uri().path_and_query().unwrap().to_string();
        let answer = match (request.method().as_str(), path.as_str()) {
            ("GET", "/v1/events") => return self.events(),
            ("POST", "/v1/services/orders/restart") => serde_json::to_string(&service(ServiceState::Ready)).unwrap(),
            ("POST", "/v1/services/orders/scale") => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, r#"{"instances":3}"#);
                serde_json::to_string(&service(ServiceState::Ready)).unwrap()
            }
            ("GET", "/v1/logs?tail=7&follow=false&service=orders") => "{\"line\":1}\n{\"line\":2}\n".to_owned(),
            _ => {
                let problem = Problem::new(ErrorCode::NotFound, format!("the supervisor knows no {path}"));
                return problem_response(&problem);
            }
        };
        Response::new(answer.into())
    }
}

impl Control {
    fn events(&self) -> Response<Body> {
        let (sender, body) = Body::channel(4);
        let mut system = self.0.subscribe();
        system.mark_changed();
        tokio::spawn(async move {
            while system.changed().await.is_ok() {
                let view = serde_json::to_string(&*system.borrow_and_update()).unwrap();
                if sender.send(format!("event: system\ndata: {view}\n\n")).await.is_err() {
                    return;
                }
            }
        });
        Response::new(body)
    }
}

impl TestHub {
    pub(crate) async fn start(folder: &Path) -> Self {
        let config = HubConfig {
            data: folder.join("data"),
            control: socket(folder),
            token: Secret::new(TOKEN.to_owned()),
            registry: RegistryConfig::default(),
        };
        let hub = Hub::open(config).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let drain = hub.drain();
        let task = tokio::spawn(hub.serve(vec![Listener::Tcp(listener)], None));
        Self { address, drain, task }
    }

    pub(crate) async fn stop(self) {
        self.drain.drain(Duration::ZERO, Duration::from_secs(5));
        self.task.await.unwrap();
    }

    /// Ends it with nothing written and nobody told.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("authorization", format!("Bearer {TOKEN}"))
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Incoming> {
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        sender.send_request(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Body) -> (StatusCode, Value) {
        let response = self.send(self.request(method, path).body(body).unwrap()).await;
        let status = response.status();
        let expected = if status.is_success() { "application/json" } else { "application/problem+json" };
        assert_eq!(response.headers()["content-type"], expected, "{path}");
        assert!(response.headers().contains_key("x-request-id"), "{path}");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    /// Asks until the answer is as wanted; the test's own time limit is the patience.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let (_, answer) = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(tokio::time::Instant::now() < deadline, "{path} stays {answer}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn system(state: ServiceState) -> SystemView {
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
    let instance = |number: u32| InstanceView {
        id: format!("orders-{number}"),
        pid: 100 + number,
        port: (number == 1).then_some(41_001),
        state,
        started_at: jiff::Timestamp::UNIX_EPOCH,
    };
    ServiceView {
        name: ServiceName::try_new("orders").unwrap(),
        kind: ServiceKind::Hosted,
        framework: Some("Django 5.2".to_owned()),
        url: Some("http://127.0.0.1:41231".to_owned()),
        routes: vec!["/orders".to_owned()],
        state,
        reason: None,
        ready_ms: None,
        workers: 2,
        restarts: 0,
        instances: vec![instance(1), instance(2)],
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}
