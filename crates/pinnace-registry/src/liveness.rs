//! Who decides what lives: terms that end without a sign of life, checks that fail, and what has been critical for too long.
//!
//! One task follows the store. It sleeps until the next term ends or something changes, and keeps one task for each check
//! that the registry asks itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::draft::Draft;
use crate::entry::{Check, CheckKind, Entry, Health, Node, Probe};
use crate::probe::{self, Held, Told};
use crate::registry::{BeatKey, Beats, Owner, Registry};
use crate::state::State;

/// Changes that come close together are looked at together.
const SETTLE: Duration = Duration::from_millis(20);
/// How long to sleep where no term is running.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// Checks that are asked at the same moment.
const MAX_ASKED: usize = 64;
/// The shortest time between two questions of which the second is asked because a connection has ended.
const HANG_UP: Duration = Duration::from_secs(1);
/// Connections that stay open between two questions; beyond that they are closed, and their ends are not noticed.
const MAX_HELD: usize = 256;
/// So many changes within [`FLAP_WINDOW`] are flapping…
const FLAPS: usize = 4;
const FLAP_WINDOW: Duration = Duration::from_mins(1);
/// …and then it takes so many successes in a row to be passing again.
const CALM_SUCCESSES: u32 = 3;
/// The part of all leases that has to stay within a minute where the registry preserves itself, in percent.
const STAYS: usize = 85;
const PRESERVED_FOR: Duration = Duration::from_mins(1);

/// What the task knows from one look to the next.
#[derive(Default)]
struct Watch {
    critical_since: HashMap<BeatKey, Instant>,
    asked: HashMap<BeatKey, Asked>,
    /// When leases were forgotten lately.
    lapsed_at: VecDeque<Instant>,
}

/// Room for questions, and for the connections that they leave; clones share it.
#[derive(Clone)]
struct Places {
    asking: Arc<Semaphore>,
    holding: Arc<Semaphore>,
}

/// A check that the registry asks.
struct Asked {
    probe: Probe,
    task: JoinHandle<()>,
}

/// What has to be done because of the time.
#[derive(Default)]
struct Due {
    /// Checks whose term has ended.
    expired: Vec<(BeatKey, Duration)>,
    /// Leases whose term has ended.
    lapsed: Vec<(BeatKey, Duration)>,
    /// Entries that were critical for too long.
    given_up: Vec<Owner>,
    leases: usize,
    next: Option<Instant>,
}

/// Watches over a registry until nobody holds its store any more.
pub(crate) async fn liveness_task(registry: Registry) {
    let mut changes = registry.store().watch();
    let mut watch = Watch::default();
    let places = Places::default();
    loop {
        let state = Arc::clone(&changes.borrow_and_update());
        watch.follow(&registry, &state, &places);
        let mut due = watch.look(&registry, &state);
        if registry.config().self_preservation {
            watch.preserve(&mut due);
        }
        let next = due.next;
        act(&registry, due).await;
        let sleep_to = next.unwrap_or_else(|| Instant::now() + LONGEST_SLEEP);
        tokio::select! {
            changed = changes.changed() => match changed {
                Ok(()) => sleep(SETTLE).await,
                Err(_) => return,
            },
            () = sleep_until(sleep_to) => {}
        }
    }
}

// ---- Watch ----

impl Watch {
    /// Asks what has to be asked, and nothing else.
    fn follow(&mut self, registry: &Registry, state: &State, places: &Places) {
        let mut known = HashSet::new();
        for (key, check) in checks(state) {
            if let CheckKind::Probe(probe) = &check.kind
                && self.asked.get(&key).is_none_or(|asked| asked.probe != *probe)
            {
                let asking = asking_task(registry.clone(), key.clone(), check.clone(), probe.clone(), places.clone());
                self.asked.insert(key.clone(), Asked { probe: probe.clone(), task: tokio::spawn(asking) });
            }
            known.insert(key);
        }
        for entry in state.entries.values().filter(|entry| entry.lease.is_some()) {
            known.insert(lease_key(entry));
        }
        self.asked.retain(|key, _| known.contains(key));
        self.critical_since.retain(|key, _| known.contains(key));
        registry.beats().retain(|key| known.contains(key));
    }

    /// Keeps what would leave too little of what there was a minute ago: then the network is taken for broken.
    fn preserve(&mut self, due: &mut Due) {
        let now = Instant::now();
        while self.lapsed_at.front().is_some_and(|at| now.duration_since(*at) > PRESERVED_FOR) {
            self.lapsed_at.pop_front();
        }
        let before = due.leases + self.lapsed_at.len();
        let allowed = (before - before * STAYS / 100).saturating_sub(self.lapsed_at.len());
        if due.lapsed.len() > allowed {
            tracing::warn!(expired = due.lapsed.len(), "too many leases have expired; they are kept");
            due.lapsed.truncate(allowed);
        }
        self.lapsed_at.extend(due.lapsed.iter().map(|_| now));
    }

