//! The rules of the design that a manifest shows: errors for `pinnace check`, warnings for a start.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Diagnostic;
use crate::model::{DatabaseEngine, Manifest, Service};

impl Manifest {
    /// The services in the order of their start: who is called comes before who calls. Where a cycle leaves no such
    /// order, the order of the file decides.
    pub fn start_order(&self) -> Vec<&Service> {
        let mut started = BTreeSet::new();
        let mut order = Vec::with_capacity(self.services.len());
        while order.len() < self.services.len() {
            let waiting = |service: &&Service| !started.contains(&service.name);
            let free = |service: &&Service| service.calls.iter().all(|called| started.contains(called));
            let next = self.services.iter().filter(waiting).find(free).or_else(|| self.services.iter().find(waiting));
            let Some(next) = next else { break };
            started.insert(next.name.clone());
            order.push(next);
        }
        order
    }

    /// What is well-formed and a bad design: one database for two services, a synchronous cycle, a topic that nobody
    /// publishes.
    pub fn design_findings(&self) -> Vec<Diagnostic> {
        let mut found = self.shared_databases();
        found.extend(self.cycle());
        found.extend(self.unpublished_topics());
        found
    }

    fn shared_databases(&self) -> Vec<Diagnostic> {
        let mut owners = BTreeMap::new();
        let mut found = Vec::new();
        for service in &self.services {
            let Some(database) = &service.database else { continue };
            let Some(url) = &database.url else { continue };
            if let Some(owner) = owners.insert(url.expose(), &service.name) {
                let message = format!("`{}` and `{owner}` have one database", service.name);
                let hint = match database.engine {
                    DatabaseEngine::Redis => "give each a database number of its own, such as `/1`",
                    DatabaseEngine::Sqlite | DatabaseEngine::Postgres | DatabaseEngine::Mongodb => {
                        "each service owns its data; the other asks it over HTTP or listens to its events"
                    }
                };
                found.push(self.at(&format!("service.{}.database.url", service.name), message).with_hint(hint));
            }
        }
        found
    }

    fn cycle(&self) -> Option<Diagnostic> {
        self.services.iter().find_map(|service| {
            let mut path = vec![service];
            self.way_back(service, &mut path).then(|| {
                let names: Vec<&str> = path.iter().map(|service| service.name.as_str()).collect();
                let message = format!("services wait for each other: {} → {}", names.join(" → "), service.name);
                self.at(&format!("service.{}.calls", service.name), message)
                    .with_hint("let one of them learn by an event what it now asks for")
            })
        })
    }

    /// Extends a path of calls until it is back at its start.
    fn way_back<'manifest>(&'manifest self, start: &Service, path: &mut Vec<&'manifest Service>) -> bool {
        let Some(last) = path.last().copied() else { return false };
        for called in &last.calls {
            if *called == start.name {
                return true;
            }
            let Some(next) = self.service(called.as_str()) else { continue };
            if path.iter().any(|seen| seen.name == next.name) {
                continue;
            }
            path.push(next);
            if self.way_back(start, path) {
                return true;
            }
            path.pop();
        }
        false
    }

    fn unpublished_topics(&self) -> Vec<Diagnostic> {
        let published: BTreeSet<_> = self.services.iter().flat_map(|service| &service.publishes).collect();
        let mut found = Vec::new();
        for service in &self.services {
            for (index, topic) in service.subscribes.iter().enumerate() {
                if !published.contains(topic) {
                    let place = format!("service.{}.subscribes.{index}", service.name);
                    found.push(self.at(&place, format!("nobody publishes `{topic}`")).with_hint(
                        "add it to `publishes` of the service that does; one outside is a service with `external = true`",
                    ));
                }
            }
        }
        found
    }
}
