//! The open loop: operations begin by a schedule, and their latency counts from the moment at which they were due.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::arguments::PaceArgs;
use crate::tally::{Outcome, Tally};

/// Moments that have come and are not taken yet.
const WAITING: usize = 4_096;

/// A schedule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Operations a second.
    pub(crate) rate: f64,
    pub(crate) length: Duration,
    /// Operations that may be on their way; the next one is counted as overflow and not begun.
    pub(crate) outstanding: usize,
}

struct Done {
    due: Instant,
    finished: Instant,
    outcome: Outcome,
}

impl From<&PaceArgs> for Pace {
    fn from(arguments: &PaceArgs) -> Self {
        Self { rate: arguments.rate, length: arguments.length.as_duration(), outstanding: arguments.outstanding }
    }
}

impl Pace {
    fn operations(&self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate times some seconds, not negative"
        )]
        let operations = (self.rate.max(0.0) * self.length.as_secs_f64()).round() as u64;
        operations
    }

    fn due(&self, number: u64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "numbers of operations are far below 2^53")]
        let number = number as f64;
        Duration::from_secs_f64(number / self.rate)
    }
}

/// Begins every operation of the schedule and waits for the last to end.
pub(crate) async fn drive<F, O>(pace: &Pace, begin: F) -> Tally
where
    F: Fn(u64) -> O,
    O: Future<Output = Outcome> + Send + 'static,
{
    let begun = Instant::now();
    let (due_tx, due_rx) = mpsc::channel(WAITING);
    let clock = std::thread::Builder::new().name("schedule".to_owned()).spawn({
        let pace = *pace;
        move || tick(pace, begun, &due_tx)
    });
    let mut tally = follow(due_rx, begun, pace.outstanding, begin).await;
    // It ends after its last tick, which has been taken.
    if clock.is_err() || clock.is_ok_and(|clock| clock.join().is_err()) {
        tally.panicked += 1;
    }
    tally
}

/// Says when each operation is due. A thread of its own, because tokio's timers know whole milliseconds alone.
fn tick(pace: Pace, begun: Instant, due_tx: &mpsc::Sender<Instant>) {
    for number in 0..pace.operations() {
        let due = begun + pace.due(number);
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        if due_tx.blocking_send(due).is_err() {
            return;
        }
    }
}

async fn follow<F, O>(mut due_rx: mpsc::Receiver<Instant>, begun: Instant, outstanding: usize, begin: F) -> Tally
where
    F: Fn(u64) -> O,
    O: Future<Output = Outcome> + Send + 'static,
{
    let mut tally = Tally::default();
    let mut running: JoinSet<Done> = JoinSet::new();
    loop {
        let due = tokio::select! {
            biased;
            Some(done) = running.join_next() => {
                record(&mut tally, begun, done);
                continue;
            }
            due = due_rx.recv() => due,
        };
        let Some(due) = due else { break };
        let number = tally.scheduled;
        tally.scheduled += 1;
        tally.lag = tally.lag.max(due.elapsed());
        if running.len() >= outstanding {
            tally.overflow += 1;
            continue;
        }
        let operation = begin(number);
        running.spawn(async move {
            let outcome = operation.await;
            Done { due, finished: Instant::now(), outcome }
        });
        tally.most_outstanding = tally.most_outstanding.max(running.len());
    }
    tally.begun_within = begun.elapsed();
    while let Some(done) = running.join_next().await {
        record(&mut tally, begun, done);
    }
    tally.length = begun.elapsed();
    tally
}

fn record(tally: &mut Tally, begun: Instant, done: Result<Done, JoinError>) {
    match done {
        Ok(done) => tally.record(done.outcome, done.finished - done.due, done.due - begun),
        Err(_) => tally.panicked += 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::{self, Instant};

    use super::{Pace, drive, follow};
    use crate::tally::{Outcome, Tally};

    fn fine() -> Outcome {
        Outcome { operation: "x", requests: 1, result: Ok(None) }
    }

    /// Follows a schedule in time that stands still while nothing happens.
    async fn in_paused_time<F, O>(pace: Pace, begin: F) -> Tally
    where
        F: Fn(u64) -> O,
        O: Future<Output = Outcome> + Send + 'static,
    {
        let begun = Instant::now();
        let (due_tx, due_rx) = mpsc::channel(1);
        let ticks = async {
            for number in 0..pace.operations() {
                let due = begun + pace.due(number);
                time::sleep_until(due).await;
                due_tx.send(due).await.unwrap();
            }
            drop(due_tx);
        };
        tokio::join!(follow(due_rx, begun, pace.outstanding, begin), ticks).0
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stalls_for_a_second_is_felt_by_all_who_came_in_that_second() {
        let pace = Pace { rate: 100.0, length: Duration::from_secs(2), outstanding: 1_000 };
        let begun = Instant::now();
        let tally = in_paused_time(pace, |_| async move {
            // It answers at once, but not before a second has gone by.
            time::sleep_until(begun + Duration::from_secs(1)).await;
            fine()
        })
        .await;
        let told = tally.operations["x"].latency.percentiles();
        assert_eq!(tally.scheduled, 200);
        // Half of all came while it stalled, evenly over the second.
        for (value, expected) in [(told.p50, 0.0), (told.p90, 800.0), (told.p99, 980.0), (told.max, 1_000.0)] {
            assert!((value - expected).abs() < 15.0, "{told:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_finds_no_room_is_counted() {
        let pace = Pace { rate: 10.0, length: Duration::from_secs(2), outstanding: 5 };
        let tally = in_paused_time(pace, |_| async {
            time::sleep(Duration::from_mins(1)).await;
            fine()
        })
        .await;
        assert_eq!((tally.scheduled, tally.overflow, tally.operations["x"].begun), (20, 15, 5));
        assert_eq!(tally.most_outstanding, 5);
    }

    #[tokio::test]
    async fn a_schedule_is_kept_and_an_operation_that_panics_is_counted() {
        let pace = Pace { rate: 1_000.0, length: Duration::from_millis(200), outstanding: 1_000 };
        let tally = drive(&pace, |number| async move {
            assert!(number != 7, "a defect");
            fine()
        })
        .await;
        assert_eq!((tally.scheduled, tally.panicked, tally.operations["x"].begun), (200, 1, 199));
        assert!(tally.begun_within >= Duration::from_millis(199), "{:?}", tally.begun_within);
    }
}
