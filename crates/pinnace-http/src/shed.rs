//! Adaptive load shedding: how many requests a worker may have in flight while it is overloaded.
//!
//! A request is let in ([`Shedder::admit`]), gets its turn ([`Ticket::start`]) and leaves ([`Ticket`] dropped). While the
//! server is calm everybody is let in. It is overloaded when requests *stand*: for longer than the wait that is accepted,
//! not one got its turn sooner than after that wait. A burst drains and does not stand; a handler that sleeps keeps
//! nobody from a turn. Then the requests in flight are limited, first to what the server completes within the accepted
//! wait (Little's law), afterwards by how the measured wait compares to it. Whoever would exceed the limit is refused at
//! once; the others wait about as long as was accepted, however many come.
//!
//! There is no clock and no I/O in here: time is given, and so is what shows that the processor is what is short.

mod floor;
mod ticket;
mod window;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use floor::Floor;
pub use ticket::Ticket;
use window::{Summary, Window};

/// How long is looked at before anything is concluded.
const WINDOW: Duration = Duration::from_millis(100);
/// How long no request was refused, and nothing waited for long, until an overload is over.
const COOL: Duration = Duration::from_secs(1);
/// What is accepted is at least the time of so many requests, where each takes long: random arrivals at four fifths of
/// the capacity wait for so many once in some thousand requests.
const DEEP: u32 = 20;
/// The accepted wait grows for slow requests up to so many times what was configured.
const STRETCH: u32 = 8;
/// The share of one processor that shows it to be busy.
const BUSY: f64 = 0.9;
/// How far the limit goes in one window.
const STEEPEST: f64 = 0.5;
const SHALLOWEST: f64 = 1.25;
/// Parts of the way to a new limit that are gone in the time of an accepted wait, at most: so long it takes until the waits
/// show what a limit does, and who corrects faster swings.
const SMOOTHING: f64 = 0.5;
/// The limit is in use when so much of it was.
const USED: f64 = 0.9;

/// The settings of a shedder.
///
/// Defaults: adaptive, an accepted wait of 250 ms, 8 requests are let in always, no fixed limit, waits speak for themselves.
#[derive(Clone, Copy, Debug)]
pub struct ShedConfig {
    /// Whether requests are refused because the server is overloaded.
    pub adapts: bool,
    /// How long a request may wait for its turn while others come. Where each request takes long, more is accepted: the
    /// time of twenty of them, at most eight times this.
    pub wait: Duration,
    /// Requests in flight that overload never prevents.
    pub least: u32,
    /// Requests in flight beyond which more are refused, overloaded or not.
    pub most: Option<u32>,
    /// What proves an overload.
    pub evidence: Evidence,
}

/// What proves that a server is overloaded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// That requests wait for their turn: nothing but a busy event loop keeps them from it.
    Wait,
    /// That besides the processor is busy: threads may also be taken by handlers that sleep, and how many wait for
    /// those is bounded by a queue.
    WaitAndProcessor,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The server is overloaded.
    #[error("the server is overloaded")]
    Overloaded,
    /// There are as many requests in flight as may be.
    #[error("{most} requests are in flight, which is the limit")]
    Full {
        /// The limit.
        most: u32,
    },
}

/// Decides which requests are let in.
#[derive(Debug)]
pub struct Shedder {
    config: ShedConfig,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    in_flight: u32,
    window: Window,
    floor: Floor,
    /// Since when no request got its turn in time.
    standing_since: Option<Instant>,
    /// The processor's time at a moment since when requests stand.
    processor: Option<(Instant, Duration)>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Calm,
    Overloaded {
        limit: f64,
        /// When somebody was refused, or waited for long, last.
        hot: Instant,
    },
}

impl Default for ShedConfig {
    fn default() -> Self {
        Self { adapts: true, wait: Duration::from_millis(250), least: 8, most: None, evidence: Evidence::Wait }
    }
}

impl Shedder {
    /// A shedder for a server that has nothing to do yet.
    pub fn new(config: ShedConfig, now: Instant) -> Arc<Self> {
        let state = State {
            in_flight: 0,
            window: Window::new(now),
            floor: Floor::default(),
            standing_since: None,
            processor: None,
            phase: Phase::Calm,
        };
        Arc::new(Self { config, state: Mutex::new(state) })
    }

    /// Lets a request in, or refuses it. `processor` says how much time of a processor the process has had, or stood in line for,
    /// since it began; it is asked only when requests stand.
    pub fn admit(self: &Arc<Self>, now: Instant, processor: impl FnOnce() -> Duration) -> Result<Ticket, Refused> {
        let mut state = self.state.lock();
        if self.config.adapts && now.saturating_duration_since(state.window.since) >= WINDOW {
            state.conclude(&self.config, now, processor);
        }
        if let Some(most) = self.config.most.filter(|most| state.in_flight >= *most) {
            return Err(Refused::Full { most });
        }
        let in_flight = state.in_flight;
        if let Phase::Overloaded { limit, hot } = &mut state.phase
            && f64::from(in_flight) >= limit.max(f64::from(self.config.least))
        {
            *hot = now;
            state.window.peak = state.window.peak.max(in_flight);
            return Err(Refused::Overloaded);
        }
        state.in_flight += 1;
        state.window.peak = state.window.peak.max(in_flight + 1);
        drop(state);
        Ok(Ticket::new(Arc::clone(self), now))
    }

