//! A reload: the next generation is started beside the current one, and takes over or is given up.

use std::path::PathBuf;
use std::time::Duration;

use pinnace_types::status::StatusEvent;
use pinnace_types::worker::Failure;
use tokio::time::Instant;

use super::super::ServeError;
use super::super::worker::{Leaves, Stage};
use super::{GENERATIONS, Pool, cannot_start};
use crate::backoff::Backoff;

/// Whether a reload is wanted or under way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reload {
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
    /// Files of the application have changed: new workers take over, or begin where none has answered yet.
    pub(super) fn changed(&mut self, files: &[PathBuf]) -> Result<(), ServeError> {
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
        self.start_worker(self.current).map(drop)
    }

    pub(super) fn reload(&mut self) {
        self.reload = match self.reload {
            Reload::None | Reload::Wanted => Reload::Wanted,
            Reload::Running { since, .. } => Reload::Running { since, again: true },
        };
        self.begin_reload();
    }

    /// Starts the next generation, where one is wanted, the first one answers already and there is room.
    pub(super) fn begin_reload(&mut self) {
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

    pub(super) fn finish_reload(&mut self) {
        let Reload::Running { since, again } = self.reload else { return };
        let next = self.next_generation;
        let ready = self.workers.iter().filter(|worker| worker.generation == next && worker.stage == Stage::Ready);
        if ready.count() < self.config.workers as usize {
            return;
        }
        self.current = next;
        self.next_generation += 1;
        self.backoff = Backoff::new();
        self.renewals.forget();
        self.drain(|worker| worker.generation < next, self.config.linger, Leaves::Workers);
        self.reload = if again { Reload::Wanted } else { Reload::None };
        let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.report.tell(&StatusEvent::Reloaded { millis });
    }

    pub(super) fn give_up_reload(&mut self, failure: Failure) {
        let Reload::Running { again, .. } = self.reload else { return };
        // Those of it that answer already have begun requests, which they finish.
        let current = self.current;
        self.drain(|worker| worker.generation > current, self.config.linger, Leaves::Workers);
        // The number is used up, so that nothing of what was given up counts for the reload that follows.
        self.next_generation += 1;
        self.reload = if again { Reload::Wanted } else { Reload::None };
        self.report.tell(&StatusEvent::ReloadFailed(failure));
    }
}
