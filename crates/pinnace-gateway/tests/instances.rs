//! The gateway over several instances of a service: who gets the requests, and what a caller sees when one of them fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use pinnace_discovery::{Endpoint, Instance, MemoryRegistry};
use pinnace_gateway::{Discovery, Gateway, Table};
use pinnace_http::client::{Client, ClientConfig};
use pinnace_http::{Body, Connection, Drain, Handler, Listener, RequestBody, Server, ServerConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use support::bound;

/// Says its name.
#[derive(Clone)]
struct Named(&'static str);

impl Handler for Named {
    async fn call(&self, request: Request<RequestBody>, _: Arc<Connection>) -> Response<Body> {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(Body::from(format!("{} {}", self.0, body.len())))
    }
}

/// What a broken instance does with a connection.
#[derive(Clone, Copy)]
enum Broken {
    /// Closes it at once.
    AtOnce,
    /// Reads the request and closes it.
    AfterTheRequest,
    /// Begins a response and closes it.
    AfterTheHead,
}

struct Edge {
    registry: MemoryRegistry,
    gateway: Gateway,
    address: SocketAddr,
}

impl Edge {
    /// A gateway whose only service has its own socket there.
    async fn new(own_socket: SocketAddr, tags: &[&str]) -> Self {
        let registry = MemoryRegistry::new();
        let routes = json!([{ "path": "/", "service": "orders", "upstream": own_socket, "tags": tags }]);
        let config = json!({ "system": "shop", "routes": routes });
        let table = Table::try_new(serde_json::from_value(config).unwrap()).unwrap();
        let discovery = Discovery { registry: Arc::new(registry.clone()), address: "memory".to_owned() };
        let gateway = Gateway::new(table, Some(discovery), None);
        let address = serve(gateway.clone()).await;
        Self { registry, gateway, address }
    }

    /// Says which instances there are, and waits until the gateway knows.
    async fn knows(&self, instances: &[(&str, SocketAddr, u32, &[&str])]) {
        let instance = |(id, address, weight, tags): &(&str, SocketAddr, u32, &[&str])| Instance {
            id: (*id).to_owned(),
            endpoint: Endpoint::try_from(*address).unwrap(),
            weight: *weight,
            tags: tags.iter().map(ToString::to_string).collect(),
            meta: BTreeMap::new(),
        };
        let service = "orders".parse().unwrap();
        self.registry.set(&service, instances.iter().map(instance).collect());
        let ids: Vec<&str> = instances.iter().map(|(id, ..)| *id).collect();
        let wanted = |id: &str| self.gateway.view().routes[0].tags.is_empty() || id.starts_with("tagged");
        let wanted: Vec<&str> = ids.into_iter().filter(|id| wanted(id)).collect();
        let known = || self.gateway.view().routes[0].instances.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        tokio::time::timeout(Duration::from_secs(10), async {
            while known() != wanted {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    async fn send(&self, method: Method, body: &'static str) -> (StatusCode, String) {
        let client = Client::new(ClientConfig::default());
        let request = Request::builder().method(method).uri(format!("http://{}/x", self.address));
        let response = client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        let text = response.into_body().collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        (status, String::from_utf8(text).unwrap())
    }

    /// Who answers so many requests.
    async fn answers(&self, requests: u32) -> HashMap<String, u32> {
        let mut answers = HashMap::new();
        for _ in 0..requests {
            let (status, text) = self.send(Method::GET, "").await;
            assert_eq!(status, 200, "{text}");
            *answers.entry(text.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
        answers
    }
}

async fn serve(handler: impl Handler) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Server::new(ServerConfig::default(), handler).serve(vec![Listener::Tcp(listener)], Drain::new()));
    address
}

/// An instance that breaks every connection.
async fn broken(how: Broken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if !matches!(how, Broken::AtOnce) {
                let _ = stream.read(&mut vec![0; 1 << 17]).await;
            }
            if matches!(how, Broken::AfterTheHead) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
            }
        }
    });
    address
}

#[tokio::test]
async fn requests_spread_over_the_instances_by_their_weights() {
    let (a, b, own) = (serve(Named("a")).await, serve(Named("b")).await, serve(Named("own")).await);
    let edge = Edge::new(own, &[]).await;
    assert_eq!(edge.answers(5).await, HashMap::from([("own".to_owned(), 5)]), "no instance is known");
    edge.knows(&[("a", a, 9, &[]), ("b", b, 1, &[])]).await;
    let answers = edge.answers(1_000).await;
    assert!((30..=250).contains(&answers["b"]) && answers["a"] > 700 && answers.len() == 2, "{answers:?}");
    edge.knows(&[("b", b, 1, &[])]).await;
    assert_eq!(edge.answers(5).await, HashMap::from([("b".to_owned(), 5)]), "one has left");
    edge.knows(&[]).await;
    assert_eq!(edge.answers(5).await, HashMap::from([("own".to_owned(), 5)]), "all have left");
}

#[tokio::test]
async fn whatever_was_refused_before_a_byte_was_sent_goes_to_another_at_once() {
    let (well, own) = (serve(Named("well")).await, serve(Named("own")).await);
    let edge = Edge::new(own, &[]).await;
    let ((_first, gone), (_second, too)) = (bound(), bound());
    edge.knows(&[("gone", gone, 1, &[]), ("well", well, 1, &[])]).await;
    let begun = tokio::time::Instant::now();
    for _ in 0..50 {
        assert_eq!(edge.send(Method::POST, "hello").await, (StatusCode::OK, "well 5".to_owned()));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "without a pause");
    let view = edge.gateway.view();
    let left_out = &view.routes[0].instances[0];
    assert!(left_out.failed > 0 && left_out.failed < 10, "it is left out for a while: {left_out:?}");
    edge.knows(&[("gone", gone, 1, &[]), ("too", too, 1, &[])]).await;
    assert_eq!(
        edge.send(Method::POST, "hello").await,
        (StatusCode::OK, "own 5".to_owned()),
        "the socket is behind them"
    );
}

#[tokio::test]
async fn what_broke_before_an_answer_is_repeated_elsewhere_only_where_that_does_no_harm() {
    for how in [Broken::AtOnce, Broken::AfterTheRequest] {
        let (well, own) = (serve(Named("well")).await, serve(Named("own")).await);
        let edge = Edge::new(own, &[]).await;
        edge.knows(&[("broken", broken(how).await, 1, &[]), ("well", well, 1, &[])]).await;
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            for _ in 0..10 {
                assert_eq!(edge.send(method.clone(), "").await, (StatusCode::OK, "well 0".to_owned()), "{method}");
            }
        }
        for (method, length, expected) in [
            (Method::PUT, 60_000, 200),
            (Method::DELETE, 10, 200),
            // Of a body that nobody has begun to read, nothing has to be kept.
            (Method::PUT, 70_000, if matches!(how, Broken::AtOnce) { 200 } else { 502 }),
            (Method::POST, 10, 502),
            (Method::POST, 0, 502),
            (Method::PATCH, 10, 502),
        ] {
            let edge = Edge::new(own, &[]).await;
            edge.knows(&[("broken", broken(how).await, 1, &[])]).await;
            let body = &*"x".repeat(length).leak();
            let (status, text) = edge.send(method.clone(), body).await;
            assert_eq!(status, expected, "{method} of {length} bytes: {text}");
            assert!(expected != 200 || text == format!("own {length}"), "all of it, once: {text}");
            assert_eq!(edge.gateway.view().routes[0].instances[0].sent, 1, "{method}");
        }
    }
}

#[tokio::test]
async fn an_instance_that_breaks_what_it_gets_does_not_attract_more_by_its_speed() {
    let (well, own) = (serve(Named("well")).await, serve(Named("own")).await);
    let edge = Edge::new(own, &[]).await;
    edge.knows(&[("broken", broken(Broken::AfterTheRequest).await, 1, &[]), ("well", well, 1, &[])]).await;
    assert_eq!(edge.answers(300).await, HashMap::from([("well".to_owned(), 300)]));
    let broken = &edge.gateway.view().routes[0].instances[0];
    assert!(broken.sent < 20, "{broken:?}");
}

#[tokio::test]
async fn a_response_that_has_begun_is_never_begun_again() {
    let own = serve(Named("own")).await;
    let edge = Edge::new(own, &[]).await;
    edge.knows(&[("broken", broken(Broken::AfterTheHead).await, 1, &[])]).await;
    let (status, text) = edge.send(Method::GET, "").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, ""), "the body broke off");
    assert_eq!(edge.gateway.view().routes[0].instances[0].sent, 1);
}

