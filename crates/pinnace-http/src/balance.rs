//! Which of several places gets a request: of two that are drawn by weight, the one that is expected to answer sooner
//! ("power of two choices", with the peak-sensitive moving average of Finagle's client).
//!
//! A [`Balancer`] is told its targets and keeps what it knows of those that stay. [`Balancer::choose`] returns a [`Turn`],
//! which counts as in flight until it is dropped, and is told how it went; one that is not was given up as too slow. A target
//! that takes no connections, or breaks them, is left out for a while that grows with each failure, unless there is no other.
//!
//! It opens no connection and knows no registry: `latency` is what is known of speed, `budget` bounds what is sent twice.

mod budget;
mod latency;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::uri::Authority;
use parking_lot::Mutex;
use tokio::time::Instant;

pub use budget::RetryBudget;
use latency::Latency;

/// For how long a target is left out after its first failure in a row; twice as long after each further one.
const FIRST_PENALTY: Duration = Duration::from_millis(100);
/// The longest that a target is left out.
const LONGEST_PENALTY: Duration = Duration::from_secs(5);

/// The heaviest weight that counts, as Consul has it.
const HEAVIEST: u32 = 65_535;
/// How finely chances are told apart.
const CHANCES: u32 = 1 << 20;
/// How many times sooner the second one that was drawn has to answer to be preferred for that alone: chance decides between
/// near equals, by their weights.
const CLEARLY: f64 = 2.0;

/// A place that requests may go to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// What it is called, such as `orders-1`.
    pub id: String,
    /// Its `host:port`.
    pub authority: Authority,
    /// Its share, relative to the others': 1 to 65 535, anything else counts as the nearest of them.
    pub weight: u32,
}

/// What is known of a target at one moment.
#[derive(Clone, Debug)]
pub struct TargetView {
    /// The target.
    pub target: Target,
    /// Requests that are on their way.
    pub in_flight: u32,
    /// The moving average of the time to the first byte of an answer; nothing before the first answer.
    pub latency: Option<Duration>,
    /// Requests that were sent there.
    pub sent: u64,
    /// Those of them that were refused or broke.
    pub failed: u64,
    /// For how long it is left out from now on.
    pub out_for: Option<Duration>,
}

/// Chooses among targets. It has no bound of its own: there are as many targets as it is told.
#[derive(Debug)]
pub struct Balancer {
    nodes: Mutex<Arc<[Arc<Node>]>>,
    random: Mutex<Random>,
}

/// A request that goes to one target; in flight until it is dropped.
#[derive(Debug)]
pub struct Turn {
    node: Arc<Node>,
    begun: Instant,
    is_told: AtomicBool,
}

/// A target and what is known of it; the latter stays when its name or its weight changes.
struct Node {
    target: Target,
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    in_flight: AtomicU32,
    sent: AtomicU64,
    failed: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    latency: Latency,
    failures_in_a_row: u32,
    out_until: Option<Instant>,
}

/// What decides between two nodes.
struct Load {
    /// Seconds.
    latency: f64,
    in_flight: f64,
    weight: f64,
}

/// xorshift64*: what decides between two targets need not be unguessable.
#[derive(Debug)]
struct Random(u64);

// ---- Balancer ----

impl Balancer {
    /// One that knows no target yet. The seed makes its choices repeatable.
    pub fn new(seed: u64) -> Self {
        Self { nodes: Mutex::new(Arc::new([])), random: Mutex::new(Random(seed | 1)) }
    }

    /// Takes these targets from now on. What is known of one that stays, by its authority, is kept; requests that are on
    /// their way to one that goes are left alone.
    pub fn replace(&self, targets: impl IntoIterator<Item = Target>) {
        let mut nodes = self.nodes.lock();
        let before = Arc::clone(&nodes);
        *nodes = targets
            .into_iter()
            .map(|target| {
                let same = before.iter().find(|node| node.target.authority == target.authority);
                let known = same.map(|node| Arc::clone(&node.known)).unwrap_or_default();
                Arc::new(Node { target, known })
            })
            .collect();
    }

    /// Whether it knows no target.
    pub fn is_empty(&self) -> bool {
        self.nodes.lock().is_empty()
    }

    /// The target for a request that was tried at these before; nothing when there is no other.
    pub fn choose(&self, tried: &[Authority]) -> Option<Turn> {
        let nodes = Arc::clone(&self.nodes.lock());
        let now = Instant::now();
        let fresh: Vec<&Arc<Node>> = nodes.iter().filter(|node| !tried.contains(&node.target.authority)).collect();
        let well: Vec<&Arc<Node>> = fresh.iter().copied().filter(|node| node.is_well(now)).collect();
        // Where all are left out, any of them is better than none.
        let node = self.draw(if well.is_empty() { &fresh } else { &well }, now)?;
        node.known.in_flight.fetch_add(1, Ordering::Relaxed);
        node.known.sent.fetch_add(1, Ordering::Relaxed);
        Some(Turn { node: Arc::clone(node), begun: now, is_told: AtomicBool::new(false) })
    }

    /// What is known of every target, in the order in which they were told.
    pub fn view(&self) -> Vec<TargetView> {
        let now = Instant::now();
        let nodes = Arc::clone(&self.nodes.lock());
        nodes.iter().map(|node| node.view(now)).collect()
    }

