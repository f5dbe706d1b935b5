//! The shedder beside simulated servers: one thread, several threads, and handlers that only wait.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;

/// A request that has come, as the simulation sees it.
struct Coming {
    ticket: Ticket,
    came: Instant,
}

/// What a simulated time has shown.
#[derive(Debug, Default)]
struct Outcome {
    shed: u32,
    latencies: Vec<Duration>,
}

/// A server with so many threads, on which every request takes the same time; arrivals are random.
struct Simulation {
    shedder: Arc<Shedder>,
    threads: usize,
    cost: Duration,
    /// Whether the time is the processor's, or the handlers sleep.
    computes: bool,
    now: Instant,
    random: u64,
    queue: VecDeque<Coming>,
    running: BinaryHeap<Reverse<(Instant, u64)>>,
    tickets: std::collections::HashMap<u64, Coming>,
    used: Duration,
    next: u64,
}

impl Simulation {
    fn new(config: ShedConfig, threads: usize, cost: Duration) -> Self {
        let now = Instant::now();
        Self {
            shedder: Shedder::new(config, now),
            threads,
            cost,
            computes: true,
            now,
            random: 7,
            queue: VecDeque::new(),
            running: BinaryHeap::new(),
            tickets: std::collections::HashMap::new(),
            used: Duration::ZERO,
            next: 0,
        }
    }

    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.random >> 33).unwrap()) / f64::from(1_u32 << 31)
    }

    /// Lets requests come at a rate for a while.
    fn run(&mut self, rate: f64, length: Duration) -> Outcome {
        let mut outcome = Outcome::default();
        let end = self.now + length;
        let mut arrival = self.now;
        loop {
            arrival += Duration::from_secs_f64(-(1.0 - self.uniform()).ln() / rate);
            if arrival > end {
                self.work_until(end, &mut outcome);
                return outcome;
            }
            self.work_until(arrival, &mut outcome);
            self.come(&mut outcome);
        }
    }

    fn come(&mut self, outcome: &mut Outcome) {
        let used = self.used;
        match self.shedder.admit(self.now, || used) {
            Ok(ticket) => self.queue.push_back(Coming { ticket, came: self.now }),
            Err(_) => outcome.shed += 1,
        }
        self.begin();
    }

    fn begin(&mut self) {
        while self.running.len() < self.threads
            && let Some(coming) = self.queue.pop_front()
        {
            coming.ticket.start(self.now);
            self.next += 1;
            self.running.push(Reverse((self.now + self.cost, self.next)));
            self.tickets.insert(self.next, coming);
        }
    }

    fn work_until(&mut self, moment: Instant, outcome: &mut Outcome) {
        while let Some(Reverse((ends, id))) = self.running.peek().copied().filter(|Reverse((ends, _))| *ends <= moment)
        {
            self.running.pop();
            self.now = ends;
            if self.computes {
                self.used += self.cost;
            }
            let done = self.tickets.remove(&id).unwrap();
            done.ticket.answer(ends);
            outcome.latencies.push(ends - done.came);
            drop(done);
            self.begin();
        }
        self.now = moment;
    }
}

