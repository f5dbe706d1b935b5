//! What the registry holds about the instances that the supervisor shows.

use std::collections::BTreeMap;

use pinnace_registry::Registration;
use pinnace_types::control::{InstanceView, ServiceKind, ServiceView, SystemView};

/// A registration for each instance of each service, ours included.
pub(crate) fn registrations(system: &SystemView) -> Vec<Registration> {
    system
        .services
        .iter()
        .flat_map(|service| service.instances.iter().map(move |instance| registration(service, instance)))
        .collect()
}

fn registration(service: &ServiceView, instance: &InstanceView) -> Registration {
    let shared_port =
        || service.url.as_deref().and_then(|url| url.rsplit(':').next()?.trim_end_matches('/').parse().ok());
    let kind = match service.kind {
        ServiceKind::Hosted => "hosted",
        ServiceKind::Command => "command",
        ServiceKind::Platform => "platform",
    };
    let mut meta = BTreeMap::from([("pid".to_owned(), instance.pid.to_string())]);
    if let Some(framework) = &service.framework {
        meta.insert("framework".to_owned(), framework.chars().take(200).collect());
    }
    if let Some(url) = &service.url {
        meta.insert("url".to_owned(), url.clone());
    }
    Registration {
        service: service.name.clone(),
        id: instance.id.clone(),
        address: "127.0.0.1".to_owned(),
        port: instance.port.or_else(shared_port),
        tags: vec![kind.to_owned()],
        meta,
        state: instance.state,
    }
}
