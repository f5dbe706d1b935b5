//! The `rs-consul` client of crates.io, unmodified: register, heartbeat, discover, watch a change, deregister, die without a
//! word. `rs-consul-client ADDRESS TOKEN`
//!
//! The crate registers through the catalog, so its heartbeat is to say there again how its check stands. Terms are the
//! agent's: whoever dies without a word here was registered by the test, which is told when to do so.

use std::error::Error;
use std::future::Future;
use std::time::{Duration, Instant};

use rs_consul::{
    Config, Consul, ConsulError, DeregisterEntityPayload, GetNodesRequest, GetServiceNodesRequest, QueryOptions,
    ReadKeyRequest, RegisterEntityCheck, RegisterEntityPayload, RegisterEntityService, ResponseMeta, ServiceNode,
};

type Outcome = Result<(), Box<dyn Error>>;
type Seen = Result<ResponseMeta<Vec<ServiceNode>>, ConsulError>;

const NODE: &str = "outside";
const LONGEST: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let address = format!("http://{}", arguments.next().ok_or("the address is missing")?);
    let token = arguments.next().ok_or("the token is missing")?;
    let client = |token: &str| {
        Consul::new(Config { address: address.clone(), token: Some(token.to_owned()), ..Config::default() })
    };
    let consul = client(&token);

    registers_beats_and_is_found(&consul).await?;
    hears_of_changes(&consul, &client(&token)).await?;
    hears_of_one_that_dies_without_a_word(&consul).await?;
    leaves(&consul, &client(&token)).await?;

    let refused = client("wrong").get_nodes(GetNodesRequest::default(), None).await;
    is_refused_with(refused, 403)?;
    is_refused_with(consul.read_key(ReadKeyRequest::builder().key("anything").build()).await, 501)?;
    println!("done");
    Ok(())
}

async fn registers_beats_and_is_found(consul: &Consul) -> Outcome {
    consul.register_entity(&registration(1, "critical")).await?;
    assert_eq!(passing(consul).await?.response, [], "it has not said that it is well");
    assert_eq!(all(consul, None).await?.response.len(), 1);
    let before = all(consul, None).await?.index;
    consul.register_entity(&registration(1, "passing")).await?;
    let after = passing(consul).await?;
    assert!(after.index > before, "the index goes on: {before}, {}", after.index);
    consul.register_entity(&registration(1, "passing")).await?;
    assert_eq!(passing(consul).await?.index, after.index, "a heartbeat that changes nothing wakes nobody");
    let [found] = &after.response[..] else { return Err("one is found".into()) };
    assert_eq!((found.node.node.as_str(), found.node.datacenter.as_str()), (NODE, "dc1"));
    assert_eq!((found.service.id.as_str(), found.service.port), ("web-1", 8001));
    assert_eq!(found.service.tags, ["v1"]);

    let mut names = consul.get_all_registered_service_names(None).await?.response;
    names.sort();
    assert_eq!(names, ["consul", "web"]);
    // Without an address of its own it is at its node's.
    assert_eq!(consul.get_service_addresses_and_ports("web", None).await?, [("127.0.0.9".to_owned(), 8001)]);
    let mut nodes = consul.get_nodes(GetNodesRequest::default(), None).await?.response;
    nodes.sort_by(|left, right| left.node.cmp(&right.node));
    assert_eq!(nodes.iter().map(|node| node.node.as_str()).collect::<Vec<_>>(), [NODE, "pinnace"]);
    let filter = |filter| GetNodesRequest::builder().filter(filter).build();
    let filtered = consul.get_nodes(filter("Address==`127.0.0.9`"), None).await?.response;
    assert_eq!(filtered.iter().map(|node| node.node.as_str()).collect::<Vec<_>>(), [NODE]);
    Ok(())
}

async fn hears_of_changes(consul: &Consul, other: &Consul) -> Outcome {
    let known = passing(consul).await?.index;
    let (seen, took) =
        while_waiting(watched(consul, "web", known), other.register_entity(&registration(2, "passing"))).await?;
    assert_eq!(ids(&seen), ["web-1", "web-2"]);
    assert!(took < Duration::from_secs(1), "told after {took:?}");
    let (seen, _) =
        while_waiting(watched(consul, "web", seen.index), other.register_entity(&registration(2, "critical"))).await?;
    assert_eq!(ids(&seen), ["web-1"], "a check that fails is a change");
    let begun = Instant::now();
    let options = waiting(seen.index, Duration::from_secs(1));
    let same = consul.get_service_nodes(asked("web"), Some(options)).await?;
    assert_eq!((same.index, ids(&same)), (seen.index, ids(&seen)));
    assert!(begun.elapsed() >= Duration::from_secs(1), "nothing has happened");
    Ok(())
}

