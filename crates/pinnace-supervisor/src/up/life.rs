//! How a member is prepared, started in its turn, and found ready.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use pinnace_manifest::Run;
use pinnace_types::ExitCode;
use pinnace_types::status::StatusEvent;
use pinnace_types::worker::Failure;
use tokio::time::{Duration, Instant};

use super::instance::{Identity, Instance, Stage};
use super::launch::{self, Launch};
use super::member::{Phase, Task, What};
use super::prepare::{self, Unprepared};
use super::system::{PreparedEvent, System};

/// A health path may take this long at least, however late its server began to answer.
const LAST_CHANCE: Duration = Duration::from_secs(1);

impl System {
    /// Starts what waits for nothing.
    pub(super) fn begin(&mut self) {
        for index in 0..self.members.len() {
            match self.members[index].what {
                What::Service(_) => self.prepare(index),
                What::Hub | What::Gateway => {
                    self.members[index].phase = Phase::Waiting;
                    self.try_start(index);
                }
            }
        }
    }

    // ---- prepared ----

    /// Makes the environment and the database ready, beside whatever runs already.
    pub(super) fn prepare(&mut self, index: usize) {
        let member = &mut self.members[index];
        let Some(service) = member.service().cloned() else { return };
        member.dirty = false;
        let (preparation, prepared) = (self.preparation.clone(), self.prepared.0.clone());
        member.preparing = Some(Task(tokio::spawn(async move {
            let result = prepare::prepare(&preparation, &service).await;
            let _ = prepared.send(PreparedEvent::Done(index, Box::new(result))).await;
        })));
    }

    pub(super) fn is_prepared(&mut self, index: usize, result: Result<Launch, Unprepared>) {
        let member = &mut self.members[index];
        member.preparing = None;
        if self.stop.has_begun() {
            return;
        }
        let has_instances = member.instances.iter().any(Instance::counts);
        match result {
            Ok(launch) => {
                member.launch = Some(launch);
                if has_instances {
                    self.replace(index);
                } else {
                    member.phase = Phase::Waiting;
                    self.try_start(index);
                }
            }
            Err(unprepared) => {
                self.tell_unprepared(index, &unprepared);
                if has_instances {
                    self.say(index, "what runs goes on as it was");
                    let member = &mut self.members[index];
                    member.reason = Some(unprepared.message);
                    let refusal = member.failed();
                    member.refuse_waiters(&refusal);
                    self.do_again(index);
                } else {
                    self.give_up(index, unprepared.code, unprepared.message);
                }
            }
        }
    }

    fn tell_unprepared(&self, index: usize, unprepared: &Unprepared) {
        self.say(index, &unprepared.message);
        for line in &unprepared.detail {
            self.say(index, &format!("  {line}"));
        }
        if let Some(hint) = &unprepared.hint {
            self.say(index, &format!("hint: {hint}"));
        }
    }

    // ---- started ----

    /// Starts it, if it is prepared and those that it waits for are settled.
    pub(super) fn try_start(&mut self, index: usize) {
        let member = &self.members[index];
        let free = member.waits_for.iter().all(|other| self.members[*other].is_settled());
        if member.phase != Phase::Waiting || !free {
            return;
        }
        self.members[index].phase = Phase::Running;
        self.fill(index);
    }

    /// Starts as many instances as are missing.
    pub(super) fn fill(&mut self, index: usize) {
        while self.members[index].phase == Phase::Running {
            let member = &self.members[index];
            let living = member.instances.iter().filter(|instance| instance.counts()).count();
            if living + member.due as usize >= member.wanted as usize {
                return;
            }
            if self.start_instance(index).is_none() {
                return;
            }
        }
    }

    /// Starts one instance and returns its key; where that is impossible the member is given up.
    pub(super) fn start_instance(&mut self, index: usize) -> Option<u64> {
        match self.try_start_instance(index) {
            Ok(key) => Some(key),
            Err(error) => {
                let message = format!("cannot be started: {error}");
                self.say(index, &message);
                let member = &mut self.members[index];
                if member.answers() {
                    // A successor that cannot even be started must not take the old ones along.
                    member.reason = Some(message);
                    let refusal = member.failed();
                    member.refuse_waiters(&refusal);
                } else {
                    self.give_up(index, ExitCode::NotReady, message);
                }
                None
            }
        }
    }

    fn try_start_instance(&mut self, index: usize) -> std::io::Result<u64> {
        self.take_socket(index)?;
        let number = self.members[index].free_number();
        let name = self.members[index].name.clone();
        let inherits = self.members[index].inherits_sockets();
        let own = inherits.then(|| self.ports.listen(&format!("{name}-{number}"))).transpose()?;
        let port = own.as_ref().map(TcpListener::local_addr).transpose()?.map(|address| address.port());
        let member = &mut self.members[index];
        let missing = || std::io::Error::other("it is not prepared");
        let binary = &self.config.binary;
        let spawn = match &member.what {
            What::Service(service) => {
                let launch = member.launch.as_ref().ok_or_else(missing)?;
                launch::service(binary, service, launch, member.socket.as_ref(), own)?
            }
            What::Hub => {
                launch::hub(binary, &self.files, member.socket.as_ref().ok_or_else(missing)?, &self.hub_means)?
            }
            What::Gateway => launch::gateway(binary, &self.files, member.socket.as_ref().ok_or_else(missing)?)?,
        };
        self.next_key += 1;
        let identity = Identity { key: self.next_key, service: name, number, port: port.or_else(|| member.port()) };
        let within = member.ready_within();
        let instance = Instance::start(spawn, identity, within, &self.lifetime, &self.logs, &self.events.0)?;
        member.instances.push(instance);
        self.probe_program(index, self.next_key);
        Ok(self.next_key)
    }

