//! One service of a running system, the hub and the gateway among them, as its owner holds it. Data and what follows
//! from it; what happens is decided in `life`, `replace` and `stop`.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use pinnace_manifest::{Run, Service};
use pinnace_types::control::{ServiceKind, ServiceState, ServiceView};
use pinnace_types::{ExitCode, ServiceName};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::handle::Refusal;
use super::instance::Instance;
use super::launch::Launch;
use crate::backoff::Backoff;

/// How long the platform's own processes may take to be ready.
const PLATFORM_READY: Duration = Duration::from_secs(30);
/// How long they may take to finish after a stop.
const PLATFORM_STOP: Duration = Duration::from_secs(10);
/// How much longer a leader may take than what it was told.
const MARGIN: Duration = Duration::from_secs(4);
/// Several times what the news of an instance's end takes to its callers.
const NOTICE: Duration = Duration::from_millis(500);
/// What an old instance's idle connections are still answered for.
const LINGER: Duration = Duration::from_secs(6);

/// A service and all that is known of it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: ServiceName,
    pub(super) what: What,
    /// Those that have to be settled before it starts; indices of members.
    pub(super) waits_for: Vec<usize>,
    /// The listening socket that its instances share; given back while it has failed, so that callers are refused at once.
    pub(super) socket: Option<TcpListener>,
    /// Where it is reached.
    pub(super) address: Option<SocketAddr>,
    pub(super) phase: Phase,
    pub(super) launch: Option<Launch>,
    /// Its environment or its migration is under way.
    pub(super) preparing: Option<Task>,
    pub(super) instances: Vec<Instance>,
    /// How many instances there should be.
    pub(super) wanted: u32,
    /// New instances take over from old ones.
    pub(super) replacement: Option<Replacement>,
    /// What cannot run twice is started again when it has ended.
    pub(super) relaunch: bool,
    /// Another restart is wanted after the one under way.
    pub(super) again: bool,
    /// Its files have changed since its last start.
    pub(super) dirty: bool,
    /// Starts that wait for the end of a pause.
    pub(super) due: u32,
    pub(super) backoff: Backoff,
    pub(super) framework: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) ready_ms: Option<u64>,
    pub(super) restarts: u64,
    /// Why it has never been ready.
    pub(super) failure: Option<ExitCode>,
    /// Whoever waits for it to be ready.
    pub(super) waiters: Vec<oneshot::Sender<Result<ServiceView, Refusal>>>,
}

/// What a member is.
#[derive(Debug)]
pub(super) enum What {
    Service(Box<Service>),
    Hub,
    Gateway,
}

/// Where a member is, apart from its instances.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Nothing of it runs yet: it is being prepared.
    Preparing,
    /// It is prepared and waits for those that it calls.
    Waiting,
    /// Its instances run, or are started again.
    Running,
    /// It was given up until something changes.
    Failed,
    /// It has ended as it was told.
    Stopped,
}

/// Old instances, and the new one that takes over from the first of them.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) old: VecDeque<u64>,
    pub(super) fresh: u64,
}

