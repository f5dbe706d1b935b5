//! The owner of a running system: a single task that hears what happens and decides what follows.
//!
//! Where to read next: `life` for how a member is prepared, started and found ready; `crash` for what follows when it ends
//! by itself; `replace` for restarts, scaling and changes of files; `stop` for the end; `member` for what is known of each.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use pinnace_os::{Lifetime, family};
use pinnace_types::control::SystemView;
use pinnace_types::{ServiceName, VERSION};
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant};

use super::UpConfig;
use super::error::UpError;
use super::gateway_table::GatewayTable;
use super::handle::{Command, Handle, Refusal, What as Asks};
use super::instance::{Heard, InstanceEvent};
use super::launch::{HubMeans, Launch, PlatformFiles};
use super::logs::Logs;
use super::member::{Member, Phase};
use super::ports::Ports;
use super::prepare::{Preparation, Unprepared};
use super::stop::Stop;
use crate::signals::{Asked, Signals};
use crate::watch::Change;

/// Events of instances and preparations that may wait; whoever sends more waits itself.
const EVENTS: usize = 1024;
/// Commands and changes likewise.
const COMMANDS: usize = 64;
/// The last lines of a service for which a strict system ends.
const LAST_LINES: usize = 20;

/// All members and what is known of them.
#[derive(Debug)]
pub(super) struct System {
    pub(super) config: UpConfig,
    pub(super) logs: Logs,
    pub(super) members: Vec<Member>,
    pub(super) ports: Ports,
    pub(super) preparation: Arc<Preparation>,
    pub(super) files: PlatformFiles,
    pub(super) hub_means: HubMeans,
    pub(super) lifetime: Lifetime,
    pub(super) events: (mpsc::Sender<Heard>, mpsc::Receiver<Heard>),
    pub(super) prepared: (mpsc::Sender<PreparedEvent>, mpsc::Receiver<PreparedEvent>),
    pub(super) stop: Stop,
    pub(super) next_key: u64,
    changes: mpsc::Receiver<Change>,
    commands: mpsc::Receiver<Command>,
    table: GatewayTable,
    view: watch::Sender<SystemView>,
    /// The sender's other half, so that nothing is closed while nobody looks.
    handle: Handle,
}

/// The end of a task that belongs to a member.
#[derive(Debug)]
pub(super) enum PreparedEvent {
    /// Its environment and its database are ready, or are not.
    Done(usize, Box<Result<Launch, Unprepared>>),
    /// The pause after a crash is over.
    Due(usize),
}

/// What a system is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) config: UpConfig,
    pub(super) logs: Logs,
    pub(super) members: Vec<Member>,
    pub(super) ports: Ports,
    pub(super) preparation: Preparation,
    pub(super) files: PlatformFiles,
    pub(super) hub_means: HubMeans,
    pub(super) lifetime: Lifetime,
    pub(super) changes: mpsc::Receiver<Change>,
    pub(super) started_at: Timestamp,
}

