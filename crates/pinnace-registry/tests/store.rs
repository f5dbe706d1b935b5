//! What the store promises: an index that never goes back, changes that wake those who wait, and files that are never lost.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to say where")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use jiff::Timestamp;
use pinnace_registry::{Registration, Store, StoreConfig, StoreError};
use pinnace_types::ServiceName;
use pinnace_types::control::ServiceState;

const FOLDER: &str = "PINNACE_TEST_REGISTRY";

fn at(millis: i64) -> impl Fn() -> Timestamp + Send + Sync + 'static {
    move || Timestamp::from_millisecond(millis).unwrap()
}

fn open(folder: &Path) -> Store {
    Store::open(folder, StoreConfig::default(), at(1_000)).unwrap().store
}

fn orders(id: &str, state: ServiceState) -> Registration {
    Registration {
        service: ServiceName::try_new("orders").unwrap(),
        id: id.to_owned(),
        address: "127.0.0.1".to_owned(),
        port: Some(41_231),
        tags: vec!["a".to_owned()],
        meta: BTreeMap::new(),
        state,
    }
}

#[test]
fn what_was_put_is_there_after_a_restart_with_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let first = store.put(orders("orders-1", ServiceState::Starting)).unwrap();
    let second = store.put(orders("orders-1", ServiceState::Ready)).unwrap();
    let third = store.put(orders("orders-2", ServiceState::Ready)).unwrap();
    assert!(first < second && second < third);
    let before = store.instances();
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.instances(), before);
    let (_, of) = store.instances_of(&ServiceName::try_new("orders").unwrap());
    assert_eq!((of.len(), of[0].create_index, of[0].modify_index), (2, first, second));
}

#[test]
fn saying_the_same_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let index = store.put(orders("orders-1", ServiceState::Ready)).unwrap();
    assert_eq!(store.put(orders("orders-1", ServiceState::Ready)).unwrap(), index);
    assert_eq!(store.replace(vec![orders("orders-1", ServiceState::Ready)]).unwrap(), index);
    assert_eq!(store.remove(&ServiceName::try_new("orders").unwrap(), "orders-9").unwrap(), index);
}

#[test]
fn replacing_is_one_change_that_also_forgets() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.put(orders("orders-1", ServiceState::Ready)).unwrap();
    let index = store.put(orders("orders-2", ServiceState::Ready)).unwrap();
    let after = store.replace(vec![orders("orders-2", ServiceState::Ready), orders("orders-3", ServiceState::Ready)]);
    assert_eq!(after.unwrap(), index + 1);
    let ids: Vec<_> = store.instances().1.into_iter().map(|instance| instance.registration.id).collect();
    assert_eq!(ids, ["orders-2", "orders-3"]);
}

#[test]
fn since_is_the_beginning_of_the_state_and_not_of_the_last_change() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(std::sync::atomic::AtomicI64::new(5));
    let hand = Arc::clone(&clock);
    let now = move || Timestamp::from_millisecond(hand.load(std::sync::atomic::Ordering::Relaxed)).unwrap();
    let store = Store::open(folder.path(), StoreConfig::default(), now).unwrap().store;
    store.put(orders("orders-1", ServiceState::Ready)).unwrap();
    clock.store(9, std::sync::atomic::Ordering::Relaxed);
    store.put(Registration { port: Some(1), ..orders("orders-1", ServiceState::Ready) }).unwrap();
    assert_eq!(store.instances().1[0].since.as_millisecond(), 5);
    store.put(orders("orders-1", ServiceState::Stopping)).unwrap();
    assert_eq!(store.instances().1[0].since.as_millisecond(), 9);
}

#[tokio::test]
async fn whoever_waits_on_an_index_is_woken_by_the_next_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let seen = store.index();
    let writer = Arc::clone(&store);
    let task = tokio::task::spawn_blocking(move || writer.put(orders("orders-1", ServiceState::Ready)).unwrap());
    assert_eq!(store.beyond(seen).await, task.await.unwrap());
    assert_eq!(store.beyond(seen).await, seen + 1, "what has happened needs no waiting");
}

#[test]
fn more_instances_than_allowed_and_nonsense_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreConfig { max_instances: 1 }, at(0)).unwrap().store;
    store.put(orders("orders-1", ServiceState::Ready)).unwrap();
    let before = store.instances();
    assert!(matches!(store.put(orders("orders-2", ServiceState::Ready)), Err(StoreError::Full { limit: 1 })));
    for id in ["", "a\nb", &"x".repeat(256)] {
        assert!(matches!(store.put(orders(id, ServiceState::Ready)), Err(StoreError::Invalid(_))), "{id:?}");
    }
    assert_eq!(store.instances(), before);
}

#[test]
fn a_damaged_file_is_put_aside_and_the_index_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let index = store.put(orders("orders-1", ServiceState::Ready)).unwrap();
    drop(store);
    let file = folder.path().join("registry.db");
    for damage in [&b"this is no database"[..], &vec![0x53; 40_000]] {
        fs_err::write(&file, damage).unwrap();
        let opened = Store::open(folder.path(), StoreConfig::default(), at(2_000)).unwrap();
        let aside = opened.quarantined.expect("the damaged file was taken for a good one");
        assert_eq!(fs_err::read(aside).unwrap(), damage);
        assert!(opened.store.index() > index);
        assert_eq!(opened.store.instances().1, []);
    }
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let file = folder.path().join("registry.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    connection.close().unwrap();
    let error = Store::open(folder.path(), StoreConfig::default(), at(0)).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert!(file.exists());
}

/// Not a test of its own: writes until it is killed, and says each index once it is durable.
#[test]
fn a_writing_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = open(Path::new(&folder));
    let mut out = std::io::stderr().lock();
    writeln!(out, "index {}", store.index()).unwrap();
    for round in 0_u64.. {
        let state = if round % 2 == 0 { ServiceState::Ready } else { ServiceState::Stopping };
        let index = store.put(orders(&format!("orders-{}", round % 7), state)).unwrap();
        writeln!(out, "index {index}").unwrap();
    }
}

#[test]
fn fifty_kills_in_the_middle_of_writes_never_take_the_index_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0_u64;
    for round in 0..50_usize {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_writing_process", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(writer.stderr.take().unwrap()).lines();
        let mut seen = 0;
        // The seventh line of one round and the fortieth of another: kills come at different moments of a commit.
        while seen < 3 + round * 7 % 29 {
            let line = lines.next().expect("the writer ended by itself").unwrap();
            let index: u64 = line.strip_prefix("index ").unwrap().parse().unwrap();
            assert!(index >= last, "round {round}: {index} after {last}");
            last = index;
            seen += 1;
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            last = line.strip_prefix("index ").and_then(|index| index.parse().ok()).unwrap_or(last).max(last);
        }
    }
    assert!(open(folder.path()).index() >= last);
}
