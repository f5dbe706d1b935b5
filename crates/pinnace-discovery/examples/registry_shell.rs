//! A registry, told what to do line by line. One suite over all backends is run with it: `tests/interop/test_discovery.py`.
//!
//! `registry_shell memory` or `registry_shell ADDRESS` with an address as `pinnace serve --registry` takes it. A line on
//! standard input is an object with one member: `follow` (a service), `register` (an instance), `end` or `drop` (an id).
//! What happens is told on standard output, an object a line.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use pinnace_discovery::{
    EurekaConfig, EurekaRegistry, Instance, Lease, LeaseState, MemoryRegistry, Registration, Registry, RegistryAddress,
    connect,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Tests do not wait for 5 s.
const PERIOD: Duration = Duration::from_millis(200);

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let registry = registry(&std::env::args().nth(1).ok_or("which registry?")?)?;
    let mut leases = HashMap::new();
    let (lines_tx, mut lines) = mpsc::channel(16);
    // A thread, since standard input cannot be waited for otherwise; it ends with its input.
    std::thread::spawn(move || {
        io::stdin().lines().map_while(Result::ok).try_for_each(|line| lines_tx.blocking_send(line))
    });
    while let Some(line) = lines.recv().await {
        obey(&*registry, &mut leases, &serde_json::from_str(&line)?).await?;
    }
    // As if it had been killed: no lease says goodbye.
    Ok(())
}

fn registry(text: &str) -> Result<Arc<dyn Registry>, Failure> {
    if text == "memory" {
        return Ok(Arc::new(MemoryRegistry::new()));
    }
    let address: RegistryAddress = text.parse()?;
    if let RegistryAddress::Eureka(Some(location)) = &address {
        return Ok(Arc::new(EurekaRegistry::new(location, EurekaConfig { period: PERIOD })));
    }
    Ok(connect(&address, |name| std::env::var(name).ok())?)
}

async fn obey(registry: &dyn Registry, leases: &mut HashMap<String, Lease>, order: &Value) -> Result<(), Failure> {
    if let Some(service) = order["follow"].as_str() {
        let mut instances = registry.resolve(&service.parse()?);
        let service = service.to_owned();
        tell(&view(&service, instances.is_known(), &instances.current()));
        tokio::spawn(async move {
            while let Some(now) = instances.changed().await {
                tell(&view(&service, instances.is_known(), &now));
            }
        });
    } else if let Some(id) = order["end"].as_str() {
        if let Some(lease) = leases.remove(id) {
            lease.end().await;
            tell(&json!({ "lease": id, "state": "ended" }));
        }
    } else if let Some(id) = order["drop"].as_str() {
        leases.remove(id);
    } else {
        let registration = registration(&order["register"])?;
        let id = registration.id.clone();
        let lease = registry.register(registration);
        let mut state = lease.state();
        leases.insert(id.clone(), lease);
        tokio::spawn(async move {
            while state.changed().await.is_ok() {
                let (word, reason) = match state.borrow_and_update().clone() {
                    LeaseState::Registered => ("registered", String::new()),
                    LeaseState::NotYet { reason } => ("not yet", reason),
                };
                tell(&json!({ "lease": id, "state": word, "reason": reason }));
            }
        });
    }
    Ok(())
}

fn registration(value: &Value) -> Result<Registration, Failure> {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    Ok(Registration {
        id: text("id").to_owned(),
        weight: u32::try_from(value["weight"].as_u64().unwrap_or(1))?,
        tags: serde_json::from_value(value["tags"].clone()).unwrap_or_default(),
        meta: serde_json::from_value(value["meta"].clone()).unwrap_or_default(),
        ttl: Duration::from_millis(value["ttl_ms"].as_u64().unwrap_or(10_000)),
        ..Registration::new(text("service").parse()?, text("endpoint").parse()?)
    })
}

fn view(service: &str, known: bool, instances: &[Instance]) -> Value {
    let instances: Vec<_> = instances
        .iter()
        .map(|Instance { id, endpoint, weight, tags, meta }| {
            json!({ "id": id, "endpoint": endpoint, "weight": weight, "tags": tags, "meta": meta })
        })
        .collect();
    json!({ "service": service, "known": known, "instances": instances })
}

fn tell(value: &Value) {
    let mut output = io::stdout().lock();
    // Who no longer reads has ended the test.
    let _ = writeln!(output, "{value}").and_then(|()| output.flush());
}
