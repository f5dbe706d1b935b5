//! A whole service: it takes shipments in, asks the catalogue what they weigh, and tells when they have arrived.
//!
//! ```text
//! cargo run --example shipping
//! curl -d '{"sku": "anchor"}' -H 'content-type: application/json' http://127.0.0.1:8000/shipments
//! ```
//!
//! gRPC clients ask on the same address: `harbour.v1.Desk`, see tests/protocol/harbour.proto.
//!
//! Under `pinnace up` it is a `command` service; with `calls = ["catalog"]` it knows its catalogue.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use parking_lot::RwLock;
use pinnace::axum::extract::{Path, Query, State};
use pinnace::axum::http::StatusCode;
use pinnace::axum::response::{IntoResponse, Response};
use pinnace::axum::routing::{get, post};
use pinnace::axum::{Json, Router};
use pinnace::tonic::{self, Status};
use pinnace::{Peer, PeerError, Service, Stopping};
use pinnace_protocol::harbour::v1::desk_server::{Desk as Protocol, DeskServer};
use pinnace_protocol::harbour::v1::{Parcel, ParcelRequest};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The store is memory, so it has an end.
const MOST_SHIPMENTS: usize = 10_000;
/// How long one may wait for an arrival, in milliseconds.
const LONGEST_WAIT: u64 = 20_000;

#[derive(Clone)]
struct Desk {
    shipments: Arc<RwLock<BTreeMap<u32, Shipment>>>,
    arrivals: Arc<watch::Sender<()>>,
    catalog: Option<Peer>,
}

#[derive(Clone, Serialize)]
struct Shipment {
    id: u32,
    sku: String,
    /// Unknown without a catalogue.
    weight: Option<f64>,
    has_arrived: bool,
}

#[derive(Deserialize)]
struct Order {
    sku: String,
}

/// What the catalogue knows of a product, as far as it matters here.
#[derive(Deserialize)]
struct Product {
    weight: Option<f64>,
}

#[derive(Deserialize)]
struct Patience {
    #[serde(default)]
    within_ms: u64,
}

/// What prevents an answer.
enum Refusal {
    Unknown,
    Full,
    Catalog(PeerError),
}

#[tokio::main]
async fn main() -> ExitCode {
    let desk = Desk {
        shipments: Arc::default(),
        arrivals: Arc::new(watch::Sender::new(())),
        catalog: Peer::from_environment("catalog").ok(),
    };
    let routes = Router::new()
        .route("/shipments", get(list).post(ship))
        .route("/shipments/{id}", get(show))
        .route("/shipments/{id}/arrival", post(arrive).get(await_arrival))
        .with_state(desk.clone());
    Service::new("shipping")
        .routes(routes)
        .grpc(DeskServer::new(desk.clone()))
        .ready(move || {
            let desk = desk.clone();
            async move { if desk.is_full() { Err("the desk is full".into()) } else { Ok(()) } }
        })
        .run()
        .await
}

async fn list(State(desk): State<Desk>) -> Json<Vec<Shipment>> {
    Json(desk.shipments.read().values().cloned().collect())
}

async fn ship(State(desk): State<Desk>, Json(order): Json<Order>) -> Result<(StatusCode, Json<Shipment>), Refusal> {
    let weight = desk.weight(&order.sku).await?;
    let mut shipments = desk.shipments.write();
    if shipments.len() >= MOST_SHIPMENTS {
        return Err(Refusal::Full);
    }
    let id = shipments.last_key_value().map_or(1, |(last, _)| last + 1);
    let shipment = Shipment { id, sku: order.sku, weight, has_arrived: false };
    shipments.insert(id, shipment.clone());
    tracing::info!(shipment = id, "taken in");
    Ok((StatusCode::CREATED, Json(shipment)))
}

async fn show(State(desk): State<Desk>, Path(id): Path<u32>) -> Result<Json<Shipment>, Refusal> {
    desk.find(id).map(Json)
}

async fn arrive(State(desk): State<Desk>, Path(id): Path<u32>) -> Result<Json<Shipment>, Refusal> {
    desk.shipments.write().get_mut(&id).ok_or(Refusal::Unknown)?.has_arrived = true;
    desk.arrivals.send_replace(());
    desk.find(id).map(Json)
}

/// Answers as soon as the shipment has arrived, or when the caller's patience ends.
async fn await_arrival(
    State(desk): State<Desk>,
    Path(id): Path<u32>,
    Query(patience): Query<Patience>,
) -> Result<Json<Shipment>, Refusal> {
    let mut arrivals = desk.arrivals.subscribe();
    let arrived = arrivals.wait_for(|()| desk.find(id).map_or(true, |shipment| shipment.has_arrived));
    let longest = Duration::from_millis(patience.within_ms.min(LONGEST_WAIT));
    // Without an arrival the answer says so.
    let _ = tokio::time::timeout(longest, arrived).await;
    desk.find(id).map(Json)
}

#[tonic::async_trait]
impl Protocol for Desk {
    type FollowStream = Pin<Box<dyn Stream<Item = Result<Parcel, Status>> + Send>>;

    async fn find(&self, request: tonic::Request<ParcelRequest>) -> Result<tonic::Response<Parcel>, Status> {
        Ok(tonic::Response::new(self.find(request.into_inner().id)?.into()))
    }

    async fn follow(
        &self,
        request: tonic::Request<ParcelRequest>,
    ) -> Result<tonic::Response<Self::FollowStream>, Status> {
        let stopping = request.extensions().get::<Stopping>().cloned();
        let (desk, id) = (self.clone(), request.into_inner().id);
        let found = Parcel::from(desk.find(id)?);
        tracing::info!(parcel = id, "followed");
        if found.has_arrived {
            return Ok(tonic::Response::new(stream::iter([Ok(found)]).boxed()));
        }
        let arrival = stream::once(async move {
            let mut arrivals = desk.arrivals.subscribe();
            let arrived = arrivals.wait_for(|()| desk.find(id).is_ok_and(|shipment| shipment.has_arrived));
            let stops = async {
                match stopping {
                    Some(stopping) => stopping.begun().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = arrived => Ok(Parcel { id, has_arrived: true }),
                () = stops => Err(Status::unavailable("the desk closes; ask again")),
            }
        });
        Ok(tonic::Response::new(stream::iter([Ok(found)]).chain(arrival).boxed()))
    }
}

impl From<Shipment> for Parcel {
    fn from(shipment: Shipment) -> Self {
        Self { id: shipment.id, has_arrived: shipment.has_arrived }
    }
}

impl Desk {
    async fn weight(&self, sku: &str) -> Result<Option<f64>, Refusal> {
        let Some(catalog) = &self.catalog else { return Ok(None) };
        let answer = catalog.get(&format!("/products/{sku}")).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Err(Refusal::Unknown);
        }
        Ok(answer.json::<Product>()?.weight)
    }

    fn find(&self, id: u32) -> Result<Shipment, Refusal> {
        self.shipments.read().get(&id).cloned().ok_or(Refusal::Unknown)
    }

    fn is_full(&self) -> bool {
        self.shipments.read().len() >= MOST_SHIPMENTS
    }
}

impl From<PeerError> for Refusal {
    fn from(error: PeerError) -> Self {
        Self::Catalog(error)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::not_found("there is no such thing"),
            Refusal::Full => Self::resource_exhausted("the desk is full"),
            Refusal::Catalog(error) => error.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unknown => (StatusCode::NOT_FOUND, "there is no such thing\n").into_response(),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, "the desk is full\n").into_response(),
            Self::Catalog(error) => error.into_response(),
        }
    }
}
