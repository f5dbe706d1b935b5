//! The service as its callers see it, on a database of its own: both faces, repeated and simultaneous steps, other processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::Path;

use futures_util::future::join_all;
use pinnace::axum::http::{Request, StatusCode};
use pinnace::{Answer, Body, GrpcChannel, Peer};
use serde_json::{Value, json};
use shop_shipping::v1::shipping_client::ShippingClient;
use shop_shipping::v1::{QuoteRequest, Status as Step, TrackRequest};
use shop_shipping::{Store, service};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tonic::Code;

const ORDER: &str = "5f0c1b2a-0000-4000-8000-000000000007";
const OTHER: &str = "5f0c1b2a-0000-4000-8000-000000000008";

/// An instance of the service; it stops when this is dropped.
struct Instance {
    peer: Peer,
    _stop: oneshot::Sender<()>,
}

async fn migrated(folder: &Path) -> Store {
    let store = Store::open(&format!("sqlite://{}", folder.join("shipping.sqlite3").display())).await.unwrap();
    store.migrate().await.unwrap();
    store
}

fn serve(store: Store) -> Instance {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = Peer::new("shipping", &format!("http://{}", socket.local_addr().unwrap())).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    tokio::spawn(service(store).without_access_log().listener(socket).stop_when(stopped).serve());
    Instance { peer, _stop: stop }
}

async fn start() -> (TempDir, Instance) {
    let folder = tempfile::tempdir().unwrap();
    let instance = serve(migrated(folder.path()).await);
    (folder, instance)
}

fn draft() -> Value {
    json!({"recipient": {"name": "Ada", "address": "1 Way\nLondon"}, "things": 9})
}

impl Instance {
    async fn book(&self, order: &str) -> Answer {
        self.peer.put(&format!("/shipments/{order}"), &draft()).await.unwrap()
    }

    async fn step(&self, order: &str, step: &str) -> Answer {
        self.peer.post(&format!("/shipments/{order}/{step}"), &()).await.unwrap()
    }

    async fn cancel(&self, order: &str) -> Answer {
        self.peer.delete(&format!("/shipments/{order}")).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.peer.get(path).await.unwrap()
    }

    fn client(&self) -> ShippingClient<GrpcChannel> {
        ShippingClient::new(self.peer.grpc())
    }
}

fn seen(answer: &Answer) -> (u16, Value) {
    (answer.status().as_u16(), serde_json::from_slice(answer.bytes()).unwrap())
}

fn track(order: &str) -> TrackRequest {
    TrackRequest { order: order.to_owned() }
}

// ---- REST ----

#[tokio::test]
async fn a_shipment_is_booked_once_and_goes_its_way() {
    let (_folder, shipping) = start().await;
    let (status, booked) = seen(&shipping.book(ORDER).await);
    assert_eq!((status, &booked["status"], &booked["parcels"]), (201, &json!("ready"), &json!(2)));
    assert_eq!(seen(&shipping.book(ORDER).await), (200, booked));
    let (status, sent) = seen(&shipping.step(ORDER, "dispatch").await);
    assert_eq!((status, &sent["status"], &sent["tracking"]), (200, &json!("dispatched"), &json!("PN5F0C1B2A0000")));
    assert_eq!(seen(&shipping.step(ORDER, "dispatch").await), (200, sent));
    let (status, delivered) = seen(&shipping.step(ORDER, "deliver").await);
    assert_eq!((status, &delivered["status"]), (200, &json!("delivered")));
    assert_eq!(seen(&shipping.step(ORDER, "dispatch").await), (200, delivered.clone()), "a late repetition");
    assert_eq!(seen(&shipping.get(&format!("/shipments/{ORDER}")).await), (200, delivered));
}