    /// What the time asks for.
    fn look(&mut self, registry: &Registry, state: &State) -> Due {
        let now = Instant::now();
        let mut due = Due::default();
        for (key, check) in checks(state) {
            if let (CheckKind::Ttl(term), false) = (&check.kind, check.status == Health::Critical) {
                let deadline = registry.beats().last(&key) + *term;
                if deadline <= now {
                    due.expired.push((key.clone(), *term));
                } else {
                    due.sleep_until(deadline);
                }
            }
            match (check.status, check.deregister_after) {
                (Health::Critical, Some(patience)) => {
                    let deadline = *self.critical_since.entry(key.clone()).or_insert(now) + patience;
                    if deadline <= now {
                        due.given_up.push(key.of);
                    } else {
                        due.sleep_until(deadline);
                    }
                }
                _ => {
                    self.critical_since.remove(&key);
                }
            }
        }
        for entry in state.entries.values() {
            let Some(lease) = &entry.lease else { continue };
            due.leases += 1;
            let (key, term) = (lease_key(entry), Duration::from_secs(lease.duration.into()));
            let deadline = registry.beats().last(&key) + term;
            if deadline <= now {
                due.lapsed.push((key, term));
                due.sleep_until(now + term);
            } else {
                due.sleep_until(deadline);
            }
        }
        due
    }
}

impl Default for Places {
    fn default() -> Self {
        Self { asking: Arc::new(Semaphore::new(MAX_ASKED)), holding: Arc::new(Semaphore::new(MAX_HELD)) }
    }
}

