//! The owner of all workers: a single task that hears what happens and decides what follows.
//!
//! Workers belong to generations. The current generation answers; on a reload the next one is started beside it, and only
//! when all of that answer does the old one drain. If any of them fails, the next generation is given up and the current
//! one goes on. The first worker of a generation starts alone, so that an application that does not import says so once.

mod reload;
mod renew;
mod stop;
mod workers;

use std::os::fd::OwnedFd;
use std::time::Duration;

use pinnace_os::{LifetimeEnd, family};
use pinnace_telemetry::ServiceMetrics;
use pinnace_types::HumanDuration;
use pinnace_types::status::StatusEvent;
use pinnace_types::worker::{Failure, FailureKind, WorkerEvent};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::announcer::Announcer;
use super::pulse;
use super::report::Report;
use super::worker::{Event, Place, Stage, Worker};
use super::{Changes, Interpreter, ServeConfig, ServeError, Socket};
use crate::backoff::Backoff;
use crate::signals::{Asked, Signals};
use reload::Reload;
use renew::Renewals;
use stop::Ending;

/// What a worker may take to write where its threads stand.
const LAST_STACKS: Duration = Duration::from_secs(2);
/// Generations that may live side by side: one answers, one starts, the others drain. A reload waits where all are taken.
pub(super) const GENERATIONS: u32 = 8;

/// All workers and what is known of them.
#[derive(Debug)]
pub(super) struct Pool {
    config: ServeConfig,
    interpreter: Interpreter,
    sockets: Vec<Socket>,
    metrics: ServiceMetrics,
    /// The metrics' memory, to be handed on.
    shared: OwnedFd,
    report: Report,
    /// Where there is a registry to be in.
    announcer: Option<Announcer>,
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    workers: Vec<Worker>,
    next_id: u64,
    /// The generation that answers, or the first one while it starts.
    current: u64,
    /// The one that a reload starts.
    next_generation: u64,
    /// Whether the current generation has ever answered.
    established: bool,
    reload: Reload,
    backoff: Backoff,
    ending: Ending,
    told_loaded: bool,
    /// When the workers' signs of life are looked at next.
    next_look: Instant,
    renewals: Renewals,
}

impl Pool {
    pub(super) fn try_new(
        config: ServeConfig,
        interpreter: Interpreter,
        sockets: Vec<Socket>,
        (metrics, shared): (ServiceMetrics, OwnedFd),
        report: Report,
    ) -> Result<Self, ServeError> {
        let events = mpsc::channel(256);
        let named = sockets.iter().find(|socket| socket.is_own).and_then(Socket::address);
        let announcer = config.registration.clone().map(|registration| {
            let named = named.ok_or(ServeError::NoAddress)?;
            Announcer::start(&config.name, named, registration, events.0.clone())
        });
        let announcer = announcer.transpose()?;
        Ok(Self {
            config,
            interpreter,
            sockets,
            metrics,
            shared,
            report,
            announcer,
            events,
            workers: Vec::new(),
            next_id: 0,
            current: 0,
            next_generation: 1,
            established: false,
            reload: Reload::None,
            backoff: Backoff::new(),
            ending: Ending::None,
            told_loaded: false,
            next_look: Instant::now(),
            renewals: Renewals::new(),
        })
    }

