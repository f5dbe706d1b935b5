//! The owner of all workers: a single task that hears what happens and decides what follows.
//!
//! Workers belong to generations. The current generation answers; on a reload the next one is started beside it, and only
//! when all of that answer does the old one drain. If any of them fails, the next generation is given up and the current
//! one goes on. The first worker of a generation starts alone, so that an application that does not import says so once.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use pinnace_os::{Exit, LifetimeEnd, family};
use pinnace_telemetry::ServiceMetrics;
use pinnace_types::HumanDuration;
use pinnace_types::status::StatusEvent;
use pinnace_types::worker::{Failure, FailureKind, WorkerEvent};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::announcer::Announcer;
use super::pulse;
use super::report::Report;
use super::worker::{Event, Leaves, Stage, Worker};
use super::{Changes, Interpreter, ServeConfig, ServeError, Socket};
use crate::backoff::Backoff;
use crate::signals::{Asked, Signals};

/// What a worker may take to write where its threads stand.
const LAST_STACKS: Duration = Duration::from_secs(2);
/// Generations that may live side by side: one answers, one starts, the others drain. A reload waits where all are taken.
pub(super) const GENERATIONS: u32 = 8;

/// An instance that has left its registry still answers for this long those who do not know it yet, at a stop.
const LAST_CALL: Duration = Duration::from_secs(2);

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
}

