//! What one table says of another: names that have to exist, places that may be taken once.

use std::collections::BTreeMap;

use pinnace_types::ServiceName;

use super::reader::{nearest, one_of};
use crate::diagnostic::Diagnostic;
use crate::model::{Caller, Manifest};

impl Manifest {
    /// Notes what is wrong between tables, and puts each service into its context.
    pub(super) fn cross_check(&mut self) -> Vec<Diagnostic> {
        let mut found = self.unknown_names();
        found.extend(self.reserved_names());
        found.extend(self.taken_routes());
        found.extend(self.doubled_variables());
        found.extend(self.assign_contexts());
        found
    }

    pub(crate) fn at(&self, place: &str, message: impl AsRef<str>) -> Diagnostic {
        Diagnostic::at(&self.source, &self.places.find(place), message)
    }

    fn unknown_names(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for context in &self.contexts {
            for (index, service) in context.services.iter().enumerate() {
                found.extend(self.unknown(service, &format!("context.{}.services.{index}", context.name), &[]));
            }
        }
        for service in &self.services {
            for (index, called) in service.calls.iter().enumerate() {
                let place = format!("service.{}.calls.{index}", service.name);
                if *called == service.name {
                    found.push(self.at(&place, "a service does not call itself").with_hint("take it out"));
                }
                found.extend(self.unknown(called, &place, &[]));
            }
            for (index, caller) in service.callers.iter().flatten().enumerate() {
                if let Caller::Service(caller) = caller {
                    let place = format!("service.{}.callers.{index}", service.name);
                    found.extend(self.unknown(caller, &place, &["gateway"]));
                }
            }
        }
        found
    }

    /// A service that is not there, where these names may stand besides.
    fn unknown(&self, service: &ServiceName, place: &str, besides: &[&str]) -> Option<Diagnostic> {
        if self.service(service.as_str()).is_some() {
            return None;
        }
        // Of a service it is told what else there is.
        let around = place.split('.').nth(1).filter(|_| place.starts_with("service."));
        let others = self.services.iter().map(|service| service.name.as_str()).filter(|name| Some(*name) != around);
        let known: Vec<&str> = besides.iter().copied().chain(others).collect();
        let outside = format!("`[service.{service}]` with `external = true` marks one outside");
        let hint = match nearest(service.as_str(), known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => outside,
            None => format!("{}; {outside}", one_of(&known)),
        };
        Some(self.at(place, format!("there is no service `{service}`")).with_hint(hint))
    }

    /// The platform's own processes have these names in `ps`, in logs and in the registry.
    fn reserved_names(&self) -> Vec<Diagnostic> {
        let reserved = |service: &&crate::model::Service| matches!(service.name.as_str(), "gateway" | "hub");
        let services = self.services.iter().filter(reserved);
        let note = |service: &crate::model::Service| {
            self.at(
                &format!("service.{}", service.name),
                format!("`{}` is one of Pinnace's own processes", service.name),
            )
            .with_hint("give the service another name")
        };
        services.map(note).collect()
    }

    fn taken_routes(&self) -> Vec<Diagnostic> {
        let mut taken = BTreeMap::new();
        let mut found = Vec::new();
        for service in &self.services {
            for (index, route) in service.routes.iter().enumerate() {
                if let Some(first) = taken.insert(route, &service.name) {
                    let place = format!("service.{}.route.{index}", service.name);
                    let message = format!("`{route}` is the route of `{first}` already");
                    found.push(self.at(&place, message).with_hint("give each service a prefix or a host of its own"));
                }
            }
        }
        found
    }

    fn doubled_variables(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for service in &self.services {
            for (index, secret) in service.secrets.iter().enumerate() {
                if service.env.iter().any(|(name, _)| name == secret) {
                    let place = format!("service.{}.secrets.{index}", service.name);
                    let message = format!("`{}` is in `env` and in `secrets`", secret.as_str());
                    found.push(
                        self.at(&place, message)
                            .with_hint("take it out of `env`: a secret comes from the environment or from `.env`"),
                    );
                }
            }
        }
        found
    }

    fn assign_contexts(&mut self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for context in self.contexts.clone() {
            for (index, name) in context.services.iter().enumerate() {
                let Some(service) = self.services.iter_mut().find(|service| service.name == *name) else { continue };
                match service.context.replace(context.name.clone()) {
                    None => {}
                    Some(first) => {
                        let message = format!("`{name}` is in the context `{first}` already");
                        let place = format!("context.{}.services.{index}", context.name);
                        found.push(self.at(&place, message).with_hint("a service belongs to one bounded context"));
                    }
                }
            }
        }
        found
    }
}
