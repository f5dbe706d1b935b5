//! What workers say, and what their ends lead to.

use std::time::Duration;

use pinnace_os::Exit;
use pinnace_types::HumanDuration;
use pinnace_types::status::StatusEvent;
use pinnace_types::worker::{Failure, FailureKind};

use super::super::ServeError;
use super::super::worker::{Event, Leaves, Stage};
use super::{Pool, cannot_start};

impl Pool {
    pub(super) fn loaded(&mut self, id: u64, status: &StatusEvent) -> Result<(), ServeError> {
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
                result => drop(result?),
            }
        }
        Ok(())
    }

    pub(super) fn ready(&mut self, id: u64) {
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.id == id) else { return };
        worker.answers(self.config.grace);
        if worker.stage != Stage::Ready {
            return;
        }
        if worker.generation == self.current && !self.established {
            self.established = true;
            self.report.tell(&StatusEvent::Ready);
        }
        self.finish_renewal(id);
        self.finish_reload();
    }

    pub(super) fn failed(&mut self, id: u64, failure: Failure) -> Result<(), ServeError> {
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

    pub(super) fn ended(&mut self, id: u64, exit: Exit) -> Result<(), ServeError> {
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
        if self.ends_renewal(id, worker.pid, &how, &lost) {
            return Ok(());
        }
        self.metrics.count_restart();
        let pause = self.start_later(worker.started.elapsed());
        let backoff_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.report.tell(&StatusEvent::WorkerDied { pid: worker.pid, how, lost, backoff_ms });
        Ok(())
    }

    /// Starts a worker for one that lived so long, after the pause that is returned.
    pub(super) fn start_later(&mut self, life: Duration) -> Duration {
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
    pub(super) fn cannot_begin(&mut self, failure: Failure) -> Result<(), ServeError> {
        if !self.config.reload {
            self.report.tell(&StatusEvent::Failed(failure.clone()));
            return Err(ServeError::Application(Box::new(failure)));
        }
        self.report.show(&failure);
        self.report.waiting();
        self.drain(|_| true, Duration::ZERO, Leaves::Workers);
        Ok(())
    }
}
