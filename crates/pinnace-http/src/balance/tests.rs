//! How requests spread over targets.

use std::collections::HashMap;
use std::time::Duration;

use http::uri::Authority;

use super::{Balancer, Target, Turn};

fn target(id: &str, weight: u32) -> Target {
    let port = 4000 + id.bytes().map(u32::from).sum::<u32>();
    Target { id: id.to_owned(), authority: format!("127.0.0.1:{port}").parse().unwrap(), weight }
}

fn balancer(targets: &[(&str, u32)]) -> Balancer {
    let balancer = Balancer::new(7);
    balancer.replace(targets.iter().map(|(id, weight)| target(id, *weight)));
    balancer
}

/// Sends so many requests, one after the other, that each take as long as their target says.
async fn send(balancer: &Balancer, requests: u32, time: impl Fn(&str) -> u64) -> HashMap<String, u32> {
    let mut sent = HashMap::new();
    for _ in 0..requests {
        let turn = balancer.choose(&[]).unwrap();
        tokio::time::advance(Duration::from_millis(time(&turn.target().id))).await;
        turn.answered();
        *sent.entry(turn.target().id.clone()).or_default() += 1;
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn equal_targets_get_their_weights_share() {
    let sent = send(&balancer(&[("a", 9), ("b", 1)]), 10_000, |_| 5).await;
    assert!((850..=1150).contains(&sent["b"]), "{sent:?}");
    let sent = send(&balancer(&[("a", 1), ("b", 1), ("c", 1)]), 9_000, |_| 5).await;
    assert!(sent.values().all(|count| (2_500..=3_500).contains(count)), "{sent:?}");
}

/// Sends so many requests, of which so many are on their way at a time.
async fn send_at_once(
    balancer: &Balancer,
    requests: u32,
    at_once: usize,
    time: impl Fn(&str) -> u64,
) -> HashMap<String, u32> {
    let (mut sent, mut under_way, mut now) = (HashMap::new(), Vec::<(u64, Turn)>::new(), 0);
    for _ in 0..requests {
        if under_way.len() == at_once {
            under_way.sort_by_key(|(due, _)| std::cmp::Reverse(*due));
            let (due, turn) = under_way.pop().unwrap();
            tokio::time::advance(Duration::from_millis(due - now)).await;
            now = due;
            turn.answered();
        }
        let turn = balancer.choose(&[]).unwrap();
        let id = turn.target().id.clone();
        under_way.push((now + time(&id), turn));
        *sent.entry(id).or_default() += 1;
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn equals_share_as_their_weights_say_at_any_load() {
    for at_once in [1, 2, 5, 20, 100] {
        let balancer = balancer(&[("a", 9), ("b", 1)]);
        send(&balancer, 200, |_| 10).await;
        let sent = send_at_once(&balancer, 20_000, at_once, |_| 10).await;
        assert!((1_500..=2_600).contains(&sent["b"]), "{at_once} at once: {sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_target_gets_little_and_its_share_again_once_it_is_forgiven() {
    for at_once in [1, 4, 40] {
        let balancer = balancer(&[("slow", 1), ("fast", 1)]);
        let sent = send_at_once(&balancer, 9_000, at_once, |id| if id == "slow" { 400 } else { 10 }).await;
        assert!(sent["slow"] < 450, "{at_once} at once: {sent:?}");
        tokio::time::advance(Duration::from_mins(1)).await;
        let sent = send_at_once(&balancer, 9_000, at_once, |_| 10).await;
        assert!(sent["slow"] > 4_000, "{at_once} at once: {sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_stuck_gets_next_to_nothing() {
    let balancer = balancer(&[("stuck", 1), ("fast", 1)]);
    let mut held = Vec::new();
    for _ in 0..1_000 {
        let turn = balancer.choose(&[]).unwrap();
        if turn.target().id == "stuck" {
            held.push(turn);
        } else {
            tokio::time::advance(Duration::from_millis(5)).await;
            turn.answered();
        }
    }
    assert!(held.len() < 20, "{}", held.len());
}

#[tokio::test(start_paused = true)]
async fn under_load_weights_are_shares_of_what_is_in_flight() {
    let balancer = balancer(&[("a", 3), ("b", 1)]);
    send(&balancer, 100, |_| 5).await;
    let turns: Vec<Turn> = (0..400).map(|_| balancer.choose(&[]).unwrap()).collect();
    let at_b = turns.iter().filter(|turn| turn.target().id == "b").count();
    assert!((80..=125).contains(&at_b), "{at_b}");
    drop(turns);
    assert!(balancer.view().iter().all(|view| view.in_flight == 0));
}

#[tokio::test(start_paused = true)]
async fn who_refuses_is_left_out_for_a_while_that_grows_and_is_tried_where_there_is_no_other() {
    let balancer = balancer(&[("a", 1), ("b", 1)]);
    let refuse = || loop {
        let turn = balancer.choose(&[]).unwrap();
        if turn.target().id == "a" {
            turn.failed();
            return;
        }
    };
    refuse();
    assert!((0..100).all(|_| balancer.choose(&[]).unwrap().target().id == "b"));
    tokio::time::advance(Duration::from_millis(101)).await;
    refuse();
    tokio::time::advance(Duration::from_millis(101)).await;
    assert!((0..100).all(|_| balancer.choose(&[]).unwrap().target().id == "b"), "now it is 200 ms");
    let only_a = [target("b", 1).authority];
    let turn = balancer.choose(&only_a).unwrap();
    assert_eq!(turn.target().id, "a");
    turn.answered();
    drop(turn);
    assert!((0..100).any(|_| balancer.choose(&[]).unwrap().target().id == "a"), "who answers is well");
}

#[tokio::test(start_paused = true)]
async fn what_was_tried_is_not_chosen_again() {
    let balancer = balancer(&[("a", 1), ("b", 1), ("c", 1)]);
    let mut tried: Vec<Authority> = Vec::new();
    while let Some(turn) = balancer.choose(&tried) {
        tried.push(turn.target().authority.clone());
    }
    tried.sort_by_key(ToString::to_string);
    tried.dedup();
    assert_eq!(tried.len(), 3);
    assert!(Balancer::new(1).choose(&[]).is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_target_outlives_a_change_of_the_others() {
    let balancer = balancer(&[("a", 1), ("b", 1)]);
    send(&balancer, 100, |id| if id == "a" { 100 } else { 1 }).await;
    let latency = |id: &str| {
        let view = balancer.view();
        view.into_iter().find(|view| view.target.id == id).and_then(|view| view.latency)
    };
    let before = latency("a");
    assert!(before.is_some());
    balancer.replace([target("a", 5), target("c", 1)]);
    assert_eq!(latency("a"), before);
    assert_eq!(latency("c"), None);
    let leaving = balancer.choose(&[]).unwrap();
    balancer.replace([]);
    assert!(balancer.is_empty());
    leaving.answered();
}
