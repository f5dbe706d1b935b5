//! One suite over every backend, and what each can do alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to say where")]

use pinnace_discovery::{Endpoint, MemoryRegistry, Registry, StaticRegistry};
use pinnace_types::ServiceName;

fn name(text: &str) -> ServiceName {
    ServiceName::try_new(text).unwrap()
}

fn endpoints(texts: &[&str]) -> Vec<Endpoint> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Every backend, knowing that `catalog` is at two places.
fn backends() -> Vec<Box<dyn Registry>> {
    let known = endpoints(&["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    let memory = MemoryRegistry::new();
    memory.set(&name("catalog"), known.clone());
    vec![Box::new(memory), Box::new(StaticRegistry::new([(name("catalog"), known)]))]
}

#[test]
fn every_backend_resolves_what_it_knows_in_order() {
    for backend in backends() {
        let found = backend.resolve(&name("catalog")).current();
        assert_eq!(found, endpoints(&["http://127.0.0.1:1", "http://127.0.0.1:2"]), "{backend:?}");
    }
}

#[test]
fn every_backend_has_no_endpoint_for_a_service_it_does_not_know() {
    for backend in backends() {
        assert_eq!(backend.resolve(&name("orders")).current(), [], "{backend:?}");
    }
}

#[tokio::test]
async fn every_backend_that_is_gone_leaves_its_last_endpoints() {
    for backend in backends() {
        let mut view = backend.resolve(&name("catalog"));
        drop(backend);
        assert_eq!(view.changed().await, None);
        assert_eq!(view.current().len(), 2);
    }
}

#[tokio::test]
async fn a_change_wakes_those_who_watch_even_before_the_service_is_known() {
    let memory = MemoryRegistry::new();
    let mut view = memory.resolve(&name("orders"));
    let writer = memory.clone();
    let task = tokio::spawn(async move { writer.set(&name("orders"), endpoints(&["http://127.0.0.1:3"])) });
    assert_eq!(view.changed().await, Some(endpoints(&["http://127.0.0.1:3"])));
    task.await.unwrap();
}

#[tokio::test]
async fn setting_the_same_endpoints_again_wakes_nobody() {
    let memory = MemoryRegistry::new();
    memory.set(&name("orders"), endpoints(&["http://127.0.0.1:3"]));
    let mut view = memory.resolve(&name("orders"));
    memory.set(&name("orders"), endpoints(&["http://127.0.0.1:3"]));
    memory.set(&name("orders"), endpoints(&["http://127.0.0.1:4"]));
    assert_eq!(view.changed().await, Some(endpoints(&["http://127.0.0.1:4"])));
}

#[test]
fn variables_name_the_address_of_a_service() {
    let services = [name("price-list"), name("orders")];
    let lookup = |variable: &str| (variable == "PRICE_LIST_URL").then(|| "http://127.0.0.1:5".to_owned());
    let registry = StaticRegistry::from_variables(&services, lookup).unwrap();
    assert_eq!(registry.resolve(&services[0]).current(), endpoints(&["http://127.0.0.1:5"]));
    assert_eq!(registry.resolve(&services[1]).current(), []);
    assert!(StaticRegistry::from_variables(&services, |_| Some("ftp://x".to_owned())).is_err());
}
