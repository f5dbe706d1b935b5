//! gRPC calls as their callers see them, through the generated client on a `Peer`'s channel. With gRPC's own client and real
//! signals it is done in `tests/up/test_grpc.py`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use parking_lot::Mutex;
use pinnace::axum::http::Request as HttpRequest;
use pinnace::tonic::{Code, Request, Response, Status};
use pinnace::{Body, Peer, RequestId, Service, ServiceError, Stopping};
use pinnace_protocol::harbour::v1::desk_client::DeskClient;
use pinnace_protocol::harbour::v1::desk_server::{Desk, DeskServer};
use pinnace_protocol::harbour::v1::{Parcel, ParcelRequest};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

const PANICS: u32 = 13;
const WAITS: u32 = 14;
const CALLS_ON: u32 = 15;

/// A desk that has every parcel, and does strange things for some.
#[derive(Clone, Default)]
struct Harbour {
    begun: Arc<Notify>,
    go: Arc<Notify>,
    ids: Arc<Mutex<Vec<String>>>,
    next: Option<Peer>,
}

impl Harbour {
    fn note(&self) {
        let id = pinnace::current_request_id().unwrap();
        self.ids.lock().push(id.to_string());
    }
}

#[pinnace::tonic::async_trait]
impl Desk for Harbour {
    type FollowStream = Pin<Box<dyn Stream<Item = Result<Parcel, Status>> + Send>>;

    async fn find(&self, request: Request<ParcelRequest>) -> Result<Response<Parcel>, Status> {
        self.note();
        assert_eq!(request.extensions().get::<RequestId>(), pinnace::current_request_id().as_ref());
        let id = request.into_inner().id;
        match id {
            0 => return Err(Status::not_found("no parcel has no number")),
            PANICS => panic!("overboard"),
            WAITS => {
                self.begun.notify_one();
                self.go.notified().await;
            }
            CALLS_ON => {
                let next = self.next.as_ref().unwrap();
                return DeskClient::new(next.grpc()).find(ParcelRequest { id: 1 }).await;
            }
            _ => {}
        }
        Ok(Response::new(Parcel { id, has_arrived: true }))
    }

    async fn follow(&self, request: Request<ParcelRequest>) -> Result<Response<Self::FollowStream>, Status> {
        let stopping = request.extensions().get::<Stopping>().unwrap().clone();
        let (desk, id) = (self.clone(), request.into_inner().id);
        let first = stream::iter([Ok(Parcel { id, has_arrived: false })]);
        let last = stream::once(async move {
            desk.begun.notify_one();
            if id == WAITS {
                desk.go.notified().await;
            } else {
                stopping.begun().await;
            }
            desk.note();
            Ok(Parcel { id, has_arrived: true })
        });
        Ok(Response::new(first.chain(last).boxed()))
    }
}

struct Running {
    desk: Harbour,
    peer: Peer,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServiceError>>,
}

fn start() -> Running {
    start_as(Harbour::default(), Service::new("shipping"))
}

fn start_as(desk: Harbour, service: Service) -> Running {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let service = service
        .grpc(DeskServer::new(desk.clone()))
        .without_access_log()
        .listener(socket)
        // A sender that is dropped stops nothing.
        .stop_when(async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        });
    let peer = Peer::new("shipping", &format!("http://{address}")).unwrap();
    Running { desk, peer, address, stop, serving: tokio::spawn(service.serve()) }
}

fn desk_at(peer: &Peer) -> DeskClient<pinnace::GrpcChannel> {
    DeskClient::new(peer.grpc())
}

fn parcel(id: u32) -> Request<ParcelRequest> {
    Request::new(ParcelRequest { id })
}

async fn find(peer: &Peer, id: u32) -> Result<Parcel, Status> {
    desk_at(peer).find(parcel(id)).await.map(Response::into_inner)
}

// ---- what a call gets ----

#[tokio::test]
async fn calls_and_requests_are_answered_on_one_address() {
    let peer = start().peer;
    assert_eq!(find(&peer, 7).await.unwrap(), Parcel { id: 7, has_arrived: true });
    assert_eq!(peer.get("/-/health/ready").await.unwrap().status(), 200);
    assert_eq!(peer.get("/harbour.v1.Desk/Find").await.unwrap().status(), 404, "what is no call has no such path");
}