    /// How many requests may be in flight now; nothing: there is no limit.
    pub fn limit(&self) -> Option<u32> {
        match self.state.lock().phase {
            Phase::Calm => self.config.most,
            Phase::Overloaded { limit, .. } => {
                let limit = whole(limit).max(self.config.least);
                Some(self.config.most.map_or(limit, |most| most.min(limit)))
            }
        }
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> u32 {
        self.state.lock().in_flight
    }

    fn started(&self, wait: Duration) {
        self.state.lock().window.count_start(wait);
    }

    fn left(&self, service: Option<Duration>) {
        let mut state = self.state.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if let Some(service) = service {
            state.window.count_end(service);
        }
    }
}

impl State {
    /// Draws the conclusions of the window that ends now.
    fn conclude(&mut self, config: &ShedConfig, now: Instant, processor: impl FnOnce() -> Duration) {
        let seen = self.window.close(now, self.in_flight);
        if seen.started == 0 && seen.elapsed < COOL {
            // Nothing is known of waits: either nobody came, or somebody still has the turn.
            return;
        }
        let accepted = accepted_wait(config, &seen);
        let is_calm = matches!(self.phase, Phase::Calm);
        // What holds requests up after their start, such as threads of the application's own, shows in how long they take.
        let excess = seen.service.saturating_sub(self.floor.value().unwrap_or(seen.service));
        let suspicious = seen.least_wait + excess > accepted;
        let busy = if suspicious || !is_calm { self.is_busy(now, processor()) } else { None };
        if !suspicious && is_calm {
            self.processor = None;
        }
        if is_calm {
            self.floor.learn(now, &seen);
        }
        let is_busy = busy.unwrap_or(is_calm);
        let excess = if busy.unwrap_or(false) { excess } else { Duration::ZERO };
        let counts = match config.evidence {
            Evidence::Wait => true,
            Evidence::WaitAndProcessor => is_busy,
        };
        let least = if counts { seen.least_wait + excess } else { Duration::ZERO };
        let mean = if counts { seen.mean_wait + excess } else { Duration::ZERO };
        if least > accepted {
            self.standing_since.get_or_insert(now);
        } else {
            self.standing_since = None;
        }
        self.phase = match self.phase {
            Phase::Calm => match self.standing_since {
                Some(since) if now.saturating_duration_since(since) >= accepted / 2 && busy.is_some() => {
                    Phase::Overloaded { limit: self.first_limit(config, &seen, accepted), hot: now }
                }
                _ => Phase::Calm,
            },
            Phase::Overloaded { limit, hot } => {
                let hot = if mean > accepted / 2 { now } else { hot };
                if now.saturating_duration_since(hot) >= COOL {
                    self.standing_since = None;
                    Phase::Calm
                } else {
                    Phase::Overloaded { limit: next_limit(config, limit, &seen, mean, accepted), hot }
                }
            }
        };
    }

    /// Whether the processor was busy since the last time this was asked; unknown the first time.
    fn is_busy(&mut self, now: Instant, total: Duration) -> Option<bool> {
        let (since, before) = self.processor.replace((now, total))?;
        let elapsed = now.saturating_duration_since(since).as_secs_f64();
        Some(total.saturating_sub(before).as_secs_f64() >= elapsed * BUSY)
    }

    /// What is completed within the accepted wait, and what is being worked on meanwhile.
    fn first_limit(&self, config: &ShedConfig, seen: &Summary, accepted: Duration) -> f64 {
        let service = self.floor.value().unwrap_or(seen.service);
        bounded(config, seen.rate * (service + accepted).as_secs_f64())
    }
}

/// Slow requests make a queue of a few look like a long wait.
fn accepted_wait(config: &ShedConfig, seen: &Summary) -> Duration {
    let deep = if seen.rate > 0.0 {
        Duration::try_from_secs_f64(f64::from(DEEP) / seen.rate).unwrap_or(Duration::MAX)
    } else {
        Duration::MAX
    };
    deep.clamp(config.wait, config.wait * STRETCH)
}

fn next_limit(config: &ShedConfig, limit: f64, seen: &Summary, wait: Duration, accepted: Duration) -> f64 {
    if seen.started == 0 {
        return limit;
    }
    let ratio = accepted.as_secs_f64() / wait.as_secs_f64().max(1e-6);
    let factor = ratio.clamp(STEEPEST, SHALLOWEST);
    if factor > 1.0 && f64::from(seen.peak) < limit * USED {
        // More would change nothing, and a limit that nobody reaches must not grow out of sight.
        return limit;
    }
    let part = SMOOTHING * (seen.elapsed.as_secs_f64() / accepted.as_secs_f64()).min(1.0);
    bounded(config, limit * (1.0 + part * (factor - 1.0)))
}

fn bounded(config: &ShedConfig, limit: f64) -> f64 {
    limit.clamp(f64::from(config.least), f64::from(config.most.unwrap_or(u32::MAX)).max(f64::from(config.least)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a limit is bounded by u32 and not negative"
)]
fn whole(limit: f64) -> u32 {
    limit as u32
}

#[cfg(test)]
mod tests;
