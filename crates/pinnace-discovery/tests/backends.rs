//! One suite over every backend, and what each can do alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to say where")]

use std::time::Duration;

use pinnace_discovery::{Instance, LeaseState, MemoryRegistry, Registration, Registry, StaticRegistry};
use pinnace_types::ServiceName;

fn name(text: &str) -> ServiceName {
    ServiceName::try_new(text).unwrap()
}

fn instances(urls: &[&str]) -> Vec<Instance> {
    urls.iter().map(|url| Instance::new(*url, url.parse().unwrap())).collect()
}

/// Every backend, knowing that `catalog` is at two places.
fn backends() -> Vec<Box<dyn Registry>> {
    let known = instances(&["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    let memory = MemoryRegistry::new();
    memory.set(&name("catalog"), known.clone());
    vec![Box::new(memory), Box::new(StaticRegistry::new([(name("catalog"), known)]))]
}

#[test]
fn every_backend_resolves_what_it_knows_in_order() {
    for backend in backends() {
        let view = backend.resolve(&name("catalog"));
        assert_eq!(*view.current(), instances(&["http://127.0.0.1:1", "http://127.0.0.1:2"]), "{backend:?}");
        assert!(view.is_known());
    }
}

#[test]
fn every_backend_has_no_instance_of_a_service_it_does_not_know() {
    for backend in backends() {
        assert_eq!(*backend.resolve(&name("orders")).current(), [], "{backend:?}");
    }
}

#[tokio::test]
async fn every_backend_that_is_gone_leaves_its_last_instances() {
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
    let task = tokio::spawn(async move { writer.set(&name("orders"), instances(&["http://127.0.0.1:3"])) });
    assert_eq!(*view.changed().await.unwrap(), instances(&["http://127.0.0.1:3"]));
    task.await.unwrap();
}

#[tokio::test]
async fn setting_the_same_instances_again_wakes_nobody() {
    let memory = MemoryRegistry::new();
    memory.set(&name("orders"), instances(&["http://127.0.0.1:3"]));
    let mut view = memory.resolve(&name("orders"));
    memory.set(&name("orders"), instances(&["http://127.0.0.1:3"]));
    memory.set(&name("orders"), instances(&["http://127.0.0.1:4"]));
    assert_eq!(*view.changed().await.unwrap(), instances(&["http://127.0.0.1:4"]));
}

#[tokio::test]
async fn a_lease_that_is_dropped_lets_its_instance_expire_and_one_that_ends_takes_it_out() {
    let memory = MemoryRegistry::new();
    let mut view = memory.resolve(&name("orders"));
    let registration = Registration {
        weight: 3,
        tags: vec!["canary".to_owned()],
        ttl: Duration::from_millis(200),
        ..Registration::new(name("orders"), "http://127.0.0.1:3".parse().unwrap())
    };
    let lease = memory.register(registration.clone());
    assert_eq!(*view.changed().await.unwrap(), [registration.instance()]);
    assert_eq!(view.current()[0].id, "orders-127.0.0.1-3");
    let before = tokio::time::Instant::now();
    drop(lease);
    assert_eq!(view.changed().await.unwrap().len(), 0);
    assert!(before.elapsed() >= Duration::from_millis(190), "{:?}", before.elapsed());

    let lease = memory.register(Registration { ttl: Duration::from_hours(1), ..registration });
    assert_eq!(view.changed().await.unwrap().len(), 1);
    lease.end().await;
    assert_eq!(view.current().len(), 0);
}

#[tokio::test]
async fn a_fixed_table_says_that_it_takes_no_registration() {
    let table = StaticRegistry::new([]);
    let lease = table.register(Registration::new(name("orders"), "http://127.0.0.1:3".parse().unwrap()));
    let LeaseState::NotYet { reason } = lease.state().borrow().clone() else { panic!("it was registered") };
    assert!(reason.contains("takes no registrations"), "{reason}");
    lease.end().await;
}

#[test]
fn variables_name_the_address_of_a_service() {
    let services = [name("price-list"), name("orders")];
    let lookup = |variable: &str| (variable == "PRICE_LIST_URL").then(|| "http://127.0.0.1:5".to_owned());
    let registry = StaticRegistry::from_variables(&services, lookup).unwrap();
    assert_eq!(registry.resolve(&services[0]).current()[0].endpoint.to_string(), "http://127.0.0.1:5");
    assert_eq!(*registry.resolve(&services[1]).current(), []);
    assert!(StaticRegistry::from_variables(&services, |_| Some("ftp://x".to_owned())).is_err());
}