#[tokio::test]
async fn what_goes_wrong_is_a_status() {
    let peer = start().peer;
    let absent = find(&peer, 0).await.unwrap_err();
    assert_eq!((absent.code(), absent.message()), (Code::NotFound, "no parcel has no number"));
    let failed = find(&peer, PANICS).await.unwrap_err();
    assert_eq!((failed.code(), failed.message()), (Code::Internal, "the service failed; its log has the details"));
    assert_eq!(find(&peer, 1).await.unwrap().id, 1, "others hear nothing of it");
    let unknown = call(&peer, "/harbour.v1.Desk/Steal").await;
    assert_eq!((unknown.status().as_u16(), unknown.headers()["grpc-status"].to_str().unwrap()), (200, "12"));
    let elsewhere = call(&peer, "/harbour.v2.Desk/Find").await;
    assert_eq!(elsewhere.headers()["grpc-status"], "12");
}

/// A call without a body, over HTTP/1 for once.
async fn call(peer: &Peer, path: &str) -> pinnace::Answer {
    let request = HttpRequest::post(path).header("content-type", "application/grpc").body(Body::empty()).unwrap();
    peer.send(request).await.unwrap()
}

#[tokio::test]
async fn a_call_ends_with_its_callers_patience() {
    let Running { peer, desk, .. } = start();
    let mut request = parcel(WAITS);
    request.set_timeout(Duration::from_millis(50));
    let late = desk_at(&peer).find(request).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    // The service itself gives up as well: what it was told is in its own answer.
    let raw = HttpRequest::post("/harbour.v1.Desk/Find")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "20m")
        .body(Body::full(vec![0, 0, 0, 0, 2, 8, 14]))
        .unwrap();
    assert_eq!(peer.send(raw).await.unwrap().headers()["grpc-status"], "4");
    desk.go.notify_one();
}

#[tokio::test]
async fn a_request_id_goes_through_all_services_and_into_streams() {
    let back = start();
    let front = start_as(Harbour { next: Some(back.peer.clone()), ..Harbour::default() }, Service::new("front"));
    let mut request = parcel(CALLS_ON);
    request.metadata_mut().insert("x-request-id", "abc-1".parse().unwrap());
    let answer = desk_at(&front.peer).find(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "abc-1");
    assert_eq!(*back.desk.ids.lock(), ["abc-1"]);

    let mut request = parcel(WAITS);
    request.metadata_mut().insert("x-request-id", "abc-2".parse().unwrap());
    back.desk.go.notify_one();
    let followed = desk_at(&back.peer).follow(request).await.unwrap().into_inner().count().await;
    assert_eq!((followed, back.desk.ids.lock().last().unwrap().as_str()), (2, "abc-2"));
}

#[tokio::test]
async fn each_call_is_counted_with_its_status_and_health_never() {
    let Running { peer, desk, .. } = start();
    find(&peer, 1).await.unwrap();
    find(&peer, 0).await.unwrap_err();
    find(&peer, PANICS).await.unwrap_err();
    desk.go.notify_one();
    assert_eq!(desk_at(&peer).follow(parcel(WAITS)).await.unwrap().into_inner().count().await, 2);
    check(&peer, "").await.unwrap();
    let metrics = peer.get("/-/metrics").await.unwrap().text();
    for line in [
        "grpc_server_handled_total{service_name=\"shipping\",grpc_code=\"OK\"} 2",
        "grpc_server_handled_total{service_name=\"shipping\",grpc_code=\"NOT_FOUND\"} 1",
        "grpc_server_handled_total{service_name=\"shipping\",grpc_code=\"INTERNAL\"} 1",
        "http_server_request_duration_seconds_count{service_name=\"shipping\",http_request_method=\"POST\",\
         http_response_status_code=\"200\"} 4",
        "http_server_active_requests{service_name=\"shipping\"} 0",
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn a_message_is_not_held_to_the_limit_of_a_body() {
    let Running { peer, .. } = start_as(Harbour::default(), Service::new("shipping").body_limit(3));
    assert_eq!(find(&peer, 70_000).await.unwrap().id, 70_000);
    let long = HttpRequest::post("/").body(Body::full("four")).unwrap();
    assert_eq!(peer.send(long).await.unwrap().status(), 413);
}

#[tokio::test]
async fn a_caller_who_goes_away_ends_the_call() {
    let Running { peer, desk, .. } = start();
    let (caller, begun) = (peer.clone(), Arc::clone(&desk.begun));
    let call = tokio::spawn(async move { find(&caller, WAITS).await });
    begun.notified().await;
    call.abort();
    while !metrics(&peer).await.contains("pinnace_requests_abandoned_total{service_name=\"shipping\"} 1\n") {
        tokio::task::yield_now().await;
    }
    assert!(metrics(&peer).await.contains("http_server_active_requests{service_name=\"shipping\"} 0\n"));
}

async fn metrics(peer: &Peer) -> String {
    peer.get("/-/metrics").await.unwrap().text()
}

// ---- a service that cannot be called ----

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable_and_a_silent_one_late() {
    // Nobody listens on it, and nobody else can while it is bound.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = held.local_addr().unwrap();
    let absent = Peer::new("shipping", &format!("http://{nobody}")).unwrap();
    let error = find(&absent, 1).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Unavailable, "`shipping` cannot be reached"));
    let silent = start().peer.timeout(Duration::from_millis(50));
    let error = find(&silent, WAITS).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::DeadlineExceeded, "`shipping` did not answer in time"));
}