    /// The better one of two different ones that are drawn by weight: who is stuck gets nothing while another is there.
    fn draw<'a>(&self, nodes: &[&'a Arc<Node>], now: Instant) -> Option<&'a Arc<Node>> {
        if let [] | [_] = nodes {
            return nodes.first().copied();
        }
        let (one, other, chance) = {
            let mut random = self.random.lock();
            let one = at(nodes, random.below(weight_of(nodes)));
            let rest = weight_of(nodes).saturating_sub(one.weight()).max(1);
            (one, random.below(rest), f64::from(random.below(CHANCES)) / f64::from(CHANCES))
        };
        let others: Vec<&'a Arc<Node>> = nodes.iter().copied().filter(|node| !Arc::ptr_eq(node, one)).collect();
        let second = at(&others, other);
        Some(if Load::of(second, now).takes_over_from(&Load::of(one, now), chance) { second } else { one })
    }
}

fn weight_of(nodes: &[&Arc<Node>]) -> u32 {
    nodes.iter().fold(0_u32, |total, node| total.saturating_add(node.weight()))
}

/// The node at a place on the line of all weights.
fn at<'a>(nodes: &[&'a Arc<Node>], mut place: u32) -> &'a Arc<Node> {
    for node in nodes {
        match place.checked_sub(node.weight()) {
            Some(rest) => place = rest,
            None => return node,
        }
    }
    nodes[nodes.len() - 1]
}

// ---- Load ----

impl Load {
    fn of(node: &Node, now: Instant) -> Self {
        let in_flight = f64::from(node.known.in_flight.load(Ordering::Relaxed));
        let latency = node.known.state.lock().latency.expected(now, in_flight > 0.0);
        Self { latency, in_flight, weight: f64::from(node.weight()) }
    }

    /// Whether a request that was drawn for the first goes here instead, where `chance` is from 0 to 1.
    ///
    /// It does where the cost *with* it (latency × requests ÷ weight) is no higher than the first one's *without* it. And
    /// where the latency is less than half at no higher a cost, it does but for a part: who is ten times slower keeps a tenth
    /// of its requests, and shows with them when it is well again.
    ///
    /// In the first of these, one more request weighs what it does at the lighter of the two: less is no imbalance.
    fn takes_over_from(&self, first: &Self, chance: f64) -> bool {
        let step = 1.0 / self.weight.min(first.weight);
        let cost = |load: &Self, more: f64| load.latency * (load.in_flight / load.weight + more);
        let with_it = |load: &Self| cost(load, 1.0 / load.weight);
        let is_faster = self.latency * CLEARLY < first.latency && with_it(self) <= with_it(first);
        cost(self, step) <= cost(first, 0.0) || (is_faster && chance > self.latency / first.latency)
    }
}

// ---- Node ----

impl Node {
    fn weight(&self) -> u32 {
        self.target.weight.clamp(1, HEAVIEST)
    }

    fn is_well(&self, now: Instant) -> bool {
        self.known.state.lock().is_well(now)
    }

    fn view(&self, now: Instant) -> TargetView {
        let state = self.known.state.lock();
        TargetView {
            target: self.target.clone(),
            in_flight: self.known.in_flight.load(Ordering::Relaxed),
            latency: state.latency.average(),
            sent: self.known.sent.load(Ordering::Relaxed),
            failed: self.known.failed.load(Ordering::Relaxed),
            out_for: state.out_until.and_then(|until| until.checked_duration_since(now)).filter(|left| !left.is_zero()),
        }
    }
}

impl State {
    fn is_well(&self, now: Instant) -> bool {
        self.out_until.is_none_or(|until| until <= now)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Node").field(&self.target).finish()
    }
}

// ---- Turn ----

impl Turn {
    /// The target.
    pub fn target(&self) -> &Target {
        &self.node.target
    }

    /// Its answer has begun: the time since the choice is its latency, and it is well.
    pub fn answered(&self) {
        self.is_told.store(true, Ordering::Relaxed);
        let now = Instant::now();
        let mut state = self.node.known.state.lock();
        state.latency.observe(now.duration_since(self.begun), now);
        state.failures_in_a_row = 0;
        state.out_until = None;
    }

    /// It took no connection, or broke it before an answer: others have the next turns for a while. Who fails at once would
    /// seem to be the fastest of all otherwise.
    pub fn failed(&self) {
        self.is_told.store(true, Ordering::Relaxed);
        self.node.known.failed.fetch_add(1, Ordering::Relaxed);
        let mut state = self.node.known.state.lock();
        if !state.is_well(Instant::now()) {
            // Requests that fail together are one failure.
            return;
        }
        let penalty = FIRST_PENALTY * 2_u32.saturating_pow(state.failures_in_a_row.min(10));
        state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
        state.out_until = Some(Instant::now() + penalty.min(LONGEST_PENALTY));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.node.known.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !*self.is_told.get_mut() {
            // Nobody waited any longer: it was at least as slow as that.
            let now = Instant::now();
            self.node.known.state.lock().latency.at_least(now.duration_since(self.begun), now);
        }
    }
}

// ---- Random ----

impl Random {
    /// From 0 to one less than this.
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        // The high half of a product spreads evenly over bounds that are small against 2^64.
        u32::try_from((u128::from(mixed) * u128::from(bound)) >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
