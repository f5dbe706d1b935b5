//! The face that resolvers speak to: `NAME.service.consul` over UDP and TCP, A, AAAA and SRV, as Consul's DNS interface has it.
//!
//! One question for each message, answers of no age, nothing cached, nothing asked elsewhere. What a datagram has no room for is
//! left out and the message marked as truncated: then a resolver asks over TCP (RFC 7766), where there is room.

mod message;
mod names;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Registry;
use crate::entry::{Entry, Health};
use crate::probe::address_of;
use crate::state::State;
use message::{Answer, Carrier, Code, Data, Kind, Question};
use names::Asked;

/// The longest message that is read: a question is much shorter.
const MAX_QUESTION: usize = 1_024;
/// Resolvers that are connected at the same time; whoever comes beyond that is hung up on, and has UDP.
const MAX_CONNECTIONS: usize = 128;
/// How long a connection may take for its next question and for taking the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The sockets on which resolvers are answered.
#[derive(Debug)]
pub struct Names {
    /// Questions in datagrams.
    pub datagrams: UdpSocket,
    /// Questions over connections.
    pub connections: TcpListener,
}

/// Whose turn it is to be first in an answer; clones share it.
#[derive(Clone, Debug, Default)]
struct Turn(Arc<AtomicUsize>);

/// Answers resolvers on these sockets for as long as it lives.
pub(crate) async fn dns_task(registry: Registry, names: Names) {
    let turn = Turn::default();
    tokio::join!(
        answer_datagrams(&registry, names.datagrams, &turn),
        answer_connections(&registry, names.connections, &turn)
    );
}

impl Turn {
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

async fn answer_datagrams(registry: &Registry, socket: UdpSocket, turn: &Turn) {
    let mut buffer = vec![0; MAX_QUESTION];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            // An earlier answer may have come back as unreachable; that is not this socket's end.
            tokio::task::yield_now().await;
            continue;
        };
        let Some(answer) = answer(registry, &buffer[..length], Carrier::Datagram, turn.next()) else { continue };
        if let Err(error) = socket.send_to(&answer, from).await {
            tracing::debug!(%error, "an answer could not be sent");
        }
    }
}

async fn answer_connections(registry: &Registry, listener: TcpListener, turn: &Turn) {
    let mut conversations = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while conversations.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if conversations.len() < MAX_CONNECTIONS => {
                conversations.spawn(converse(registry.clone(), stream, turn.clone()));
            }
            Ok(_) => {}
            // There may be no descriptors left; haste would make none.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Answers the questions of one connection, each with its length before it (RFC 1035 section 4.2.2).
async fn converse(registry: Registry, mut stream: TcpStream, turn: Turn) -> io::Result<()> {
    let mut buffer = vec![0; MAX_QUESTION];
    loop {
        let exchange = async {
            let length = usize::from(stream.read_u16().await?);
            // Longer than any question: what follows cannot be told from its rest.
            let Some(question) = buffer.get_mut(..length) else { return Err(io::ErrorKind::InvalidData.into()) };
            stream.read_exact(question).await?;
            let answer = answer(&registry, question, Carrier::Stream, turn.next());
            let answer = answer.ok_or(io::ErrorKind::InvalidData)?;
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await
        };
        timeout(PATIENCE, exchange).await??;
    }
}

/// What is answered to a message; nothing to what is no question.
fn answer(registry: &Registry, message: &[u8], carrier: Carrier, turn: usize) -> Option<Vec<u8>> {
    let question = match Question::parse(message, carrier) {
        Ok(question) => question,
        Err(refusal) => return refusal,
    };
    let state = registry.store().now();
    let mut answer = Answer::new(&question);
    match names::parse(&question.name) {
        None => answer.code = Code::Refused,
        Some(Asked::Service { name, tag }) => {
            let mut found: Vec<_> = state.shown_of(&name).filter(|entry| is_offered(entry, tag.as_deref())).collect();
            if state.shown_of(&name).next().is_none() || found.is_empty() {
                answer.code = Code::Unknown;
            } else {
                // Whoever takes the first one should not always take the same.
                let first = turn % found.len();
                found.rotate_left(first);
                found.truncate(carrier.most_answers());
                for entry in found {
                    add_service(&mut answer, &state, entry);
                }
            }
        }
        Some(Asked::Node(name)) => {
            let address = if name == registry.store().node() {
                Some("127.0.0.1".to_owned())
            } else {
                state.nodes.get(&name).map(|node| node.address.clone())
            };
            match address {
                Some(address) => add_address(&mut answer, &question.name, &address),
                None => answer.code = Code::Unknown,
            }
        }
        Some(Asked::Address(address)) => add_address(&mut answer, &question.name, &address.to_string()),
        Some(Asked::Nothing) => answer.code = Code::Unknown,
    }
    Some(answer.into_bytes())
}

/// Whether an instance may be used: nothing of it is critical.
fn is_offered(entry: &Arc<Entry>, tag: Option<&str>) -> bool {
    entry.health() != Health::Critical
        && tag.is_none_or(|tag| entry.tags.iter().any(|own| own.eq_ignore_ascii_case(tag)))
}

fn add_service(answer: &mut Answer, state: &State, entry: &Entry) {
    let address = if entry.address.is_empty() {
        state.nodes.get(&entry.node).map_or("127.0.0.1", |node| node.address.as_str())
    } else {
        &entry.address
    };
    let name = answer.name().to_owned();
    if matches!(answer.kind(), Kind::Srv | Kind::Any) {
        let target = match address_of(address) {
            Some(ip) => names::of_address(ip),
            None => address.to_owned(),
        };
        let weight = u16::try_from(entry.weights.passing).unwrap_or(u16::MAX);
        answer.add(&name, Data::Srv { weight, port: entry.port, target: target.clone() });
        if let Some(ip) = address_of(address) {
            answer.add_further(&target, Data::Address(ip));
        }
    }
    if answer.kind() != Kind::Srv {
        add_address(answer, &name, address);
    }
}

fn add_address(answer: &mut Answer, name: &str, address: &str) {
    match (address_of(address), answer.kind()) {
        (Some(IpAddr::V4(ip)), Kind::A | Kind::Any) => answer.add(name, Data::Address(ip.into())),
        (Some(IpAddr::V6(ip)), Kind::Aaaa | Kind::Any) => answer.add(name, Data::Address(ip.into())),
        (None, Kind::A | Kind::Aaaa | Kind::Any) => answer.add(name, Data::Alias(address.to_owned())),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::{collection, proptest};

    use super::{Carrier, answer};
    use crate::{Registry, RegistryConfig, Store, StoreConfig};

    /// One registry for all cases: opening one waits for the disk.
    struct Held(Registry, #[expect(dead_code, reason = "it lives as long")] tempfile::TempDir);

    impl Held {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), StoreConfig::default(), jiff::Timestamp::now).unwrap().store;
            Self(Registry::new(store, RegistryConfig::default()), folder)
        }
    }

    thread_local! {
        static HELD: Held = Held::new();
    }

    proptest! {
        #[test]
        fn no_datagram_takes_it_down(
            datagram in collection::vec(any::<u8>(), 0..600),
            rest in collection::vec(any::<u8>(), 0..80),
        ) {
            let mut nearly = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
            nearly.extend_from_slice(b"\x03web\x07service\x06consul\0");
            nearly.extend_from_slice(&rest);
            HELD.with(|held| {
                for carrier in [Carrier::Datagram, Carrier::Stream] {
                    let _ = answer(&held.0, &datagram, carrier, 7);
                    let _ = answer(&held.0, &nearly, carrier, 7);
                }
            });
        }
    }
}