// ---- health ----

async fn check(peer: &Peer, service: &str) -> Result<ServingStatus, Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(HealthClient::new(peer.grpc()).check(request).await?.into_inner().status())
}

#[tokio::test]
async fn health_is_that_of_the_service() {
    let is_ready = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_ready);
    let service = Service::new("shipping").ready(move || {
        let is_ready = seen.load(Ordering::Relaxed);
        async move { if is_ready { Ok(()) } else { Err("postgres://user:password@db refused".into()) } }
    });
    let peer = start_as(Harbour::default(), service).peer;
    for name in ["", "harbour.v1.Desk"] {
        assert_eq!(check(&peer, name).await.unwrap(), ServingStatus::NotServing);
    }
    is_ready.store(true, Ordering::Relaxed);
    assert_eq!(check(&peer, "harbour.v1.Desk").await.unwrap(), ServingStatus::Serving);
    assert_eq!(check(&peer, "harbour.v2.Desk").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn who_watches_health_hears_of_the_end_and_does_not_hold_it_up() {
    let Running { peer, stop, serving, .. } = start();
    let request = HealthCheckRequest { service: String::new() };
    let mut watched = HealthClient::new(peer.grpc()).watch(request).await.unwrap().into_inner();
    let status = |answer: Option<HealthCheckResponse>| answer.unwrap().status();
    assert_eq!(status(watched.message().await.unwrap()), ServingStatus::Serving);
    stop.send(()).unwrap();
    assert_eq!(status(watched.message().await.unwrap()), ServingStatus::NotServing);
    assert_eq!(watched.message().await.unwrap_err().code(), Code::Unavailable);
    serving.await.unwrap().unwrap();
}

// ---- its end ----

#[tokio::test]
async fn a_service_that_stops_finishes_calls_and_streams_that_were_begun() {
    let Running { peer, desk, address, stop, serving } = start();
    let mut stream = desk_at(&peer).follow(parcel(1)).await.unwrap().into_inner();
    assert!(!stream.message().await.unwrap().unwrap().has_arrived);
    desk.begun.notified().await;
    let caller = peer.clone();
    let call = tokio::spawn(async move { find(&caller, WAITS).await });
    desk.begun.notified().await;
    stop.send(()).unwrap();
    // The stream was told and ends with its last word.
    assert!(stream.message().await.unwrap().unwrap().has_arrived);
    assert!(stream.message().await.unwrap().is_none());
    // A call that is made now goes to a new connection, and nobody listens any more.
    let late = Peer::new("shipping", &format!("http://{address}")).unwrap();
    while find(&late, 1).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!serving.is_finished());
    desk.go.notify_one();
    assert_eq!(call.await.unwrap().unwrap().id, WAITS);
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_that_goes_on_is_cut_off_when_the_time_is_over() {
    let service = Service::new("shipping").grace(Duration::from_millis(50));
    let Running { peer, stop, serving, .. } = start_as(Harbour::default(), service);
    let mut stream = desk_at(&peer).follow(parcel(WAITS)).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    stop.send(()).unwrap();
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
    serving.await.unwrap().unwrap();
}