#[tokio::test]
async fn what_is_on_its_way_cannot_be_taken_back_and_what_was_taken_back_is_never_sent() {
    let (_folder, shipping) = start().await;
    shipping.book(ORDER).await;
    for _ in 0..2 {
        let (status, cancelled) = seen(&shipping.cancel(ORDER).await);
        assert_eq!((status, &cancelled["status"]), (200, &json!("cancelled")));
    }
    for refused in
        [shipping.book(ORDER).await, shipping.step(ORDER, "dispatch").await, shipping.step(ORDER, "deliver").await]
    {
        let (status, problem) = seen(&refused);
        assert_eq!((status, &problem["code"]), (409, &json!("conflict")));
        assert!(problem["detail"].as_str().unwrap().ends_with("cancelled"), "{problem}");
    }
    // A cancellation that overtakes its booking wins as well.
    assert_eq!(shipping.cancel(OTHER).await.status(), 200);
    assert_eq!(shipping.book(OTHER).await.status(), 409);
    let third = ORDER.replace('7', "9");
    shipping.book(&third).await;
    assert_eq!(shipping.step(&third, "deliver").await.status(), 409, "one step after the other");
    shipping.step(&third, "dispatch").await;
    let (status, problem) = seen(&shipping.cancel(&third).await);
    assert_eq!((status, &problem["detail"]), (409, &json!("the shipment of this order is dispatched")));
}

#[tokio::test]
async fn the_same_order_with_other_contents_is_a_conflict() {
    let (_folder, shipping) = start().await;
    shipping.book(ORDER).await;
    let mut other = draft();
    other["things"] = json!(10);
    let answer = shipping.peer.put(&format!("/shipments/{ORDER}"), &other).await.unwrap();
    assert_eq!(
        (seen(&answer).0, &seen(&answer).1["detail"]),
        (409, &json!("the shipment of this order has other contents"))
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_a_problem_that_says_why() {
    let (_folder, shipping) = start().await;
    let mut drafts =
        vec![json!({}), json!([]), json!({"recipient": {"name": "A", "address": "B"}, "things": 1, "more": 1})];
    for (pointer, value) in [
        ("/things", json!(0)),
        ("/things", json!(100_001)),
        ("/recipient/name", json!(" ")),
        ("/recipient/address", json!("x".repeat(501))),
    ] {
        let mut wrong = draft();
        *wrong.pointer_mut(pointer).unwrap() = value;
        drafts.push(wrong);
    }
    for wrong in drafts {
        let answer = shipping.peer.put(&format!("/shipments/{ORDER}"), &wrong).await.unwrap();
        let (status, problem) = seen(&answer);
        assert_eq!((status, &problem["code"]), (400, &json!("bad-request")), "{wrong}");
    }
    let raw = Request::put(format!("/shipments/{ORDER}")).header("content-type", "application/json");
    let answer = shipping.peer.send(raw.body(Body::from("{")).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 400);
    for path in ["/shipments/7", &format!("/shipments/{ORDER}"), "/shipments/7/dispatch"] {
        let absent =
            if path.ends_with("dispatch") { shipping.step("7", "dispatch").await } else { shipping.get(path).await };
        assert_eq!((seen(&absent).0, &seen(&absent).1["code"]), (404, &json!("not-found")), "{path}");
    }
    for query in ["status=lost", "after=x", "colour=red"] {
        assert_eq!(shipping.get(&format!("/shipments?{query}")).await.status(), 400, "{query}");
    }
}

#[tokio::test]
async fn those_who_pack_see_what_waits_oldest_first_page_by_page() {
    let (_folder, shipping) = start().await;
    let orders: Vec<String> = (0..5).map(|number| ORDER.replace('7', &number.to_string())).collect();
    for order in &orders {
        shipping.book(order).await;
    }
    shipping.step(&orders[1], "dispatch").await;
    let (mut listed, mut next) = (Vec::new(), json!(0));
    while !next.is_null() {
        let (_, page) = seen(&shipping.get(&format!("/shipments?status=ready&limit=2&after={next}")).await);
        listed.extend(page["items"].as_array().unwrap().iter().map(|one| one["order"].as_str().unwrap().to_owned()));
        next = page["next"].clone();
    }
    assert_eq!(listed, [&orders[0], &orders[2], &orders[3], &orders[4]].map(String::clone));
    let (_, all) = seen(&shipping.get("/shipments").await);
    assert_eq!((all["items"].as_array().unwrap().len(), &all["next"]), (5, &Value::Null));
}

#[tokio::test]
async fn of_many_who_ask_at_the_same_time_in_two_processes_one_books_and_one_sends() {
    let folder = tempfile::tempdir().unwrap();
    let instances = &[serve(migrated(folder.path()).await), serve(migrated(folder.path()).await)];
    let bookings = join_all((0..40).map(|number| instances[number % 2].book(ORDER))).await;
    let made = bookings.iter().filter(|answer| answer.status() == StatusCode::CREATED).count();
    assert_eq!((made, bookings.iter().filter(|answer| answer.status() == StatusCode::OK).count()), (1, 39));
    let ends = join_all((0..40).map(|number| async move {
        let instance = &instances[number % 2];
        if number % 4 < 2 { instance.step(ORDER, "dispatch").await } else { instance.cancel(ORDER).await }
    }));
    let ends = ends.await;
    // Either all who send have their way, or all who cancel.
    assert_eq!(ends.iter().filter(|answer| answer.status() == 200).count(), 20);
}

#[tokio::test]
async fn a_service_is_ready_when_its_tables_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("shipping.sqlite3").display());
    let store = Store::open(&url).await.unwrap();
    let shipping = serve(store.clone());
    assert_eq!(shipping.get("/-/health/ready").await.status(), 503);
    assert_eq!(seen(&shipping.book(ORDER).await).1["code"], json!("unavailable"));
    store.migrate().await.unwrap();
    assert_eq!(shipping.get("/-/health/ready").await.status(), 200);
    // What was booked is there after a restart, and migrating again changes nothing.
    shipping.book(ORDER).await;
    drop(shipping);
    let again = serve(migrated(folder.path()).await);
    assert_eq!(again.get(&format!("/shipments/{ORDER}")).await.status(), 200);
}

