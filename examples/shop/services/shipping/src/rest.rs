//! The REST face: orders book and cancel, the storefront reads, those who pack list, dispatch and deliver.

use pinnace::axum::extract::rejection::{JsonRejection, QueryRejection};
use pinnace::axum::extract::{FromRequestParts, Path, Query, State};
use pinnace::axum::http::StatusCode;
use pinnace::axum::http::request::Parts;
use pinnace::axum::routing::{get, post};
use pinnace::axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::shipment::{Draft, OrderId, Shipment, Status};
use crate::store::{Booked, Store};

/// Shipments on a page, and the most of them.
const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

/// The order that a path names; what is no order has no shipment.
struct Order(OrderId);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    status: Option<Status>,
    #[serde(default)]
    after: i64,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Page {
    items: Vec<Shipment>,
    /// What `after` has to be for the page that follows, if there is one.
    next: Option<i64>,
}

pub(crate) fn routes(store: Store) -> Router {
    Router::new()
        .route("/shipments", get(list))
        .route("/shipments/{order}", get(find).put(book).delete(cancel))
        .route("/shipments/{order}/dispatch", post(dispatch))
        .route("/shipments/{order}/deliver", post(deliver))
        .with_state(store)
}

async fn list(
    State(store): State<Store>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page>, Refusal> {
    let Query(ListQuery { status, after, limit }) = query.map_err(|error| Refusal::Malformed(error.body_text()))?;
    let limit = limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let mut items = store.list(status, after, limit + 1).await?;
    let is_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| is_more).map(|last| last.id);
    Ok(Json(Page { items, next }))
}

async fn find(State(store): State<Store>, Order(order): Order) -> Result<Json<Shipment>, Refusal> {
    store.find(&order).await.map(Json)
}

async fn book(
    State(store): State<Store>,
    Order(order): Order,
    draft: Result<Json<Draft>, JsonRejection>,
) -> Result<(StatusCode, Json<Shipment>), Refusal> {
    let Json(draft) = draft.map_err(|error| Refusal::Malformed(error.body_text()))?;
    if let Some(mistake) = draft.mistake() {
        return Err(Refusal::Malformed(mistake.to_owned()));
    }
    Ok(match store.book(&order, &draft).await? {
        Booked::Now(shipment) => (StatusCode::CREATED, Json(shipment)),
        Booked::Before(shipment) => (StatusCode::OK, Json(shipment)),
    })
}

async fn cancel(State(store): State<Store>, Order(order): Order) -> Result<Json<Shipment>, Refusal> {
    store.cancel(&order).await.map(Json)
}

async fn dispatch(State(store): State<Store>, Order(order): Order) -> Result<Json<Shipment>, Refusal> {
    store.dispatch(&order).await.map(Json)
}

async fn deliver(State(store): State<Store>, Order(order): Order) -> Result<Json<Shipment>, Refusal> {
    store.deliver(&order).await.map(Json)
}

impl<S: Send + Sync> FromRequestParts<S> for Order {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|_| Refusal::Unknown)?;
        text.parse().map(Self).map_err(|()| Refusal::Unknown)
    }
}