/// A task that ends when this value goes.
#[derive(Debug)]
pub(super) struct Task(pub(super) JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Member {
    /// A member of which nothing runs yet.
    pub(super) fn new(name: ServiceName, what: What) -> Self {
        Self {
            name,
            what,
            waits_for: Vec::new(),
            socket: None,
            address: None,
            phase: Phase::Preparing,
            launch: None,
            preparing: None,
            instances: Vec::new(),
            wanted: 1,
            replacement: None,
            relaunch: false,
            again: false,
            dirty: false,
            due: 0,
            backoff: Backoff::new(),
            framework: None,
            reason: None,
            ready_ms: None,
            restarts: 0,
            failure: None,
            waiters: Vec::new(),
        }
    }

    /// The service of the manifest, unless it is one of ours.
    pub(super) fn service(&self) -> Option<&Service> {
        match &self.what {
            What::Service(service) => Some(service),
            What::Hub | What::Gateway => None,
        }
    }

    pub(super) const fn kind(&self) -> ServiceKind {
        match &self.what {
            What::Service(service) if matches!(service.run, Run::Hosted { .. }) => ServiceKind::Hosted,
            What::Service(_) => ServiceKind::Command,
            What::Hub | What::Gateway => ServiceKind::Platform,
        }
    }

    /// Whether two instances may run side by side: on one socket, and with nothing that only one of them may hold.
    pub(super) const fn may_overlap(&self) -> bool {
        match &self.what {
            What::Service(service) => service.inherits_sockets(),
            What::Gateway => true,
            What::Hub => false,
        }
    }

    /// Whether its processes can have their workers replaced by themselves; any other program is replaced as a whole.
    pub(super) fn reloads_itself(&self) -> bool {
        self.kind() == ServiceKind::Hosted
    }

    /// Whether the service is one whose sockets are opened for it.
    pub(super) fn inherits_sockets(&self) -> bool {
        self.service().is_some_and(Service::inherits_sockets)
    }

    /// Whether it answers.
    pub(super) fn answers(&self) -> bool {
        self.instances.iter().any(Instance::answers)
    }

    /// Whether requests may be sent to it: it answers, or its socket keeps them for the moment of a restart.
    pub(super) fn takes_requests(&self) -> bool {
        let comes_back = self.socket.is_some() && self.failure.is_none() && self.ready_ms.is_some();
        self.answers() || (self.phase == Phase::Running && comes_back && self.backoff.is_short())
    }

    /// Whether those that call it may start: it answers, or it will not.
    pub(super) fn is_settled(&self) -> bool {
        self.ready_ms.is_some() || self.phase == Phase::Failed
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        let enough = self.instances.iter().filter(|instance| instance.counts()).count() == self.wanted as usize;
        let all_answer = self.instances.iter().filter(|instance| instance.counts()).all(Instance::answers);
        self.preparing.is_none() && self.replacement.is_none() && !self.relaunch && enough && all_answer
    }

    /// The port that its processes find in `PORT`.
    pub(super) fn port(&self) -> Option<u16> {
        self.address.map(|address| address.port())
    }

    /// How long an instance may take to be ready.
    pub(super) fn ready_within(&self) -> Duration {
        match self.service() {
            // Its parent gives up by itself at the stated time, and says why.
            Some(service) if matches!(service.run, Run::Hosted { .. }) => self.stated() + MARGIN,
            Some(_) | None => self.stated(),
        }
    }

    /// How long an instance may take to be ready, as the manifest says it.
    pub(super) fn stated(&self) -> Duration {
        self.service().map_or(PLATFORM_READY, |service| service.ready_timeout.as_duration())
    }

    /// How long an instance may take to end.
    pub(super) fn stop_within(&self) -> Duration {
        self.service().map_or(PLATFORM_STOP, |service| service.stop_timeout.as_duration()) + MARGIN
    }

    /// What its callers get between the news that an instance leaves and its end. Our own servers need none: they still take
    /// who comes to their own sockets. Any other program closes them when it is told to end.
    pub(super) fn notice(&self) -> Duration {
        if self.kind() == ServiceKind::Command { NOTICE } else { Duration::ZERO }
    }

    /// How long an instance may take to end after another took over.
    pub(super) fn retire_within(&self) -> Duration {
        self.stop_within() + LINGER
    }

    /// The lowest number that no instance has.
    pub(super) fn free_number(&self) -> u32 {
        (1..=u32::MAX)
            .find(|number| self.instances.iter().all(|instance| instance.identity.number != *number))
            .unwrap_or(1)
    }

    pub(super) fn instance(&mut self, key: u64) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|instance| instance.identity.key == key)
    }

    pub(super) fn state(&self) -> ServiceState {
        let is_reloading = |instance: &Instance| instance.stage == super::instance::Stage::Reloading;
        match self.phase {
            Phase::Preparing => ServiceState::Preparing,
            Phase::Waiting => ServiceState::Waiting,
            Phase::Failed => ServiceState::Failed,
            Phase::Stopped if self.instances.is_empty() => ServiceState::Stopped,
            Phase::Stopped => ServiceState::Stopping,
            Phase::Running if self.answers() => {
                let replaced = self.replacement.is_some() || self.preparing.is_some();
                if replaced || self.instances.iter().any(is_reloading) {
                    ServiceState::Reloading
                } else {
                    ServiceState::Ready
                }
            }
            Phase::Running if self.relaunch || self.instances.iter().any(Instance::counts) => ServiceState::Starting,
            Phase::Running => ServiceState::Crashed,
        }
    }

    pub(super) fn view(&self) -> ServiceView {
        let routes = self.service().map(|service| service.routes.iter().map(ToString::to_string).collect());
        ServiceView {
            name: self.name.clone(),
            kind: self.kind(),
            framework: self.framework.clone(),
            url: self.address.map(|address| format!("http://{address}")),
            routes: routes.unwrap_or_default(),
            state: self.state(),
            reason: self.reason.clone(),
            ready_ms: self.ready_ms,
            workers: self.service().map_or(1, |service| service.workers),
            restarts: self.restarts,
            instances: self.instances.iter().map(Instance::view).collect(),
        }
    }

    /// Answers whoever waits, if it is settled.
    pub(super) fn answer_waiters(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        let answer = match self.phase {
            Phase::Failed => Err(self.failed()),
            Phase::Running if self.is_quiet() && !self.again => Ok(self.view()),
            Phase::Preparing | Phase::Waiting | Phase::Running | Phase::Stopped => return,
        };
        for waiter in self.waiters.drain(..) {
            // Whoever has gone away needs no answer.
            let _ = waiter.send(answer.clone());
        }
    }

    /// Tells whoever waits that it was tried and given up.
    pub(super) fn refuse_waiters(&mut self, refusal: &Refusal) {
        for waiter in self.waiters.drain(..) {
            let _ = waiter.send(Err(refusal.clone()));
        }
    }

    pub(super) fn failed(&self) -> Refusal {
        let reason = self.reason.clone().unwrap_or_else(|| "its log says why".to_owned());
        Refusal::Failed { name: self.name.clone(), reason }
    }
}
