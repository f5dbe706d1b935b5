//! What this version reads and does not enforce. It is refused where something is started, never ignored.

use crate::diagnostic::Diagnostic;
use crate::model::{Discovery, Engine, Manifest};

impl Manifest {
    /// Every key that asks for something that this version does not do, with its place.
    pub fn not_enforced(&self) -> Vec<Diagnostic> {
        let mut found = self.engines();
        for service in &self.services {
            let asked = [
                ("auth", service.auth.is_some()),
                ("callers", service.callers.is_some()),
                ("limits", service.limits.is_some()),
                ("publishes", !service.publishes.is_empty()),
                ("subscribes", !service.subscribes.is_empty()),
            ];
            for (key, _) in asked.into_iter().filter(|(_, asked)| *asked) {
                found.push(self.unenforced(&format!("service.{}.{key}", service.name), key));
            }
        }
        found
    }

    fn engines(&self) -> Vec<Diagnostic> {
        let engines = &self.engines;
        let discovery = matches!(engines.discovery, Some(Discovery::Kubernetes));
        let asked = [
            ("amqp", matches!(engines.amqp, Some(Engine::Embedded))),
            ("events", engines.events.is_some()),
            ("discovery", discovery),
            ("telemetry", matches!(engines.telemetry, Some(Engine::External(_)))),
            ("export", !engines.export.is_empty()),
            ("identity", engines.identity.is_some()),
        ];
        let asked = asked.into_iter().filter(|(_, asked)| *asked);
        asked.map(|(key, _)| self.unenforced(&format!("engines.{key}"), key)).collect()
    }

    fn unenforced(&self, place: &str, key: &str) -> Diagnostic {
        self.at(place, format!("`{key}` is not enforced by this version"))
            .with_hint("take it out until a version enforces it: what is written down has to hold")
            .into_warning()
    }
}