/// Whether and how all of it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    None,
    /// Another instance has taken over: idle connections are still answered for the linger.
    Retiring,
    Stopping,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reload {
    None,
    /// Wanted, but there is no room for another generation yet.
    Wanted,
    /// Under way since then; another one may be wanted after it.
    Running {
        since: Instant,
        again: bool,
    },
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
        let named = sockets.iter().find(|socket| socket.is_own).unwrap_or(&sockets[0]).local;
        let registration = config.registration.clone();
        let announcer =
            registration.map(|registration| Announcer::start(&config.name, named, registration, events.0.clone()));
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

    // ---- what workers say ----

    fn loaded(&mut self, id: u64, status: &StatusEvent) -> Result<(), ServeError> {
        let Some(worker) = self.worker(id).filter(|worker| worker.stage == Stage::Starting) else { return Ok(()) };
        let generation = worker.generation;
        if !self.told_loaded {
            self.told_loaded = true;
            self.report.tell(status);
        }
        // The first one has shown that the application imports: now the others.
        while self.count(generation) < self.config.workers && !self.is_restarting(generation) {
            match self.start_worker(generation) {
                Err(error) if generation > self.current => {
                    self.give_up_reload(cannot_start(&error));
                    return Ok(());
                }
                result => result?,
            }
        }
        Ok(())
    }

    fn ready(&mut self, id: u64) {
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.id == id) else { return };
        worker.answers(self.config.grace);
        if worker.stage != Stage::Ready {
            return;
        }
        if worker.generation == self.current && !self.established {
            self.established = true;
            self.report.tell(&StatusEvent::Ready);
        }
        self.finish_reload();
    }

    fn failed(&mut self, id: u64, failure: Failure) -> Result<(), ServeError> {
        let is_ending = self.is_ending();
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.id == id) else { return Ok(()) };
        if worker.stage == Stage::Draining && worker.generation > self.current {
            // It belongs to a reload that was given up.
            return Ok(());
        }
        if worker.generation == self.current && !self.established && !is_ending {
            return self.cannot_begin(failure);
        }
        if worker.generation > self.current {
            self.give_up_reload(failure);
            return Ok(());
        }
        // It replaces one that ended, or it drains and its lifespan does not end well: the others go on.
        self.report.show(&failure);
        worker.failure = Some(failure);
        Ok(())
    }

    fn ended(&mut self, id: u64, exit: Exit) -> Result<(), ServeError> {
        let Some(index) = self.workers.iter().position(|worker| worker.id == id) else { return Ok(()) };
        let worker = self.workers.swap_remove(index);
        let lost: Vec<String> = self.metrics.lost_requests(worker.slot).into_iter().map(String::from).collect();
        self.metrics.reset(worker.slot);
        match worker.stage {
            Stage::Draining => {
                if !lost.is_empty() {
                    self.report.cut_off(worker.pid, &lost);
                }
                return Ok(());
            }
            Stage::Starting | Stage::Ready => {}
        }
        let how = match (&worker.failure, worker.overdue) {
            (Some(failure), _) => failure.message.clone(),
            (None, true) => "not ready in time".to_owned(),
            (None, false) => exit.to_string(),
        };
        let died = || Failure {
            kind: FailureKind::Died,
            message: if worker.overdue {
                format!("the worker was not ready after {}", HumanDuration::new(self.config.ready_timeout))
            } else {
                format!("the worker ended before it was ready ({exit})")
            },
            detail: Vec::new(),
            hint: Some(if worker.overdue {
                "give it longer with --ready-timeout, or look for what its import or its startup waits for".to_owned()
            } else {
                "its last words are in the log above".to_owned()
            }),
        };
        if worker.generation > self.current {
            let failure = died();
            self.give_up_reload(failure);
            return Ok(());
        }
        if !self.established {
            let failure = died();
            return self.cannot_begin(failure);
        }
        self.metrics.count_restart();
        let pause = self.start_later(worker.started.elapsed());
        let backoff_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.report.tell(&StatusEvent::WorkerDied { pid: worker.pid, how, lost, backoff_ms });
        Ok(())
    }

    /// Starts a worker for one that lived so long, after the pause that is returned.
    fn start_later(&mut self, life: Duration) -> Duration {
        let pause = self.backoff.after(life);
        let (events, generation) = (self.events.0.clone(), self.current);
        // It ends with its pause.
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let _ = events.send(Event::Due(generation)).await;
        });
        pause
    }

    /// The application does not start. Whoever edits it is waited for; anybody else is told at once.
    fn cannot_begin(&mut self, failure: Failure) -> Result<(), ServeError> {
        if !self.config.reload {
            self.report.tell(&StatusEvent::Failed(failure.clone()));
            return Err(ServeError::Application(Box::new(failure)));
        }
        self.report.show(&failure);
        self.report.waiting();
        self.drain(|_| true, Duration::ZERO, Leaves::Workers);
        Ok(())
    }

    // ---- reload ----

    /// Files of the application have changed: new workers take over, or begin where none has answered yet.
    fn changed(&mut self, files: &[PathBuf]) -> Result<(), ServeError> {
        if self.is_ending() {
            return Ok(());
        }
        self.report.changed(files, &self.config.app_dir);
        if self.established {
            self.reload();
            return Ok(());
        }
        self.drain(|_| true, Duration::ZERO, Leaves::Workers);
        self.current = self.next_generation;
        self.next_generation += 1;
        self.told_loaded = false;
        self.start_worker(self.current)
    }

    fn reload(&mut self) {
        self.reload = match self.reload {
            Reload::None | Reload::Wanted => Reload::Wanted,
            Reload::Running { since, .. } => Reload::Running { since, again: true },
        };
        self.begin_reload();
    }

    /// Starts the next generation, where one is wanted, the first one answers already and there is room.
    fn begin_reload(&mut self) {
        let room = (self.config.workers * GENERATIONS).saturating_sub(self.living());
        if self.reload != Reload::Wanted || self.is_ending() || !self.established || room < self.config.workers {
            return;
        }
        self.reload = Reload::Running { since: Instant::now(), again: false };
        self.told_loaded = false;
        if let Err(error) = self.start_worker(self.next_generation) {
            self.give_up_reload(cannot_start(&error));
        }
    }

    fn finish_reload(&mut self) {
        let Reload::Running { since, again } = self.reload else { return };
        let next = self.next_generation;
        let ready = self.workers.iter().filter(|worker| worker.generation == next && worker.stage == Stage::Ready);
        if ready.count() < self.config.workers as usize {
            return;
        }
        self.current = next;
        self.next_generation += 1;
        self.backoff = Backoff::new();
        self.drain(|worker| worker.generation < next, self.config.linger, Leaves::Workers);
        self.reload = if again { Reload::Wanted } else { Reload::None };
        let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.report.tell(&StatusEvent::Reloaded { millis });
    }

    fn give_up_reload(&mut self, failure: Failure) {
        let Reload::Running { again, .. } = self.reload else { return };
        // Those of it that answer already have begun requests, which they finish.
        let current = self.current;
        self.drain(|worker| worker.generation > current, self.config.linger, Leaves::Workers);
        // The number is used up, so that nothing of what was given up counts for the reload that follows.
        self.next_generation += 1;
        self.reload = if again { Reload::Wanted } else { Reload::None };
        self.report.tell(&StatusEvent::ReloadFailed(failure));
    }

    // ---- stop ----

    fn stop(&mut self) {
        let has_left = self.is_ending();
        self.ending = Ending::Stopping;
        self.report.stopping();
        if has_left {
            self.drain(|_| true, Duration::ZERO, Leaves::Workers);
            self.close_sockets();
        } else {
            self.leave();
        }
    }

    fn retire(&mut self) {
        if !self.is_ending() {
            self.ending = Ending::Retiring;
            self.leave();
        }
    }

    /// The registry comes first: whoever asks it from now on is sent elsewhere, while all workers still answer.
    fn leave(&mut self) {
        let events = self.events.0.clone();
        if !self.announcer.as_ref().is_some_and(|announcer| announcer.leave(events)) {
            self.let_go();
        }
    }

    /// The workers drain. Those who have just chosen this instance from a registry are still answered.
    fn let_go(&mut self) {
        match self.ending {
            Ending::None => return,
            Ending::Retiring => self.drain(|_| true, self.config.linger, Leaves::Instance),
            Ending::Stopping if self.announcer.is_some() => self.drain(|_| true, LAST_CALL, Leaves::Instance),
            Ending::Stopping => self.drain(|_| true, Duration::ZERO, Leaves::Workers),
        }
        self.close_sockets();
    }

    /// No worker is started any more: once the last one accepts no more, callers are refused rather than kept waiting.
    fn close_sockets(&mut self) {
        self.sockets.clear();
    }

    fn is_ending(&self) -> bool {
        self.ending != Ending::None
    }

    fn drain(&mut self, which: impl Fn(&Worker) -> bool, linger: Duration, leaves: Leaves) {
        let grace = self.config.grace;
        // One that drains already is told again only to hurry: a second drain can only bring the end closer.
        let hurry = linger.is_zero();
        let may_drain = |worker: &&mut Worker| match worker.stage {
            Stage::Starting | Stage::Ready => which(worker),
            Stage::Draining => hurry,
        };
        for worker in self.workers.iter_mut().filter(may_drain) {
            worker.drain(linger, grace, leaves);
        }
    }

    // ---- start ----

    fn start_worker(&mut self, generation: u64) -> Result<(), ServeError> {
        let slots = self.config.workers * GENERATIONS;
        let free = (0..slots).find(|slot| self.workers.iter().all(|worker| worker.slot != *slot));
        let Some(slot) = free else { return Ok(()) };
        self.metrics.reset(slot);
        let descriptor = self.shared.try_clone().map_err(ServeError::System)?;
        let place = (self.next_id, slot, generation);
        let worker = Worker::start(&self.config, &self.interpreter, &self.sockets, descriptor, place, &self.events.0);
        self.next_id += 1;
        self.workers.push(worker.map_err(ServeError::System)?);
        Ok(())
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
        for worker in self.workers.iter_mut().filter(|worker| worker.stage == Stage::Ready) {
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