impl Due {
    fn sleep_until(&mut self, deadline: Instant) {
        self.next = Some(self.next.map_or(deadline, |next| next.min(deadline)));
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Every check with its key.
fn checks(state: &State) -> impl Iterator<Item = (BeatKey, &Check)> {
    let of_entries = state.entries.values().flat_map(|entry| {
        entry
            .checks
            .iter()
            .map(|check| (BeatKey { of: Owner::Entry(entry.key()), check: Some(check.id.clone()) }, check))
    });
    let of_nodes = state.nodes.values().flat_map(|node| {
        let owner = Owner::Node(node.name.clone());
        node.checks.iter().map(move |check| (BeatKey { of: owner.clone(), check: Some(check.id.clone()) }, check))
    });
    of_entries.chain(of_nodes)
}

/// Under which key an entry's lease is renewed.
pub(crate) fn lease_key(entry: &Entry) -> BeatKey {
    BeatKey { of: Owner::Entry(entry.key()), check: None }
}

async fn act(registry: &Registry, due: Due) {
    let Due { expired, lapsed, given_up, .. } = due;
    if expired.is_empty() && lapsed.is_empty() && given_up.is_empty() {
        return;
    }
    let beats = registry.beats().clone();
    let changed = registry.store().change(move |draft| {
        for (key, term) in &expired {
            // It may have said that it lives in the meantime.
            if is_over(&beats, key, *term) {
                let output = format!("nothing was heard for {} s", term.as_secs_f64());
                set_health(draft, key, Health::Critical, Some(&output));
            }
        }
        for (key, term) in &lapsed {
            if let Owner::Entry(entry) = &key.of
                && is_over(&beats, key, *term)
            {
                tracing::info!(service = entry.service, id = entry.id, "the lease has expired; it is forgotten");
                draft.remove(entry);
            }
        }
        for owner in &given_up {
            if let Owner::Entry(entry) = owner {
                tracing::info!(service = entry.service, id = entry.id, "it was critical for too long; it is forgotten");
                draft.remove(entry);
            }
        }
    });
    if let Err(error) = changed.await {
        tracing::error!(error = %error, "the registry could not be written");
        // The same will be due at the next look: not at once, for a full disk is not mended by haste.
        sleep(Duration::from_secs(1)).await;
    }
}

fn is_over(beats: &Beats, key: &BeatKey, term: Duration) -> bool {
    beats.last(key) + term <= Instant::now()
}

/// Says how a check stands from now on; says whether there is such a check. Where there is no room for its output it is left
/// out: how the check stands is told in any case.
pub(crate) fn set_health(draft: &mut Draft, key: &BeatKey, health: Health, output: Option<&str>) -> bool {
    let change = |checks: &mut [Check], output: Option<&str>| {
        let Some(check) = checks.iter_mut().find(|check| Some(&check.id) == key.check.as_ref()) else { return false };
        check.status = health;
        if let Some(output) = output {
            output.clone_into(&mut check.output);
        }
        true
    };
    for output in [output, Some("")] {
        let put = match &key.of {
            Owner::Entry(of) => {
                let Some(mut entry) = draft.state().entries.get(of).map(|entry| Entry::clone(entry)) else {
                    return false;
                };
                change(&mut entry.checks, output) && draft.put(entry).is_ok()
            }
            Owner::Node(of) => {
                let Some(mut node) = draft.state().nodes.get(of).map(|node| Node::clone(node)) else { return false };
                change(&mut node.checks, output) && draft.put_node(node).is_ok()
            }
        };
        if put {
            return true;
        }
    }
    false
}

// ---- asking ----

/// Asks one check again and again, and tells what changes.
async fn asking_task(registry: Registry, key: BeatKey, check: Check, probe: Probe, places: Places) {
    let mut damping = Damping::default();
    loop {
        let Ok(place) = places.asking.acquire().await else { return };
        let asked_at = Instant::now();
        let Told { health: seen, output, held } = timeout(probe.timeout, probe::ask(&probe.target))
            .await
            .unwrap_or_else(|_| Told::critical(format!("no answer within {} s", probe.timeout.as_secs_f64())));
        drop(place);
        let Some(told) = health_of(&registry.store().now(), &key) else { return };
        if damping.decides(told, seen, &check, Instant::now()) {
            let (key, output) = (key.clone(), crate::entry::shortened(&output, crate::entry::MAX_OUTPUT));
            let changed = registry.store().change(move |draft| set_health(draft, &key, seen, Some(&output)));
            if let Err(error) = changed.await {
                tracing::error!(error = %error, "the registry could not be written");
            }
        }
        let room = held.as_ref().and_then(|_| places.holding.try_acquire().ok());
        pause(&probe, held.filter(|_| room.is_some()), asked_at).await;
    }
}

/// Waits for the next question: its time, or the end of the connection that the last one came over. Whoever hangs up on
/// everyone is asked no more often than once a second.
async fn pause(probe: &Probe, held: Option<Held>, asked_at: Instant) {
    let Some(held) = held else { return sleep(probe.interval).await };
    tokio::select! {
        () = sleep(probe.interval) => {}
        () = held => sleep_until(asked_at + HANG_UP.min(probe.interval)).await,
    }
}

fn health_of(state: &State, key: &BeatKey) -> Option<Health> {
    let checks = match &key.of {
        Owner::Entry(of) => &state.entries.get(of)?.checks,
        Owner::Node(of) => &state.nodes.get(of)?.checks,
    };
    checks.iter().find(|check| Some(&check.id) == key.check.as_ref()).map(|check| check.status)
}

/// Keeps what comes and goes from waking everybody each time.
#[derive(Debug, Default)]
struct Damping {
    flips: VecDeque<Instant>,
    in_a_row: u32,
}

impl Damping {
    /// Whether what was seen is told, where something else was told last.
    fn decides(&mut self, told: Health, seen: Health, check: &Check, now: Instant) -> bool {
        if seen == told {
            self.in_a_row = 0;
            return false;
        }
        self.in_a_row += 1;
        while self.flips.front().is_some_and(|at| now.duration_since(*at) > FLAP_WINDOW) {
            self.flips.pop_front();
        }
        let needed = match seen {
            Health::Critical => check.failures_before_critical,
            _ if self.flips.len() >= FLAPS => check.successes_before_passing.max(CALM_SUCCESSES),
            _ => check.successes_before_passing,
        };
        if self.in_a_row < needed.max(1) {
            return false;
        }
        self.in_a_row = 0;
        self.flips.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Damping;
    use crate::entry::{Check, Health};

    #[test]
    fn what_comes_and_goes_has_to_be_calm_before_it_passes_again() {
        let (mut damping, check) = (Damping::default(), Check::told("c", Health::Critical));
        let mut now = Instant::now();
        for _ in 0..2 {
            assert!(damping.decides(Health::Critical, Health::Passing, &check, now));
            assert!(damping.decides(Health::Passing, Health::Critical, &check, now));
        }
        for expected in [false, false, true] {
            now += Duration::from_secs(1);
            assert_eq!(damping.decides(Health::Critical, Health::Passing, &check, now), expected);
        }
        assert!(damping.decides(Health::Passing, Health::Critical, &check, now), "bad news is told at once");
        now += Duration::from_mins(2);
        assert!(damping.decides(Health::Critical, Health::Passing, &check, now), "a quiet while makes good");
    }

    #[test]
    fn as_many_results_in_a_row_are_needed_as_the_check_asks_for() {
        let check = Check { failures_before_critical: 3, ..Check::told("c", Health::Passing) };
        let (mut damping, now) = (Damping::default(), Instant::now());
        for expected in [false, false] {
            assert_eq!(damping.decides(Health::Passing, Health::Critical, &check, now), expected);
        }
        assert!(!damping.decides(Health::Passing, Health::Passing, &check, now));
        for expected in [false, false, true] {
            assert_eq!(damping.decides(Health::Passing, Health::Critical, &check, now), expected);
        }
    }
}
