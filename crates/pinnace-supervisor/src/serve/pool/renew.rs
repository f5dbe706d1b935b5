//! Workers that have done enough, by their requests, their memory or their age, are renewed: one at a time, and the new
//! one answers before the old one drains.
//!
//! Renewals never become a storm. While workers reach a limit soon after their start, the pause between two renewals
//! grows to ten seconds, which is told once; a worker that is above the memory ceiling as it starts would gain nothing
//! from a successor of the same size, so it lives ten minutes before it is renewed for that.

use std::time::Duration;

use pinnace_types::status::StatusEvent;
use tokio::time::Instant;

use super::super::life::{self, Seen};
use super::super::worker::{Leaves, Stage};
use super::Pool;
use super::reload::Reload;
use crate::backoff::Backoff;

/// Between two looks where requests count, which come fast.
const OFTEN: Duration = Duration::from_millis(100);
/// Between two looks at memory and age.
const SELDOM: Duration = Duration::from_secs(1);

/// What is known of renewals.
#[derive(Debug)]
pub(super) struct Renewals {
    under_way: Option<UnderWay>,
    backoff: Backoff,
    not_before: Instant,
    pub(super) next_look: Instant,
    told_hurry: bool,
    /// The generation of which it was told that its workers are born too large.
    told_size: Option<u64>,
}

/// One worker makes way for another.
#[derive(Debug)]
struct UnderWay {
    old: u64,
    new: u64,
    why: String,
}

impl Renewals {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            under_way: None,
            backoff: Backoff::new(),
            not_before: now,
            next_look: now,
            told_hurry: false,
            told_size: None,
        }
    }

    /// What a reload has begun, or an end, makes every renewal pointless.
    pub(super) fn forget(&mut self) {
        self.under_way = None;
    }
}

impl Pool {
    /// Looks at what each worker has done, and renews the eldest that has done enough.
    pub(super) fn renew(&mut self) {
        let limits = self.config.life;
        let period = if limits.max_requests.is_some() { OFTEN } else { SELDOM };
        self.renewals.next_look = Instant::now() + if limits.are_none() { Duration::from_hours(24) } else { period };
        let all_answer = self.workers.iter().filter(|worker| worker.stage == Stage::Ready).count();
        // One that drains keeps its place in the metrics: reloads need room too.
        let draining = self.workers.iter().filter(|worker| worker.stage == Stage::Draining).count();
        let most = self.config.workers as usize;
        if limits.are_none()
            || self.is_ending()
            || self.reload != Reload::None
            || self.renewals.under_way.is_some()
            || Instant::now() < self.renewals.not_before
            || all_answer != most
            || draining >= most.max(2)
        {
            return;
        }
        let spent = self.workers.iter().filter(|worker| worker.stage == Stage::Ready && !worker.debugged);
        let spent = spent.filter_map(|worker| {
            let seen = Seen {
                answered: self.metrics.answered_by(worker.slot).wrapping_sub(worker.answered_before),
                life: worker.ready_since.map_or(Duration::ZERO, |since| since.elapsed()),
                resident: limits.max_memory.and_then(|_| life::resident(worker.pid)),
            };
            Some((worker.started, worker.id, worker.quota.spent(&seen)?))
        });
        let Some((_, old, why)) = spent.min_by_key(|(started, ..)| *started) else { return };
        match self.start_worker(self.current) {
            Ok(Some(new)) => self.renewals.under_way = Some(UnderWay { old, new, why: why.to_string() }),
            Ok(None) => {}
            Err(error) => {
                // The interpreter may be away for a moment, while its environment is made anew.
                tracing::warn!(%error, "cannot start a worker that takes over from one that has done enough");
                self.renewals.not_before = Instant::now() + self.renewals.backoff.after(Duration::ZERO);
            }
        }
    }

    /// A worker answers: the one that it was started for drains.
    pub(super) fn finish_renewal(&mut self, id: u64) {
        self.look_at_size(id);
        let Some(UnderWay { old, why, .. }) = self.renewals.under_way.take_if(|renewal| renewal.new == id) else {
            return;
        };
        let (linger, grace) = (self.config.linger, self.config.grace);
        let successor = self.worker(id).map_or(0, |worker| worker.pid);
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.id == old && worker.stage == Stage::Ready)
        else {
            return;
        };
        worker.drain(linger, grace, Leaves::Workers);
        let life = worker.ready_since.map_or(Duration::ZERO, |since| since.elapsed());
        let pid = worker.pid;
        self.report.renewed(pid, &why, successor);
        let pause = self.renewals.backoff.after(life);
        self.renewals.not_before = Instant::now() + pause;
        if pause > SELDOM && !self.renewals.told_hurry {
            self.renewals.told_hurry = true;
            self.report.hurried(life);
        }
    }

    /// A worker that has ended may have been part of a renewal. Says whether that is all that follows from its end.
    pub(super) fn ends_renewal(&mut self, id: u64, pid: u32, how: &str, lost: &[String]) -> bool {
        let Some(renewal) = self.renewals.under_way.take_if(|renewal| renewal.new == id || renewal.old == id) else {
            return false;
        };
        if renewal.old == id {
            // Its successor is on its way already, and counts as that of a crash.
            self.metrics.count_restart();
            let (how, lost) = (how.to_owned(), lost.to_owned());
            self.report.tell(&StatusEvent::WorkerDied { pid, how, lost, backoff_ms: 0 });
        } else {
            self.renewals.not_before = Instant::now() + self.renewals.backoff.after(Duration::ZERO);
            self.report.not_renewed(&renewal.why, how);
        }
        true
    }

    /// A worker that is too large as it starts: no successor would be smaller.
    fn look_at_size(&mut self, id: u64) {
        let Some(ceiling) = self.config.life.max_memory else { return };
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.id == id) else { return };
        let Some(resident) = life::resident(worker.pid) else { return };
        worker.quota.born_with(resident);
        if resident >= ceiling.bytes() && self.renewals.told_size != Some(worker.generation) {
            self.renewals.told_size = Some(worker.generation);
            let pid = worker.pid;
            self.report.born_large(pid, resident, ceiling);
        }
    }
}
