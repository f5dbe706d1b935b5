//! The gRPC face: what sending costs, and where a shipment is.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use pinnace::Stopping;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::refusal::Refusal;
use crate::shipment::{self, OrderId};
use crate::store::Store;
use crate::tariff;
use crate::v1::shipping_server::Shipping;
use crate::v1::{self, QuoteReply, QuoteRequest, TrackRequest};

/// How often somebody who watches hears of what another process has changed.
const PERIOD: Duration = Duration::from_millis(500);

/// Answers calls.
#[derive(Debug)]
pub(crate) struct Calls {
    store: Store,
}

/// Somebody who watches.
struct Watcher {
    store: Store,
    changes: watch::Receiver<()>,
    stopping: Option<Stopping>,
    order: OrderId,
    told: Option<shipment::Status>,
    has_ended: bool,
}

impl Calls {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl Shipping for Calls {
    type WatchStream = BoxStream<'static, Result<v1::Shipment, Status>>;

    async fn quote(&self, request: Request<QuoteRequest>) -> Result<Response<QuoteReply>, Status> {
        let things = request.into_inner().things;
        if !(1..=tariff::MOST_THINGS).contains(&things) {
            return Err(Status::invalid_argument("`things` is a number from 1 to 100000"));
        }
        let parcels = tariff::parcels(things);
        Ok(Response::new(QuoteReply {
            parcels,
            price_cents: tariff::price_cents(parcels),
            currency: tariff::CURRENCY.to_owned(),
            days: tariff::DAYS,
        }))
    }

    async fn track(&self, request: Request<TrackRequest>) -> Result<Response<v1::Shipment>, Status> {
        let order = order_of(&request)?;
        Ok(Response::new(self.store.find(&order).await?.into()))
    }

    async fn watch(&self, request: Request<TrackRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let watcher = Watcher {
            changes: self.store.changes(),
            store: self.store.clone(),
            stopping: request.extensions().get::<Stopping>().cloned(),
            order: order_of(&request)?,
            told: None,
            has_ended: false,
        };
        // What does not exist is told at once, and not by a stream.
        watcher.store.find(&watcher.order).await?;
        let steps = stream::unfold(watcher, |mut watcher| async move {
            let step = watcher.next().await?;
            Some((step, watcher))
        });
        Ok(Response::new(steps.boxed()))
    }
}

impl Watcher {
    /// Waits for the next step; nothing after the last one.
    async fn next(&mut self) -> Option<Result<v1::Shipment, Status>> {
        if self.has_ended || self.told.is_some_and(shipment::Status::is_last) {
            return None;
        }
        loop {
            match self.store.find(&self.order).await {
                Ok(shipment) if self.told == Some(shipment.status) => {}
                Ok(shipment) => {
                    self.told = Some(shipment.status);
                    return Some(Ok(shipment.into()));
                }
                Err(refusal) => return Some(self.end(refusal.into())),
            }
            tokio::select! {
                _ = self.changes.changed() => {}
                () = tokio::time::sleep(PERIOD) => {}
                () = stops(self.stopping.as_ref()) => {
                    return Some(self.end(Status::unavailable("the service stops; ask again")));
                }
            }
        }
    }

    fn end(&mut self, status: Status) -> Result<v1::Shipment, Status> {
        self.has_ended = true;
        Err(status)
    }
}

async fn stops(stopping: Option<&Stopping>) {
    match stopping {
        Some(stopping) => stopping.begun().await,
        None => std::future::pending().await,
    }
}

fn order_of(request: &Request<TrackRequest>) -> Result<OrderId, Status> {
    let no_order = || Refusal::Malformed("`order` is the id of an order, a UUID".to_owned());
    Ok(request.get_ref().order.parse().map_err(|()| no_order())?)
}

impl From<shipment::Shipment> for v1::Shipment {
    fn from(shipment: shipment::Shipment) -> Self {
        let status = match shipment.status {
            shipment::Status::Ready => v1::Status::Ready,
            shipment::Status::Dispatched => v1::Status::Dispatched,
            shipment::Status::Delivered => v1::Status::Delivered,
            shipment::Status::Cancelled => v1::Status::Cancelled,
        };
        Self {
            order: shipment.order.as_str().to_owned(),
            status: status.into(),
            parcels: shipment.parcels,
            tracking: shipment.tracking.unwrap_or_default(),
        }
    }
}
