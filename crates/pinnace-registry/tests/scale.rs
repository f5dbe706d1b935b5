//! What the registry promises at its stated size: 2 000 instances, 200 who wait. Bounds are five times the stated figures.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use pinnace_registry::{Caller, Consul, Registry, RegistryConfig, Store, StoreConfig};
use tokio::task::JoinSet;
use tokio::time::Instant;

const INSTANCES: usize = 2_000;
const SERVICES: usize = 20;
const WATCHERS: usize = 200;

async fn ask(consul: &Consul, method: &str, path: &str, body: String) -> Response<Bytes> {
    let (head, ()) = Request::builder().method(method).uri(path).body(()).unwrap().into_parts();
    consul.answer(&Caller::Operator, &head, Bytes::from(body)).await
}

async fn register(consul: &Consul, number: usize, port: u16) {
    let body = format!(
        r#"{{"Name":"service-{}","ID":"instance-{number}","Address":"127.0.0.1","Port":{port},"Tags":["a","b"],
            "Check":{{"TTL":"60s","Status":"passing"}}}}"#,
        number % SERVICES
    );
    let answer = ask(consul, "PUT", "/v1/agent/service/register", body).await;
    assert!(answer.status().is_success(), "{answer:?}");
}

fn index(answer: &Response<Bytes>) -> u64 {
    answer.headers()["x-consul-index"].to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_among_2000_instances_reaches_200_who_wait_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreConfig::default(), Timestamp::now).unwrap().store;
    let registry = Registry::new(store, RegistryConfig::default());
    let watch = tokio::spawn({
        let registry = registry.clone();
        async move { registry.run().await }
    });
    let consul = Arc::new(registry.consul());

    let begun = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..32 {
        let consul = Arc::clone(&consul);
        writers.spawn(async move {
            for number in (writer..INSTANCES).step_by(32) {
                register(&consul, number, 1_000).await;
            }
        });
    }
    writers.join_all().await;
    let took = begun.elapsed();
    println!("{INSTANCES} registrations, each on the disk before it is acknowledged, took {took:?}");
    assert!(took < Duration::from_secs(10), "{INSTANCES} registrations took {took:?}");

    let path = "/v1/health/service/service-7?passing=1";
    let first = ask(&consul, "GET", path, String::new()).await;
    let mut watchers = JoinSet::new();
    for _ in 0..WATCHERS {
        let (consul, path) = (Arc::clone(&consul), format!("{path}&index={}&wait=60s", index(&first)));
        watchers.spawn(async move {
            let answer = ask(&consul, "GET", &path, String::new()).await;
            (Instant::now(), index(&answer))
        });
    }
    // Something else changes: nobody is woken by it.
    register(&consul, 1, 1_001).await;
    tokio::task::yield_now().await;
    let changed = Instant::now();
    register(&consul, 7, 1_007).await;
    let mut last = Duration::ZERO;
    while let Some(woken) = watchers.join_next().await {
        let (at, index_after) = woken.unwrap();
        assert!(index_after > index(&first));
        last = last.max(at.saturating_duration_since(changed));
    }
    println!("the last of {WATCHERS} was told after {last:?}");
    assert!(last < Duration::from_secs(1), "the last was told after {last:?}");

    let begun = Instant::now();
    for number in 0..INSTANCES {
        let beat = ask(&consul, "PUT", &format!("/v1/agent/check/pass/service:instance-{number}"), String::new()).await;
        assert!(beat.status().is_success());
    }
    println!("{INSTANCES} heartbeats that change nothing took {:?}", begun.elapsed());
    watch.abort();
}