#[tokio::test]
async fn only_instances_with_the_routes_tags_get_requests() {
    let (plain, tagged, own) = (serve(Named("plain")).await, serve(Named("tagged")).await, serve(Named("own")).await);
    let edge = Edge::new(own, &["stable", "eu"]).await;
    let (status, text) = edge.send(Method::GET, "").await;
    assert_eq!(status, 503);
    assert!(text.contains("service `orders` has no instance with the route's tags that answers"), "{text}");
    edge.knows(&[("plain", plain, 1, &["stable"]), ("tagged", tagged, 1, &["eu", "stable", "x"])]).await;
    assert_eq!(edge.answers(20).await, HashMap::from([("tagged".to_owned(), 20)]));
}

#[tokio::test]
async fn an_instance_that_is_leaving_gets_nothing_more_whatever_the_registry_says() {
    let (old, new) = (serve(Named("old")).await, serve(Named("new")).await);
    let edge = Edge::new(new, &[]).await;
    edge.knows(&[("old", old, 1, &[])]).await;
    assert_eq!(edge.answers(5).await, HashMap::from([("old".to_owned(), 5)]));
    let routes = json!([{ "path": "/", "service": "orders", "upstream": new, "leaving": [old] }]);
    let table = serde_json::from_value(json!({ "system": "shop", "routes": routes })).unwrap();
    edge.gateway.replace(Table::try_new(table).unwrap());
    assert_eq!(edge.answers(5).await, HashMap::from([("new".to_owned(), 5)]));
}

#[tokio::test]
async fn it_says_what_it_would_do_with_a_request() {
    let own = serve(Named("own")).await;
    let edge = Edge::new(own, &[]).await;
    edge.knows(&[("a", own, 1, &[])]).await;
    let explained = edge.gateway.explain(&Method::PUT, "Shop.Example:80", "/a/b");
    assert_eq!((explained.host.as_str(), explained.repeatable, &explained.refusal), ("shop.example", true, &None));
    assert_eq!(explained.route.unwrap().instances[0].id, "a");
    for (method, path, status) in [
        (Method::GET, "/a/../b", 400),
        (Method::GET, "/-/metrics", 404),
        (Method::TRACE, "/a", 405),
        (Method::GET, "/-/health/ready", 200),
    ] {
        assert_eq!(edge.gateway.explain(&method, "x", path).refusal.unwrap().0, status, "{path}");
    }
}
