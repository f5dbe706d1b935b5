//! Registries that answer nonsense, too much or nothing: what is known stays, and is followed again afterwards.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to say where")]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pinnace_discovery::{
    ConsulRegistry, EurekaConfig, EurekaRegistry, Instances, LeaseState, Registration, Registry, RegistryAddress,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A server of which a test says what it answers.
struct Fake {
    answer: Arc<Mutex<Answer>>,
    /// The first lines of the requests that were answered.
    asked: watch::Receiver<Vec<String>>,
    port: u16,
}

#[derive(Clone)]
enum Answer {
    /// A status line, headers and a body.
    Whole { status: u16, index: u64, body: String },
    /// Something that is no HTTP.
    Garbage,
    /// A body without an end.
    Endless,
    /// The connection is closed.
    Nothing,
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(Answer::Nothing));
        let (asked_tx, asked) = watch::channel(Vec::new());
        let current = Arc::clone(&answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_one(stream, Arc::clone(&current), asked_tx.clone()));
            }
        });
        Self { answer, asked, port }
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    /// Waits until so many more requests were answered.
    async fn is_asked(&mut self, more: usize) {
        let target = self.asked.borrow().len() + more;
        timeout(LONGEST_WAIT, self.asked.wait_for(|asked| asked.len() >= target)).await.unwrap().unwrap();
    }
}

async fn answer_one(mut stream: TcpStream, answer: Arc<Mutex<Answer>>, asked: watch::Sender<Vec<String>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let answer = answer.lock().clone();
    // The one who asks hangs up on what is too much.
    let _ = match answer {
        Answer::Whole { status, index, body } => {
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} X\r\nX-Consul-Index: {index}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            stream.write_all(text.as_bytes()).await
        }
        Answer::Garbage => stream.write_all(b"\x00\xff no HTTP at all\r\n\r\n").await,
        Answer::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[").await;
            let piece = vec![b' '; 1 << 20];
            loop {
                if let Err(error) = stream.write_all(&piece).await {
                    break Err(error);
                }
            }
        }
        Answer::Nothing => Ok(()),
    };
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    asked.send_modify(|asked| asked.push(line));
}

