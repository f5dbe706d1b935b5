//! How many requests an event loop begins in one turn, so that it looks at its sockets again soon.
//!
//! A loop that begins everything that has arrived is deaf until all of it was worked on; meanwhile twice as much arrives.
//! Paced, it begins what fits into a few milliseconds, and the rest waits where it can be seen, in order. Requests that
//! cost little are not held up: a thousand of them fit.
//!
//! No clock and no I/O in here: whoever turns the loop says how long the turn was busy.

use std::collections::VecDeque;
use std::time::Duration;

/// How long the work that is begun in one turn should take.
const TURN: Duration = Duration::from_millis(10);
/// Requests that begin in a turn, however little they seem to cost.
const MOST: u32 = 4_096;
/// The weight of the last turn in the estimate of what a request costs.
const FRESH: f64 = 0.3;

/// Who may begin, and who waits.
#[derive(Debug)]
pub struct Pace<W> {
    /// Requests that may still begin in this turn.
    left: u32,
    begun: u32,
    /// Seconds that a request costs.
    cost: f64,
    waiting: VecDeque<W>,
}

impl<W> Default for Pace<W> {
    fn default() -> Self {
        Self { left: MOST, begun: 0, cost: 0.0, waiting: VecDeque::new() }
    }
}

impl<W> Pace<W> {
    /// Begins a request now, where there is room in this turn and nobody waits longer.
    pub fn begin(&mut self) -> bool {
        let may = self.left > 0 && self.waiting.is_empty();
        if may {
            self.left -= 1;
            self.begun += 1;
        }
        may
    }

    /// Remembers who waits for a later turn. What bounds them bounds the requests in flight.
    pub fn wait(&mut self, waiter: W) {
        self.waiting.push_back(waiter);
    }

    /// A turn begins after one that was busy for so long. `wake` is given those who may begin now, and says whether they
    /// still want to.
    pub fn turn(&mut self, busy: Duration, mut wake: impl FnMut(W) -> bool) {
        if self.begun > 0 {
            let cost = busy.as_secs_f64() / f64::from(self.begun);
            self.cost += (cost - self.cost) * FRESH;
        }
        self.begun = 0;
        self.left = self.room();
        while self.left > 0
            && let Some(waiter) = self.waiting.pop_front()
        {
            if wake(waiter) {
                self.left -= 1;
                self.begun += 1;
            }
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped before")]
    fn room(&self) -> u32 {
        (TURN.as_secs_f64() / self.cost.max(1e-9)).clamp(1.0, f64::from(MOST)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(pace: &mut Pace<u32>, busy: u64) -> Vec<u32> {
        let mut woken = Vec::new();
        pace.turn(Duration::from_micros(busy), |waiter| {
            woken.push(waiter);
            true
        });
        woken
    }

    #[test]
    fn cheap_requests_are_never_held_up() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            assert!((0..500).all(|_| pace.begin()));
            assert_eq!(turn(&mut pace, 500 * 20), [0_u32; 0]);
        }
    }

    #[test]
    fn costly_requests_begin_a_few_at_a_time_and_in_order() {
        let mut pace = Pace::default();
        for _ in 0..10 {
            assert!(pace.begin());
            turn(&mut pace, 4_000);
        }
        let waiting: Vec<u32> = (0..10).filter(|_| !pace.begin()).collect();
        assert_eq!(waiting.len(), 8, "two of 4 ms fit into a turn");
        for waiter in &waiting {
            pace.wait(*waiter);
        }
        assert_eq!(turn(&mut pace, 8_000), waiting[..2]);
        assert!(!pace.begin(), "others wait longer");
        assert_eq!(turn(&mut pace, 8_000), waiting[2..4]);
    }

    #[test]
    fn one_begins_in_each_turn_however_much_it_costs_and_the_estimate_is_forgotten() {
        let mut pace = Pace::default();
        assert!(pace.begin());
        turn(&mut pace, 5_000_000);
        assert!(pace.begin());
        assert!(!pace.begin());
        let mut turns = 0;
        while pace.room() < 100 {
            turn(&mut pace, 50);
            assert!(pace.begin());
            turns += 1;
        }
        assert!(turns < 40, "{turns} turns");
    }

    #[test]
    fn who_has_gone_takes_nobodys_place() {
        let mut pace = Pace::default();
        assert!(pace.begin());
        turn(&mut pace, 100_000);
        assert!(pace.begin());
        for waiter in 0..3 {
            pace.wait(waiter);
        }
        let mut asked = Vec::new();
        pace.turn(Duration::from_millis(100), |waiter| {
            asked.push(waiter);
            waiter == 2
        });
        assert_eq!(asked, [0, 1, 2]);
        assert_eq!(pace.waiting(), 0);
    }
}