    /// A service that was given up has given its socket back; it needs the same address again.
    fn take_socket(&mut self, index: usize) -> std::io::Result<()> {
        let member = &mut self.members[index];
        if member.inherits_sockets()
            && member.socket.is_none()
            && let Some(address) = member.address
        {
            member.socket = Some(pinnace_os::listen(address)?);
        }
        Ok(())
    }

    /// A program that is none of ours does not say when it is ready: it is asked, or taken at its word where it listens to nothing.
    fn probe_program(&mut self, index: usize, key: u64) {
        let member = &mut self.members[index];
        let Some(service) = member.service().filter(|service| matches!(service.run, Run::Command(_))) else { return };
        let (health, inherits) = (service.health.clone(), service.inherits_sockets());
        let mut address = member.address;
        if inherits && let Some(instance) = member.instance(key) {
            // On the shared socket another instance might answer.
            address = instance.identity.port.map(|port| (Ipv4Addr::LOCALHOST, port).into());
        }
        match (member.instance(key), address) {
            (Some(instance), Some(address)) => instance.probe(address, health),
            (Some(_), None) => self.is_ready(index, key),
            (None, _) => {}
        }
    }

    // ---- said ----

    pub(super) fn said(&mut self, index: usize, key: u64, status: StatusEvent) {
        let member = &mut self.members[index];
        match status {
            StatusEvent::Loaded { framework, .. } => member.framework = Some(framework),
            StatusEvent::Ready => self.has_started(index, key),
            StatusEvent::Reloaded { millis } => {
                self.has_reloaded(index, key, None);
                self.say(index, &format!("reloaded in {millis} ms"));
            }
            StatusEvent::ReloadFailed(failure) => {
                self.tell_failure(index, &failure);
                self.say(index, "the old workers go on; save a change to try again");
                self.has_reloaded(index, key, Some(failure.message));
            }
            StatusEvent::Failed(failure) => {
                self.tell_failure(index, &failure);
                if let Some(instance) = self.members[index].instance(key) {
                    instance.failure = Some(failure);
                }
            }
            StatusEvent::WorkerDied { pid, how, lost, backoff_ms } => {
                member.restarts += 1;
                let words = match lost.as_slice() {
                    [] => "no request was begun".to_owned(),
                    lost => format!("{} begun and lost: {}", lost.len(), lost.join(" ")),
                };
                self.say(index, &format!("worker {pid} ended ({how}), {words}; started again in {backoff_ms} ms"));
            }
        }
    }

    /// Its server answers; where it has a health path, that has to answer too.
    fn has_started(&mut self, index: usize, key: u64) {
        let member = &mut self.members[index];
        let health = member.service().and_then(|service| service.health.clone());
        let stated = member.stated();
        let Some(instance) = member.instance(key) else { return };
        match (health, instance.identity.port) {
            (Some(path), Some(port)) => {
                instance.deadline = Some((instance.started + stated).max(Instant::now() + LAST_CHANCE));
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                instance.probe(address, Some(path));
            }
            _ => self.is_ready(index, key),
        }
    }

    /// An instance answers.
    pub(super) fn is_ready(&mut self, index: usize, key: u64) {
        let member = &mut self.members[index];
        let Some(instance) = member.instance(key).filter(|instance| instance.stage == Stage::Starting) else { return };
        instance.answered();
        let millis = u64::try_from(instance.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let first = member.ready_ms.is_none();
        member.ready_ms.get_or_insert(millis);
        member.reason = None;
        member.failure = None;
        self.takes_over(index, key);
        if matches!(self.members[index].what, What::Gateway) {
            // The table may have changed since it read it.
            self.reload_gateway();
        }
        if first {
            self.start_waiting();
        }
    }

    /// Starts those that waited for what has just been settled.
    pub(super) fn start_waiting(&mut self) {
        for index in 0..self.members.len() {
            self.try_start(index);
        }
    }

    fn tell_failure(&self, index: usize, failure: &Failure) {
        self.say(index, &failure.message);
        for line in &failure.detail {
            self.say(index, &format!("  {line}"));
        }
        if let Some(hint) = &failure.hint {
            self.say(index, &format!("hint: {hint}"));
        }
    }

    /// A word of the system about a member, among the member's own lines.
    pub(super) fn say(&self, index: usize, text: &str) {
        let name = &self.members[index].name;
        self.logs.say(name, name.as_str(), text);
    }
}