fn consul(index: u64, ids: &[&str]) -> Answer {
    let rows: Vec<_> =
        ids.iter().map(|id| format!(r#"{{"Service":{{"ID":"{id}","Address":"127.0.0.1","Port":1}}}}"#)).collect();
    Answer::Whole { status: 200, index, body: format!("[{}]", rows.join(",")) }
}

fn eureka(ids: &[&str]) -> Answer {
    let rows: Vec<_> = ids
        .iter()
        .map(|id| {
            format!(
                r#"{{"instanceId":"{id}","hostName":"h","status":"UP","actionType":"ADDED","port":{{"$":1,"@enabled":"true"}}}}"#
            )
        })
        .collect();
    // The hash code is wrong with purpose: whatever a difference says, everything is fetched.
    let body = format!(
        r#"{{"applications":{{"apps__hashcode":"X","application":[{{"name":"ORDERS","instance":[{}]}}]}}}}"#,
        rows.join(",")
    );
    Answer::Whole { status: 200, index: 0, body }
}

async fn sees(view: &mut Instances, ids: &[&str]) {
    let seen = async {
        while view.current().iter().map(|instance| instance.id.as_str()).ne(ids.iter().copied()) {
            view.changed().await.unwrap();
        }
    };
    assert!(timeout(LONGEST_WAIT, seen).await.is_ok(), "{ids:?} in vain, there are {:?}", view.current());
}

fn bad_answers() -> Vec<Answer> {
    let whole = |status, body: &str| Answer::Whole { status, index: 9, body: body.to_owned() };
    vec![
        whole(200, "{\"a\":"),
        whole(200, "\"a\""),
        whole(200, "[{\"Service\":7}]"),
        whole(500, "No cluster leader"),
        whole(403, ""),
        whole(302, ""),
        Answer::Garbage,
        Answer::Endless,
        Answer::Nothing,
    ]
}

#[tokio::test]
async fn what_consul_says_by_mistake_changes_nothing_that_is_known() {
    let mut fake = Fake::start().await;
    let registry = ConsulRegistry::try_new(format!("http://127.0.0.1:{}", fake.port).parse().unwrap(), None).unwrap();
    let mut view = registry.resolve(&"orders".parse().unwrap());
    fake.answers(consul(1, &["a"]));
    sees(&mut view, &["a"]).await;
    for bad in bad_answers() {
        fake.answers(bad);
        fake.is_asked(2).await;
        assert_eq!(view.current().len(), 1);
        fake.answers(consul(1, &["a"]));
        fake.is_asked(1).await;
    }
    fake.answers(consul(2, &["a", "b"]));
    sees(&mut view, &["a", "b"]).await;
}

#[tokio::test]
async fn what_eureka_says_by_mistake_changes_nothing_that_is_known() {
    let mut fake = Fake::start().await;
    let RegistryAddress::Eureka(Some(location)) = format!("eureka://127.0.0.1:{}", fake.port).parse().unwrap() else {
        panic!("it has a place")
    };
    let registry = EurekaRegistry::new(&location, EurekaConfig { period: Duration::from_millis(20) });
    let mut view = registry.resolve(&"orders".parse().unwrap());
    fake.answers(eureka(&["a"]));
    sees(&mut view, &["a"]).await;
    for bad in bad_answers() {
        fake.answers(bad);
        fake.is_asked(2).await;
        assert_eq!(view.current().len(), 1);
        fake.answers(eureka(&["a"]));
        fake.is_asked(1).await;
    }
    fake.answers(eureka(&["a", "b"]));
    sees(&mut view, &["a", "b"]).await;
    let asked = fake.asked.borrow().clone();
    assert!(asked.iter().any(|line| line.starts_with("GET /eureka/apps/delta ")), "{asked:?}");
}

#[tokio::test]
async fn consul_is_waited_for_with_its_last_index_and_asked_anew_when_that_goes_back() {
    let mut fake = Fake::start().await;
    fake.answers(consul(7, &["a"]));
    let registry = ConsulRegistry::try_new(format!("http://127.0.0.1:{}", fake.port).parse().unwrap(), None).unwrap();
    let mut view = registry.resolve(&"orders".parse().unwrap());
    sees(&mut view, &["a"]).await;
    fake.is_asked(1).await;
    fake.answers(consul(3, &["b"]));
    sees(&mut view, &["a", "b"]).await;
    fake.is_asked(2).await;
    let indexes: Vec<_> = fake.asked.borrow().iter().map(|line| line.contains("&index=7&wait=")).collect();
    assert_eq!(indexes[..2], [false, true]);
    let asked = fake.asked.borrow().clone();
    let back = asked.iter().rposition(|line| line.contains("&index=7&")).unwrap();
    assert!(!asked[back + 1].contains("index="), "{asked:?}");
    assert!(asked[back + 2].contains("&index=3&"), "{asked:?}");
}

#[tokio::test]
async fn nobody_is_asked_for_a_service_that_nobody_watches_any_more() {
    let mut fake = Fake::start().await;
    fake.answers(consul(1, &["a"]));
    let registry = ConsulRegistry::try_new(format!("http://127.0.0.1:{}", fake.port).parse().unwrap(), None).unwrap();
    let orders = "orders".parse().unwrap();
    let mut view = registry.resolve(&orders);
    sees(&mut view, &["a"]).await;
    drop(view);
    let mut other = registry.resolve(&"catalog".parse().unwrap());
    sees(&mut other, &["a"]).await;
    let before = fake.asked.borrow().iter().filter(|line| line.contains("/orders?")).count();
    fake.is_asked(4).await;
    let after = fake.asked.borrow().iter().filter(|line| line.contains("/orders?")).count();
    assert!(after <= before + 1, "{before} {after}");
    // Whoever comes later is told again.
    sees(&mut registry.resolve(&orders), &["a"]).await;
}

#[tokio::test]
async fn a_lease_that_is_refused_says_why_in_one_short_line() {
    let fake = Fake::start().await;
    fake.answers(Answer::Whole { status: 403, index: 0, body: format!("Permission\ndenied {}", "x".repeat(5_000)) });
    let registry = ConsulRegistry::try_new(format!("http://127.0.0.1:{}", fake.port).parse().unwrap(), None).unwrap();
    let registration = Registration::new("orders".parse().unwrap(), "http://127.0.0.1:1".parse().unwrap());
    let lease = registry.register(Registration { ttl: Duration::ZERO, ..registration });
    let mut state = lease.state();
    timeout(LONGEST_WAIT, state.changed()).await.unwrap().unwrap();
    let LeaseState::NotYet { reason } = state.borrow_and_update().clone() else { panic!("it was registered") };
    assert!(reason.starts_with(&format!("127.0.0.1:{} answered 403: Permission denied", fake.port)), "{reason}");
    assert!(reason.len() < 300 && !reason.contains('\n'), "{reason}");
    lease.end().await;
}
