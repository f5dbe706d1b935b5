//! A made-up system for the tests of what commands show.

use jiff::Timestamp;
use pinnace_types::ServiceName;
use pinnace_types::control::{InstanceView, LogLine, LogStream, ServiceKind, ServiceState, ServiceView, SystemView};

/// Noon of the day on which the system was started, one hour before.
pub(crate) fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

pub(crate) fn name(name: &str) -> ServiceName {
    ServiceName::try_new(name).unwrap()
}

pub(crate) fn line(service: &str, instance: &str, stream: LogStream, text: &str) -> LogLine {
    let (service, instance, text) = (name(service), instance.to_owned(), text.to_owned());
    LogLine { time: noon(), service, instance, stream, text }
}

/// Hub, gateway, `catalog`, `orders` with two instances, `mailer` that listens to nothing, and `storefront`.
pub(crate) fn system() -> SystemView {
    let mut services = vec![
        service("hub", ServiceKind::Platform, None, Some(7070), 1),
        service("gateway", ServiceKind::Platform, None, Some(8080), 1),
        service("catalog", ServiceKind::Hosted, Some("FastAPI 0.163.0"), Some(41_231), 1),
        service("orders", ServiceKind::Hosted, Some("Django REST framework 3.16.1"), Some(41_232), 2),
        service("mailer", ServiceKind::Command, None, None, 1),
        service("storefront", ServiceKind::Hosted, Some("Flask 3.1.2"), Some(41_233), 1),
    ];
    services[3].routes = vec!["/orders".to_owned(), "shop.example/orders".to_owned()];
    services[5].routes = vec!["/".to_owned()];
    SystemView {
        name: "shop".to_owned(),
        version: "0.1.0".to_owned(),
        root: "/srv/shop".to_owned(),
        pid: 4000,
        started_at: "2026-11-24T11:00:00Z".parse().unwrap(),
        gateway_url: "http://127.0.0.1:8080".to_owned(),
        hub_url: "http://127.0.0.1:7070".to_owned(),
        services,
    }
}

/// The same, with one service in another state.
pub(crate) fn system_with(changed: &str, state: ServiceState, reason: Option<&str>) -> SystemView {
    let mut system = system();
    let service = system.services.iter_mut().find(|service| service.name.as_str() == changed).unwrap();
    service.state = state;
    service.reason = reason.map(str::to_owned);
    if !state.answers() {
        service.ready_ms = None;
        service.instances.clear();
    }
    system
}

fn service(name: &str, kind: ServiceKind, framework: Option<&str>, port: Option<u16>, instances: u32) -> ServiceView {
    let instance = |number: u32| InstanceView {
        id: format!("{name}-{number}"),
        pid: 4000 + 10 * u32::from(port.unwrap_or_default() % 100) + number,
        port: (instances > 1).then(|| 42_000 + u16::try_from(number).unwrap()),
        state: ServiceState::Ready,
        started_at: "2026-11-24T11:56:48Z".parse().unwrap(),
    };
    ServiceView {
        name: self::name(name),
        kind,
        framework: framework.map(str::to_owned),
        url: port.map(|port| format!("http://127.0.0.1:{port}")),
        routes: Vec::new(),
        state: ServiceState::Ready,
        reason: None,
        ready_ms: Some(1240),
        workers: 2,
        restarts: 0,
        instances: (1..=instances).map(instance).collect(),
    }
}