    /// Runs until all workers have ended because they were told to, or until the application cannot be started.
    pub(super) async fn run(
        mut self,
        mut signals: Signals,
        lifetime: Option<LifetimeEnd>,
        mut changes: Option<Changes>,
    ) -> Result<(), ServeError> {
        let starter_gone = async {
            match &lifetime {
                Some(lifetime) => lifetime.ended().await,
                None => std::future::pending().await,
            }
        };
        let mut starter_gone = std::pin::pin!(starter_gone);
        self.start_worker(0)?;
        loop {
            let overdue = self.overdue();
            let changed = async {
                match &mut changes {
                    Some(changes) => changes.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = starter_gone.as_mut() => return Ok(()),
                asked = signals.next() => match asked {
                    Asked::Reload => self.reload(),
                    Asked::Stop if self.ending == Ending::Stopping => return Ok(()),
                    Asked::Stop => self.stop(),
                    Asked::Retire => self.retire(),
                    Asked::Reap => family::reap_orphans(),
                },
                files = changed => self.changed(&files)?,
                () = tokio::time::sleep_until(self.next_look) => self.look(),
                () = tokio::time::sleep_until(self.renewals.next_look) => self.renew(),
                () = tokio::time::sleep_until(overdue) => self.kill_overdue(),
                Some(event) = self.events.1.recv() => self.hear(event)?,
            }
            if self.is_ending() && self.workers.is_empty() {
                return Ok(());
            }
        }
    }

    fn hear(&mut self, event: Event) -> Result<(), ServeError> {
        match event {
            Event::Said(id, WorkerEvent::Loaded { target, framework, python, .. }) => {
                self.loaded(id, &StatusEvent::Loaded { target, framework, python })?;
            }
            Event::Said(id, WorkerEvent::Ready) => self.ready(id),
            Event::Said(id, WorkerEvent::Failed(failure)) => self.failed(id, failure)?,
            Event::Said(_, WorkerEvent::Stopped) => {}
            Event::Said(id, WorkerEvent::Debugging { by }) => self.debugged(id, &by),
            Event::Ended(id, exit) => self.ended(id, exit)?,
            Event::Due(generation) => {
                if generation == self.current
                    && !self.is_ending()
                    && let Err(error) = self.start_worker(generation)
                {
                    // The interpreter may be away for a moment, while its environment is made anew.
                    tracing::warn!(%error, "cannot start a worker");
                    self.start_later(Duration::ZERO);
                }
            }
            Event::Registry(news, registered) => self.report.registry(&news, registered.as_deref()),
            Event::Left => self.let_go(),
        }
        self.begin_reload();
        let ready = self.workers.iter().filter(|worker| worker.stage == Stage::Ready).count();
        if let Some(announcer) = &self.announcer {
            announcer.should_be_there(self.established && ready > 0 && !self.is_ending());
        }
        self.metrics.set_ready_workers(u32::try_from(ready).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Somebody is at work in a worker with a debugger: nothing is held against it.
    fn debugged(&mut self, id: u64, by: &str) {
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.id == id) else { return };
        if matches!(worker.stage, Stage::Starting | Stage::Ready) {
            worker.deadline = None;
        }
        if !std::mem::replace(&mut worker.debugged, true) {
            let pid = worker.pid;
            self.report.debugged(pid, by);
        }
    }

    // ---- start ----

    /// Starts one, where there is room; its id.
    fn start_worker(&mut self, generation: u64) -> Result<Option<u64>, ServeError> {
        let slots = self.config.workers * GENERATIONS;
        let free = (0..slots).find(|slot| self.workers.iter().all(|worker| worker.slot != *slot));
        let Some(slot) = free else { return Ok(None) };
        self.metrics.reset(slot);
        let descriptor = self.shared.try_clone().map_err(ServeError::System)?;
        let id = self.next_id;
        let place = Place { id, slot, generation, answered_before: self.metrics.answered_by(slot) };
        let worker = Worker::start(&self.config, &self.interpreter, &self.sockets, descriptor, place, &self.events.0);
        self.next_id += 1;
        self.workers.push(worker.map_err(ServeError::System)?);
        Ok(Some(id))
    }

    /// The next moment at which a worker may not take longer.
    fn overdue(&self) -> Instant {
        let first = self.workers.iter().filter_map(|worker| worker.deadline).min();
        first.unwrap_or_else(|| Instant::now() + Duration::from_hours(1))
    }

    fn kill_overdue(&mut self) {
        let now = Instant::now();
        for worker in self.workers.iter_mut().filter(|worker| worker.deadline.is_some_and(|deadline| deadline <= now)) {
            worker.deadline = None;
            worker.overdue = true;
            worker.kill();
        }
    }

    /// Replaces workers whose event loop has not had its turn for too long.
    fn look(&mut self) {
        let Some(patience) = self.config.patience() else {
            self.next_look = Instant::now() + Duration::from_hours(24);
            return;
        };
        self.next_look = Instant::now() + pulse::period(patience);
        for worker in self.workers.iter_mut().filter(|worker| worker.stage == Stage::Ready && !worker.debugged) {
            if !worker.pulse.is_lost(self.metrics.beats(worker.slot), patience) || worker.failure.is_some() {
                continue;
            }
            if pulse::is_traced(worker.pid) {
                worker.pulse.forgive();
                continue;
            }
            let message = format!("its event loop did not get its turn for {}", HumanDuration::new(patience));
            self.report.silent(worker.pid, &message);
            worker.failure = Some(Failure { kind: FailureKind::Died, message, detail: Vec::new(), hint: None });
            worker.abort();
            worker.deadline = Some(Instant::now() + LAST_STACKS);
        }
    }

    /// After a crash exactly one worker is started for the one that ended; its import starts no others.
    const fn is_restarting(&self, generation: u64) -> bool {
        self.established && generation == self.current
    }

    fn living(&self) -> u32 {
        u32::try_from(self.workers.len()).unwrap_or(u32::MAX)
    }

    fn count(&self, generation: u64) -> u32 {
        let count = self.workers.iter().filter(|worker| worker.generation == generation).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn worker(&self, id: u64) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.id == id)
    }
}

fn cannot_start(error: &ServeError) -> Failure {
    let message = format!("no worker can be started: {error}");
    Failure { kind: FailureKind::Interpreter, message, detail: Vec::new(), hint: None }
}

impl Drop for Pool {
    fn drop(&mut self) {
        family::kill_descendants();
    }
}