impl Outcome {
    fn p99(&mut self) -> Duration {
        self.latencies.sort_unstable();
        self.latencies[self.latencies.len() * 99 / 100]
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const MINUTE: Duration = Duration::from_mins(1);

fn rate(cost: Duration, share: f64) -> f64 {
    share / cost.as_secs_f64()
}

#[test]
fn nothing_is_shed_at_four_fifths_of_the_capacity_however_long_a_request_takes() {
    for cost in [millis(1), millis(5), millis(20), millis(100)] {
        let mut simulation = Simulation::new(ShedConfig::default(), 1, cost);
        let outcome = simulation.run(rate(cost, 0.8), MINUTE * 5);
        assert_eq!(outcome.shed, 0, "{cost:?}");
    }
}

#[test]
fn at_twice_the_capacity_waits_stay_bounded_and_nearly_all_of_the_capacity_is_used() {
    for cost in [millis(1), millis(5), millis(20), millis(100)] {
        let accepted = millis(250).max(cost * DEEP);
        let mut simulation = Simulation::new(ShedConfig::default(), 1, cost);
        let mut outcome = simulation.run(rate(cost, 2.0), MINUTE);
        let share = f64::from(u32::try_from(outcome.latencies.len()).unwrap()) / (60.0 / cost.as_secs_f64());
        assert!(share > 0.98, "{cost:?}: {share}");
        // With the beginning, when nobody knows yet that this is no burst.
        assert!(outcome.p99() < accepted * 3, "{cost:?}: {:?}", outcome.p99());
        let mut steady = simulation.run(rate(cost, 2.0), MINUTE);
        assert!(steady.p99() < accepted * 2, "{cost:?}: {:?}", steady.p99());
    }
}

#[test]
fn an_overload_is_over_soon_after_its_end() {
    let cost = millis(5);
    let mut simulation = Simulation::new(ShedConfig::default(), 1, cost);
    assert!(simulation.run(rate(cost, 3.0), MINUTE).shed > 1_000);
    simulation.run(rate(cost, 0.5), Duration::from_secs(3));
    assert_eq!(simulation.shedder.limit(), None);
    assert_eq!(simulation.run(rate(cost, 0.8), MINUTE).shed, 0);
}

#[test]
fn a_burst_is_worked_off_and_not_shed() {
    let cost = millis(2);
    let mut simulation = Simulation::new(ShedConfig::default(), 1, cost);
    let mut outcome = Outcome::default();
    for _ in 0..20 {
        for _ in 0..300 {
            simulation.come(&mut outcome);
        }
        let more = simulation.run(rate(cost, 0.2), Duration::from_secs(2));
        outcome.shed += more.shed;
    }
    assert_eq!(outcome.shed, 0, "each burst is 600 ms of work");
}

#[test]
fn handlers_that_sleep_are_no_overload_however_many_there_are() {
    let config = ShedConfig { evidence: Evidence::WaitAndProcessor, ..ShedConfig::default() };
    // Of an event loop, nobody waits for a turn; of a pool, many wait for threads, but the processor is idle.
    for (config, threads) in [(ShedConfig::default(), 100_000), (config, 8)] {
        let mut simulation = Simulation::new(config, threads, Duration::from_secs(1));
        simulation.computes = false;
        let mut outcome = Outcome::default();
        for _ in 0..1_000 {
            simulation.come(&mut outcome);
        }
        outcome.shed += simulation.run(100.0, MINUTE).shed;
        assert_eq!(outcome.shed, 0, "{threads} threads");
    }
}

#[test]
fn a_pool_whose_processor_is_busy_is_overloaded() {
    let config = ShedConfig { evidence: Evidence::WaitAndProcessor, ..ShedConfig::default() };
    let mut simulation = Simulation::new(config, 1, millis(4));
    let mut outcome = simulation.run(500.0, MINUTE);
    assert!(outcome.shed > 10_000);
    assert!(outcome.p99() < millis(700), "{:?}", outcome.p99());
}

#[test]
fn work_that_waits_behind_its_start_is_an_overload_too() {
    // Everything starts at once, as on an application's own threads, and shares one processor.
    let now = Instant::now();
    let shedder = Shedder::new(ShedConfig::default(), now);
    let (mut now, mut used) = (now, Duration::ZERO);
    let mut running: VecDeque<(Ticket, Instant)> = VecDeque::new();
    let (mut shed, mut worst) = (0, Duration::ZERO);
    for step in 0_u64..40_000 {
        now += millis(1);
        // One comes each 2 ms at first, then each millisecond; one is done each 2 ms.
        let is_busy = step > 5_000;
        if is_busy || step % 3 == 0 {
            match shedder.admit(now, || used) {
                Ok(ticket) => {
                    ticket.start(now);
                    running.push_back((ticket, now));
                }
                Err(_) => shed += 1,
            }
        }
        if !running.is_empty() {
            used += millis(1);
        }
        if step % 2 == 0
            && let Some((ticket, came)) = running.pop_front()
        {
            ticket.answer(now);
            if step > 10_000 {
                worst = worst.max(now - came);
            }
        }
    }
    assert!(shed > 10_000, "{shed}");
    assert!(worst < millis(600), "{worst:?}");
}

#[test]
fn the_fixed_limit_holds_without_any_overload_and_the_switch_turns_the_rest_off() {
    let config = ShedConfig { adapts: false, most: Some(3), ..ShedConfig::default() };
    let mut now = Instant::now();
    let shedder = Shedder::new(config, now);
    let mut tickets: Vec<_> = (0..3).map(|_| shedder.admit(now, || Duration::ZERO).unwrap()).collect();
    assert_eq!(shedder.admit(now, || Duration::ZERO).unwrap_err(), Refused::Full { most: 3 });
    tickets.pop();
    assert!(shedder.admit(now, || Duration::ZERO).is_ok(), "a place is free again, and given back at once");
    let unlimited = Shedder::new(ShedConfig { most: None, ..config }, now);
    for _ in 0..10_000 {
        now += millis(1);
        tickets.push(unlimited.admit(now, || panic!("nobody has to know")).unwrap());
    }
    assert_eq!(unlimited.in_flight(), 10_000);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// What may happen to a shedder.
    #[derive(Clone, Debug)]
    enum Step {
        Come,
        Start(usize),
        Answer(usize),
        Abandon(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Come),
            3 => any::<usize>().prop_map(Step::Start),
            3 => any::<usize>().prop_map(Step::Answer),
            1 => any::<usize>().prop_map(Step::Abandon),
            3 => (0_u64..400).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_the_count_is_right_and_the_bounds_hold(
            steps in proptest::collection::vec(step(), 1..600),
            most in proptest::option::of(1_u32..40),
        ) {
            let mut now = Instant::now();
            let begun = now;
            let config = ShedConfig { most, ..ShedConfig::default() };
            let shedder = Shedder::new(config, now);
            let mut tickets: Vec<Ticket> = Vec::new();
            for step in steps {
                let count = u32::try_from(tickets.len()).unwrap();
                match step {
                    Step::Come => match shedder.admit(now, || now - begun) {
                        Ok(ticket) => {
                            prop_assert!(most.is_none_or(|most| count < most));
                            tickets.push(ticket);
                        }
                        Err(Refused::Full { most }) => prop_assert_eq!(count, most),
                        Err(Refused::Overloaded) => prop_assert!(count >= config.least),
                    },
                    Step::Start(at) if count > 0 => tickets[at % tickets.len()].start(now),
                    Step::Answer(at) if count > 0 => {
                        let ticket = tickets.swap_remove(at % tickets.len());
                        ticket.answer(now);
                    }
                    Step::Abandon(at) if count > 0 => drop(tickets.swap_remove(at % tickets.len())),
                    Step::Wait(millis) => now += Duration::from_millis(millis),
                    _ => {}
                }
                prop_assert_eq!(usize::try_from(shedder.in_flight()).unwrap(), tickets.len());
                if let Some(limit) = shedder.limit() {
                    prop_assert!(limit >= config.least.min(most.unwrap_or(u32::MAX)));
                }
            }
            // However it was, a server that has nothing to do is soon calm.
            tickets.clear();
            for _ in 0..60 {
                now += Duration::from_millis(101);
                let ticket = shedder.admit(now, || Duration::ZERO);
                prop_assert!(ticket.is_ok());
                let ticket = ticket.unwrap();
                ticket.start(now);
                ticket.answer(now);
            }
            prop_assert_eq!(shedder.limit(), most);
        }
    }
}