// ---- gRPC ----

#[tokio::test]
async fn a_quote_follows_the_tariff() {
    let (_folder, shipping) = start().await;
    let quote = shipping.client().quote(QuoteRequest { things: 9 }).await.unwrap().into_inner();
    assert_eq!((quote.parcels, quote.price_cents, quote.currency.as_str(), quote.days), (2, 640, "EUR", 2));
    for things in [0, 100_001] {
        assert_eq!(shipping.client().quote(QuoteRequest { things }).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_shipment_is_tracked_by_its_order() {
    let (_folder, shipping) = start().await;
    shipping.book(ORDER).await;
    let found = shipping.client().track(track(ORDER)).await.unwrap().into_inner();
    assert_eq!((found.order.as_str(), found.status(), found.tracking.as_str()), (ORDER, Step::Ready, ""));
    assert_eq!(shipping.client().track(track(OTHER)).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(shipping.client().track(track("7")).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn who_watches_sees_each_step_also_those_of_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let (near, far) = (serve(migrated(folder.path()).await), serve(migrated(folder.path()).await));
    near.book(ORDER).await;
    let mut steps = near.client().watch(track(ORDER)).await.unwrap().into_inner();
    assert_eq!(steps.message().await.unwrap().unwrap().status(), Step::Ready);
    far.step(ORDER, "dispatch").await;
    let sent = steps.message().await.unwrap().unwrap();
    assert_eq!((sent.status(), sent.tracking.as_str()), (Step::Dispatched, "PN5F0C1B2A0000"));
    near.step(ORDER, "deliver").await;
    assert_eq!(steps.message().await.unwrap().unwrap().status(), Step::Delivered);
    assert!(steps.message().await.unwrap().is_none());
    assert_eq!(near.client().watch(track(OTHER)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn who_watches_hears_that_the_service_stops() {
    let (_folder, shipping) = start().await;
    shipping.book(ORDER).await;
    let mut steps = shipping.client().watch(track(ORDER)).await.unwrap().into_inner();
    assert!(steps.message().await.unwrap().is_some());
    drop(shipping);
    assert_eq!(steps.message().await.unwrap_err().code(), Code::Unavailable);
}
