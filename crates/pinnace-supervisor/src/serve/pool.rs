//! The owner of all workers: a single task that hears what happens and decides what follows.
//!
//! Workers belong to generations. The current generation answers; on a reload the next one is started beside it, and only
//! when all of that answer does the old one drain. If any of them fails, the next generation is given up and the current
//! one goes on. The first worker of a generation starts alone, so that an application that does not import says so once.

use std::os::fd::OwnedFd;
use std::time::Duration;

use pinnace_os::{Exit, LifetimeEnd, family};
use pinnace_telemetry::ServiceMetrics;
use pinnace_types::status::StatusEvent;
use pinnace_types::worker::{Failure, FailureKind, WorkerEvent};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::report::Report;
use super::worker::{Event, Stage, Worker};
use super::{Interpreter, ServeConfig, ServeError, Socket};
use crate::signals::{Asked, Signals};

/// Generations that may live side by side: one answers, one starts, one drains.
pub(super) const GENERATIONS: u32 = 3;

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
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    workers: Vec<Worker>,
    next_id: u64,
    /// The generation that answers, or the first one while it starts.
    current: u64,
    /// Whether the current generation has ever answered.
    established: bool,
    reload: Reload,
    backoff: Backoff,
    stopping: bool,
    told_loaded: bool,
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
    pub(super) fn new(
        config: ServeConfig,
        interpreter: Interpreter,
        sockets: Vec<Socket>,
        (metrics, shared): (ServiceMetrics, OwnedFd),
        report: Report,
    ) -> Self {
        Self {
            config,
            interpreter,
            sockets,
            metrics,
            shared,
            report,
            events: mpsc::channel(256),
            workers: Vec::new(),
            next_id: 0,
            current: 0,
            established: false,
            reload: Reload::None,
            backoff: Backoff::new(),
            stopping: false,
            told_loaded: false,
        }
    }

    /// Runs until all workers have ended because they were told to, or until the application cannot be started.
    pub(super) async fn run(mut self, mut signals: Signals, lifetime: Option<LifetimeEnd>) -> Result<(), ServeError> {
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
            tokio::select! {
                () = starter_gone.as_mut() => return Ok(()),
                asked = signals.next() => match asked {
                    Asked::Reload => self.reload(),
                    Asked::Stop if self.stopping => return Ok(()),
                    Asked::Stop => self.stop(),
                },
                () = tokio::time::sleep_until(overdue) => self.kill_overdue(),
                Some(event) = self.events.1.recv() => self.hear(event)?,
            }
            if self.stopping && self.workers.is_empty() {
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
                if generation == self.current && !self.stopping {
                    self.start_worker(generation)?;
                }
            }
        }
        if self.reload == Reload::Wanted {
            self.begin_reload()?;
        }
        Ok(())
    }

    // ---- what workers say ----

    fn loaded(&mut self, id: u64, status: &StatusEvent) -> Result<(), ServeError> {
        let Some(generation) = self.worker(id).map(|worker| worker.generation) else { return Ok(()) };
        if !self.told_loaded {
            self.told_loaded = true;
            self.report.tell(status);
        }
        // The first one has shown that the application imports: now the others.
        while !self.stopping && self.count(generation) < self.config.workers && !self.is_restarting(generation) {
            self.start_worker(generation)?;
        }
        Ok(())
    }

    fn ready(&mut self, id: u64) {
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.id == id) else { return };
        if worker.stage != Stage::Starting {
            return;
        }
        worker.stage = Stage::Ready;
        let generation = worker.generation;
        if self.stopping {
            return self.drain(|_| true, Duration::ZERO);
        }
        let ready = self.workers.iter().filter(|worker| worker.stage == Stage::Ready).count();
        self.metrics.set_ready_workers(u32::try_from(ready).unwrap_or(u32::MAX));
        if generation == self.current && !self.established {
            self.established = true;
            self.report.tell(&StatusEvent::Ready);
        }
        self.finish_reload();
    }

    fn failed(&mut self, id: u64, failure: Failure) -> Result<(), ServeError> {
        let Some(generation) = self.worker(id).map(|worker| worker.generation) else { return Ok(()) };
        if generation == self.current && !self.established {
            self.report.tell(&StatusEvent::Failed(failure.clone()));
            return Err(ServeError::Application(Box::new(failure)));
        }
        if generation > self.current {
            self.give_up_reload(failure);
        }
        Ok(())
    }

    fn ended(&mut self, id: u64, exit: Exit) -> Result<(), ServeError> {
        let Some(index) = self.workers.iter().position(|worker| worker.id == id) else { return Ok(()) };
        let worker = self.workers.swap_remove(index);
        let lost: Vec<String> = self.metrics.lost_requests(worker.slot).into_iter().map(String::from).collect();
        self.metrics.reset(worker.slot);
        let expected = worker.stage == Stage::Draining || self.stopping;
        if expected && lost.is_empty() {
            return Ok(());
        }
        if expected || worker.generation < self.current {
            self.report.tell(&StatusEvent::WorkerDied { pid: worker.pid, how: exit.to_string(), lost, backoff_ms: 0 });
            return Ok(());
        }
        let died = || Failure {
            kind: FailureKind::Died,
            message: format!("the worker ended before it was ready ({exit})"),
            detail: Vec::new(),
            hint: Some("its last words are in the log above".to_owned()),
        };
        if worker.generation > self.current {
            self.give_up_reload(died());
            return Ok(());
        }
        if !self.established {
            self.report.tell(&StatusEvent::Failed(died()));
            return Err(ServeError::Application(Box::new(died())));
        }
        self.metrics.count_restart();
        let pause = self.backoff.after(worker.started.elapsed());
        let backoff_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.report.tell(&StatusEvent::WorkerDied { pid: worker.pid, how: exit.to_string(), lost, backoff_ms });
        let (events, generation) = (self.events.0.clone(), self.current);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let _ = events.send(Event::Due(generation)).await;
        });
        Ok(())
    }

    // ---- reload ----

    fn reload(&mut self) {
        self.reload = match self.reload {
            _ if self.stopping || !self.established => return,
            Reload::None | Reload::Wanted => Reload::Wanted,
            Reload::Running { since, .. } => Reload::Running { since, again: true },
        };
        if self.reload == Reload::Wanted
            && let Err(error) = self.begin_reload()
        {
            tracing::error!(%error, "cannot start a worker");
        }
    }

    fn begin_reload(&mut self) -> Result<(), ServeError> {
        let room = self.config.workers * GENERATIONS - u32::try_from(self.workers.len()).unwrap_or(u32::MAX);
        if room < self.config.workers {
            return Ok(());
        }
        self.reload = Reload::Running { since: Instant::now(), again: false };
        self.told_loaded = false;
        self.start_worker(self.current + 1)
    }

    fn finish_reload(&mut self) {
        let Reload::Running { since, again } = self.reload else { return };
        let next = self.current + 1;
        let ready = self.workers.iter().filter(|worker| worker.generation == next && worker.stage == Stage::Ready);
        if ready.count() < self.config.workers as usize {
            return;
        }
        self.current = next;
        self.backoff = Backoff::new();
        self.drain(|worker| worker.generation < next, self.config.linger);
        self.reload = if again { Reload::Wanted } else { Reload::None };
        let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.report.tell(&StatusEvent::Reloaded { millis });
    }

    fn give_up_reload(&mut self, failure: Failure) {
        let Reload::Running { again, .. } = self.reload else { return };
        for worker in self.workers.iter_mut().filter(|worker| worker.generation > self.current) {
            // Below the current generation nothing is expected of it any more, also not by a reload that follows.
            worker.stage = Stage::Draining;
            worker.generation = 0;
            worker.kill();
        }
        self.reload = if again { Reload::Wanted } else { Reload::None };
        self.report.tell(&StatusEvent::ReloadFailed(failure));
    }

    // ---- stop ----

    fn stop(&mut self) {
        self.stopping = true;
        self.report.stopping();
        self.drain(|_| true, Duration::ZERO);
    }

    fn drain(&mut self, which: impl Fn(&Worker) -> bool, linger: Duration) {
        let grace = self.config.grace;
        for worker in self.workers.iter_mut().filter(|worker| worker.stage != Stage::Draining && which(worker)) {
            worker.drain(linger, grace);
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

    /// When the worker that has been starting for the longest may not take longer.
    fn overdue(&self) -> Instant {
        let starting = self.workers.iter().filter(|worker| worker.stage == Stage::Starting);
        let first = starting.map(|worker| worker.started + self.config.ready_timeout).min();
        first.unwrap_or_else(|| Instant::now() + Duration::from_hours(1))
    }

    fn kill_overdue(&self) {
        let now = Instant::now();
        for worker in self.workers.iter().filter(|worker| worker.stage == Stage::Starting) {
            if worker.started + self.config.ready_timeout <= now {
                tracing::warn!(pid = worker.pid, "a worker was not ready in time");
                worker.kill();
            }
        }
    }

    /// After a crash exactly one worker is started for the one that ended; its import starts no others.
    const fn is_restarting(&self, generation: u64) -> bool {
        self.established && generation == self.current
    }

    fn count(&self, generation: u64) -> u32 {
        let count = self.workers.iter().filter(|worker| worker.generation == generation).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn worker(&self, id: u64) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.id == id)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        family::kill_descendants();
    }
}
