//! Real processes count into one table and are killed in the middle: what was answered is counted exactly, what was lost
//! is named.
//!
//! A worker is this test program itself, started again with the test `a_worker_process` and a variable.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it is surprised")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use pinnace_telemetry::{ServiceMetrics, WorkerMetrics, new_request_id};

const INDEX: &str = "PINNACE_TEST_WORKER";
const WORKERS: u32 = 4;
/// `answered`, an id, `pending`, an id.
const LINE: usize = "answered ".len() + 32 + " pending ".len() + 32;

/// Not a test of its own: the body of the worker processes.
#[test]
fn a_worker_process() {
    let Ok(index) = std::env::var(INDEX) else { return };
    // Standard input is the shared memory.
    let descriptor = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let metrics = WorkerMetrics::attach(descriptor, index.parse().unwrap()).unwrap();
    let mut out = std::io::stderr().lock();
    loop {
        let (first, second) = (new_request_id(), new_request_id());
        let request = metrics.begin(&first);
        let _never_answered = metrics.begin(&second);
        request.finish("POST", 201, Duration::from_millis(7));
        // The line stands for the response: whoever reads it has seen the answer.
        if writeln!(out, "answered {first} pending {second}").is_err() {
            return;
        }
    }
}

#[test]
fn killed_workers_lose_no_answered_request_and_name_what_they_had_begun() {
    let (service, descriptor) = ServiceMetrics::create(WORKERS, Timestamp::UNIX_EPOCH).unwrap();
    let mut seen = 0_u64;
    let mut lost_in_all = 0;
    let rounds = 5;
    for round in 0..rounds {
        let mut workers: Vec<_> = (0..WORKERS).map(|index| start(index, &descriptor)).collect();
        let answers: Vec<Vec<String>> = workers.iter_mut().map(|worker| kill_after(200 + round * 37, worker)).collect();
        for (index, lines) in (0..).zip(answers) {
            seen += lines.len() as u64;
            let lost = service.lost_requests(index);
            // Between two requests of the loop nothing is open; the second request of a turn is open longest.
            assert!(lost.len() <= 2, "{lost:?}");
            for id in &lost {
                assert!(lines.iter().all(|line| !line.contains(&format!("answered {id}"))), "{id} was answered");
            }
            lost_in_all += lost.len() as u64;
            service.reset(index);
            assert!(service.lost_requests(index).is_empty());
        }
    }
    let answered = service.answered();
    // Of each killed worker one request may have been counted whose line was not written.
    let unseen = u64::from(WORKERS) * rounds;
    assert!((seen..=seen + unseen).contains(&answered), "{seen} answers were seen, {answered} counted");
    assert_eq!((service.active(), service.lost()), (0, lost_in_all));
    assert!(lost_in_all > 0, "no kill hit an open request; the test shows nothing");
}

fn start(index: u32, descriptor: &OwnedFd) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_worker_process", "--nocapture"])
        .env(INDEX, index.to_string())
        .stdin(descriptor.try_clone().unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the worker once it has answered so often, and returns all answers that were seen whole.
fn kill_after(answers: u64, worker: &mut Child) -> Vec<String> {
    let mut lines = BufReader::new(worker.stderr.take().unwrap()).lines();
    let mut seen = Vec::new();
    while (seen.len() as u64) < answers {
        seen.push(lines.next().expect("the worker ended by itself").unwrap());
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
    seen.extend(lines.map(Result::unwrap));
    seen.retain(|line| line.len() == LINE && line.starts_with("answered "));
    seen
}