impl System {
    pub(super) fn new(parts: Parts) -> Self {
        let (commands_tx, commands) = mpsc::channel(COMMANDS);
        let (view, view_rx) = watch::channel(first_view(&parts));
        let table = GatewayTable::new(&parts.files.gateway_table, &parts.config);
        Self {
            config: parts.config,
            logs: parts.logs,
            members: parts.members,
            ports: parts.ports,
            preparation: Arc::new(parts.preparation),
            files: parts.files,
            hub_means: parts.hub_means,
            lifetime: parts.lifetime,
            events: mpsc::channel(EVENTS),
            prepared: mpsc::channel(COMMANDS),
            stop: Stop::default(),
            next_key: 0,
            changes: parts.changes,
            commands,
            table,
            view,
            handle: Handle::new(commands_tx, view_rx),
        }
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until all has ended as it was told, or at once where it is told twice.
    pub(super) async fn run(mut self, mut signals: Signals) -> Result<(), UpError> {
        self.write_table()?;
        self.begin();
        loop {
            self.publish();
            if self.is_over() {
                break;
            }
            let overdue = self.overdue();
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop if self.stop.has_begun() => break,
                    Asked::Stop => self.begin_stop(),
                    Asked::Reap => family::reap_orphans(),
                    Asked::Reload | Asked::Retire => tracing::info!("`pinnace restart` restarts a service"),
                },
                Some(event) = self.events.1.recv() => self.hear(event),
                Some(event) = self.prepared.1.recv() => self.hear_prepared(event),
                Some(command) = self.commands.recv() => self.obey(command),
                Some(change) = self.changes.recv() => self.changed(&change),
                () = tokio::time::sleep_until(overdue) => self.kill_overdue(),
            }
        }
        self.end()
    }

    fn hear(&mut self, (key, event): Heard) {
        let owns = |member: &Member| member.instances.iter().any(|instance| instance.identity.key == key);
        let Some(index) = self.members.iter().position(owns) else { return };
        match event {
            InstanceEvent::Said(status) => self.said(index, key, status),
            InstanceEvent::Healthy => self.is_ready(index, key),
            InstanceEvent::Ended(exit) => self.ended(index, key, exit),
        }
    }

    fn hear_prepared(&mut self, event: PreparedEvent) {
        match event {
            PreparedEvent::Done(index, result) => self.is_prepared(index, *result),
            PreparedEvent::Due(index) => self.is_due(index),
        }
    }

    fn obey(&mut self, command: Command) {
        let Command { service, what, reply } = command;
        let Some(index) = self.members.iter().position(|member| member.name == service) else {
            let nearest = self.nearest(&service);
            let _ = reply.send(Err(Refusal::Unknown { name: service, nearest }));
            return;
        };
        if self.stop.has_begun() {
            let _ = reply.send(Err(Refusal::Stopping));
            return;
        }
        if let Asks::Scale(_) = what
            && let Some(refusal) = self.members[index].not_scalable()
        {
            let _ = reply.send(Err(refusal));
            return;
        }
        self.members[index].waiters.push(reply);
        match what {
            Asks::Restart => self.restart(index),
            Asks::Scale(instances) => self.scale(index, instances),
        }
    }

    /// Shows what has changed: to readers of the view, and to the gateway.
    fn publish(&mut self) {
        let services: Vec<_> = self.members.iter().map(Member::view).collect();
        let changed = self.view.send_if_modified(|view| {
            let differs = view.services != services;
            if differs {
                view.services = services;
            }
            differs
        });
        if changed && let Err(error) = self.write_table() {
            tracing::error!(%error, "the gateway's table cannot be written; it goes on with the one that it has");
        }
        // Whoever has waited for new code sees it, also through the gateway.
        for member in &mut self.members {
            member.answer_waiters();
        }
    }

    fn write_table(&mut self) -> Result<(), UpError> {
        if self.table.write(&self.members)? {
            self.reload_gateway();
        }
        Ok(())
    }

    /// The next moment at which an instance may not take longer.
    fn overdue(&self) -> Instant {
        let instances = self.members.iter().flat_map(|member| &member.instances);
        let first = instances.filter_map(|instance| instance.deadline).min();
        first.unwrap_or_else(|| Instant::now() + Duration::from_hours(1))
    }

    fn kill_overdue(&mut self) {
        let now = Instant::now();
        let instances = self.members.iter_mut().flat_map(|member| &mut member.instances);
        for instance in instances.filter(|instance| instance.deadline.is_some_and(|deadline| deadline <= now)) {
            instance.deadline = None;
            instance.overdue = true;
            instance.kill();
        }
    }

    fn nearest(&self, asked: &ServiceName) -> Option<String> {
        let names = self.members.iter().map(|member| member.name.as_str());
        let close = names.map(|name| (strsim::damerau_levenshtein(asked.as_str(), name), name));
        close.filter(|(distance, _)| *distance <= 3).min().map(|(_, name)| name.to_owned())
    }

    /// Whether nothing is left to wait for.
    fn is_over(&self) -> bool {
        self.stop.has_begun() && self.members.iter().all(|member| member.instances.is_empty())
    }

    /// The last act: what was asked for and could not be done decides how it ends.
    fn end(mut self) -> Result<(), UpError> {
        for member in &mut self.members {
            member.phase = Phase::Stopped;
            member.refuse_waiters(&Refusal::Stopping);
        }
        self.publish();
        let failed = self.members.iter().find_map(|member| Some((member, member.failure?)));
        match failed {
            None => Ok(()),
            Some((member, code)) => {
                let reason = member.reason.clone().unwrap_or_else(|| "its log says why".to_owned());
                // A strict system ends before its services' lines are shown.
                let last_lines = if self.config.strict { self.last_lines(member, &reason) } else { Vec::new() };
                Err(UpError::NeverReady { service: member.name.clone(), reason, last_lines, code })
            }
        }
    }

    /// What a service wrote last, and what was said about it, but for what is said anyway.
    fn last_lines(&self, member: &Member, reason: &str) -> Vec<String> {
        let last = self.logs.tail(Some(&member.name), LAST_LINES);
        last.iter().map(|line| line.text.clone()).filter(|text| text != reason).collect()
    }
}

fn first_view(parts: &Parts) -> SystemView {
    let url = |name: &str| {
        let member = parts.members.iter().find(|member| member.name.as_str() == name);
        member.and_then(|member| member.address).map(|address| format!("http://{address}")).unwrap_or_default()
    };
    let root: &PathBuf = &parts.config.manifest.root;
    SystemView {
        name: parts.config.manifest.system.name.as_str().to_owned(),
        version: VERSION.to_owned(),
        root: root.display().to_string(),
        pid: std::process::id(),
        started_at: parts.started_at,
        gateway_url: url("gateway"),
        hub_url: url("hub"),
        services: parts.members.iter().map(Member::view).collect(),
    }
}