async fn hears_of_one_that_dies_without_a_word(consul: &Consul) -> Outcome {
    let mut known = consul.get_service_nodes(asked("mute"), None).await?.index;
    println!("waiting for mute");
    let mut lived = None;
    loop {
        let seen = watched(consul, "mute", known).await?;
        known = seen.index;
        match lived {
            None if ids(&seen) == ["mute"] => lived = Some(Instant::now()),
            Some(at) if seen.response.is_empty() => {
                let took = at.elapsed();
                // Its term is one second.
                assert!(took > Duration::from_millis(500) && took < Duration::from_secs(4), "gone after {took:?}");
                return Ok(());
            }
            _ => {}
        }
    }
}

async fn leaves(consul: &Consul, other: &Consul) -> Outcome {
    let known = passing(consul).await?.index;
    let service = DeregisterEntityPayload::builder().Node(NODE.to_owned()).ServiceID("web-1".to_owned()).build();
    let (seen, _) = while_waiting(watched(consul, "web", known), other.deregister_entity(&service)).await?;
    assert_eq!(ids(&seen), [""; 0]);
    consul.deregister_entity(&service).await?;
    assert_eq!(ids(&all(consul, None).await?), ["web-2"], "what is gone may leave again");
    let node = DeregisterEntityPayload::builder().Node(NODE.to_owned()).build();
    consul.deregister_entity(&node).await?;
    assert_eq!(ids(&all(consul, None).await?), [""; 0], "with the node goes what is on it");
    assert_eq!(consul.get_nodes(GetNodesRequest::default(), None).await?.response.len(), 1);
    Ok(())
}

/// What an instance says of itself and of its check.
fn registration(number: u16, status: &str) -> RegisterEntityPayload {
    let id = format!("web-{number}");
    let service = RegisterEntityService::builder()
        .ID(id.clone())
        .Service("web".to_owned())
        .Tags(vec!["v1".to_owned()])
        .Port(8000 + number)
        .build();
    let check =
        RegisterEntityCheck::builder().Name(format!("{id} lives")).Status(status.to_owned()).ServiceID(id).build();
    RegisterEntityPayload::builder()
        .Node(NODE.to_owned())
        .Address("127.0.0.9".to_owned())
        .Service(service)
        .Checks(vec![check])
        .build()
}

fn asked(service: &str) -> GetServiceNodesRequest<'_> {
    GetServiceNodesRequest::builder().service(service).passing(true).build()
}

fn waiting(index: u64, wait: Duration) -> QueryOptions {
    QueryOptions { index: Some(index), wait: Some(wait), timeout: Some(2 * LONGEST), ..QueryOptions::default() }
}

async fn passing(consul: &Consul) -> Seen {
    consul.get_service_nodes(asked("web"), None).await
}

async fn all(consul: &Consul, options: Option<QueryOptions>) -> Seen {
    let request = GetServiceNodesRequest::builder().service("web").filter("Service.Tags+contains+v1").build();
    consul.get_service_nodes(request, options).await
}

async fn watched(consul: &Consul, service: &str, index: u64) -> Seen {
    consul.get_service_nodes(asked(service), Some(waiting(index, LONGEST))).await
}

/// What a watch has seen when the change has been made, and how long after it.
async fn while_waiting(
    watch: impl Future<Output = Seen>,
    change: impl Future<Output = Result<(), ConsulError>>,
) -> Result<(ResponseMeta<Vec<ServiceNode>>, Duration), Box<dyn Error>> {
    let change = async {
        // The watch has to wait already, or it would not be one.
        tokio::time::sleep(Duration::from_millis(200)).await;
        change.await.map(|()| Instant::now())
    };
    let watch = async { (watch.await, Instant::now()) };
    let ((seen, told), changed) = tokio::join!(watch, change);
    Ok((seen?, told.saturating_duration_since(changed?)))
}

fn ids(seen: &ResponseMeta<Vec<ServiceNode>>) -> Vec<&str> {
    seen.response.iter().map(|one| one.service.id.as_str()).collect()
}

fn is_refused_with<T>(answer: Result<T, ConsulError>, status: u16) -> Outcome {
    match answer {
        Err(ConsulError::UnexpectedResponseCode(code, Some(reason))) if code.as_u16() == status => {
            assert!(!reason.is_empty(), "a refusal has a reason");
            Ok(())
        }
        Err(other) => Err(format!("{status} is expected, and not: {other}").into()),
        Ok(_) => Err(format!("{status} is expected, and it was answered").into()),
    }
}
