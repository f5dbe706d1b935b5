//! What is said while things take time: an environment that is being made, a service that is waited for, the end.

use std::collections::BTreeSet;

use pinnace_types::control::{LogLine, ServiceKind, ServiceState, SystemView};

/// What has been said already.
#[derive(Debug, Default)]
pub(super) struct Progress {
    steps: BTreeSet<String>,
    stopping: bool,
}

/// Whether every service has been started or given up.
pub(super) fn is_settled(system: &SystemView) -> bool {
    system.services.iter().all(|service| is_settled_state(service.state))
}

/// The first line.
pub(super) fn beginning(system: &SystemView) -> String {
    let number = system.services.iter().filter(|service| service.kind != ServiceKind::Platform).count();
    let services = if number == 1 { "1 service".to_owned() } else { format!("{number} services") };
    format!("{}: starting {services}", system.name)
}

/// Whom one waits for, where something has been silent for a while.
pub(super) fn waiting(system: &SystemView) -> Option<String> {
    let unsettled = system.services.iter().filter(|service| !is_settled_state(service.state));
    let words = unsettled.map(|service| {
        let reason = service.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{} ({}{reason})", service.name, service.state.word())
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| format!("waiting for {}", words.join(", ")))
}

impl Progress {
    /// Whether the end was told.
    pub(super) const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// A line that a step before a start wrote says that the step has begun; its other lines say nothing new.
    pub(super) fn step(&mut self, line: &LogLine) -> Option<String> {
        let (service, step) = line.instance.split_once('/')?;
        if !self.steps.insert(line.instance.clone()) {
            return None;
        }
        Some(match step {
            "env" => format!("making the environment of {service}…"),
            "migrate" => format!("bringing the database of {service} up to date…"),
            other => format!("{service}: {other}…"),
        })
    }

    /// What is worth a word between two views, beside what the supervisor writes to the logs.
    pub(super) fn changes(&mut self, before: &SystemView, after: &SystemView) -> Vec<String> {
        let mut words = Vec::new();
        if !self.stopping && is_stopping(after) {
            self.stopping = true;
            words.push("stopping; a second Ctrl-C ends it at once".to_owned());
        }
        for service in &after.services {
            let was = before.services.iter().find(|known| known.name == service.name).map(|known| known.state);
            if service.state.answers() && was.is_some_and(|was| !was.answers()) {
                words.push(format!("{} is ready", service.name));
            }
        }
        words
    }
}

/// A service may be stopping to be started again; the system stops with its gateway, which is the first to go.
fn is_stopping(system: &SystemView) -> bool {
    let gateway = system.services.iter().find(|service| service.name.as_str() == "gateway");
    gateway.is_some_and(|gateway| matches!(gateway.state, ServiceState::Stopping | ServiceState::Stopped))
}

const fn is_settled_state(state: ServiceState) -> bool {
    match state {
        ServiceState::Preparing | ServiceState::Waiting | ServiceState::Starting => false,
        ServiceState::Ready
        | ServiceState::Reloading
        | ServiceState::Crashed
        | ServiceState::Failed
        | ServiceState::Stopping
        | ServiceState::Stopped => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, beginning, is_settled, waiting};
    use crate::samples::{self, system, system_with};
    use pinnace_types::control::{LogStream, ServiceState};

    #[test]
    fn a_step_is_told_once() {
        let mut progress = Progress::default();
        let mut step = |instance| progress.step(&samples::line("orders", instance, LogStream::Stdout, "x"));
        assert_eq!(step("orders-1"), None);
        assert_eq!(step("orders/env").as_deref(), Some("making the environment of orders…"));
        assert_eq!(step("orders/env"), None);
        assert_eq!(step("orders/migrate").as_deref(), Some("bringing the database of orders up to date…"));
    }

    #[test]
    fn one_is_told_whom_one_waits_for() {
        assert_eq!(beginning(&system()), "shop: starting 4 services");
        assert!(is_settled(&system()));
        assert_eq!(waiting(&system()), None);
        let mut waits = system_with("storefront", ServiceState::Waiting, Some("orders"));
        waits.services[3].state = ServiceState::Starting;
        assert!(!is_settled(&waits));
        assert_eq!(waiting(&waits).as_deref(), Some("waiting for orders (starting), storefront (waiting: orders)"));
        assert!(is_settled(&system_with("storefront", ServiceState::Failed, None)));
    }

    #[test]
    fn what_comes_back_and_what_ends_is_told() {
        let mut progress = Progress::default();
        let failed = system_with("orders", ServiceState::Failed, None);
        assert_eq!(progress.changes(&failed, &system()), ["orders is ready"]);
        assert_eq!(progress.changes(&system(), &failed), [""; 0]);
        let stopping = system_with("orders", ServiceState::Stopping, None);
        assert_eq!(progress.changes(&system(), &stopping), [""; 0], "it may be restarted");
        let mut all = stopping.clone();
        all.services[1].state = ServiceState::Stopping;
        assert_eq!(progress.changes(&stopping, &all), ["stopping; a second Ctrl-C ends it at once"]);
        all.services[1].state = ServiceState::Stopped;
        assert_eq!(progress.changes(&stopping, &all), [""; 0]);
    }
}
