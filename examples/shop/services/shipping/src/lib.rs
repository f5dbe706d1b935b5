//! The parcels of the shop: what is sent, what it costs, and where it is.
//!
//! A shipment belongs to an order and has its id, so whoever asks for it twice gets it once. `rest.rs` is the face for the
//! services of the shop and for the people who pack, `calls.rs` the face for those who follow a parcel, `store.rs` keeps
//! both to the same steps: `ready`, `dispatched`, `delivered`, or `cancelled` before it is dispatched.

#![forbid(unsafe_code)]

mod calls;
mod refusal;
mod rest;
mod shipment;
mod store;
mod tariff;

/// The messages, the server and the client of `proto/shop/shipping/v1/shipping.proto`.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    missing_docs,
    unused_qualifications,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("shop.shipping.v1");
}

use pinnace::Service;

pub use store::Store;
use v1::shipping_server::ShippingServer;

/// The service on a store.
pub fn service(store: Store) -> Service {
    let asked = store.clone();
    Service::new("shipping")
        .routes(rest::routes(store.clone()))
        .grpc(ShippingServer::new(calls::Calls::new(store)))
        .body_limit(16 << 10)
        .ready(move || {
            let store = asked.clone();
            async move { store.ping().await }
        })
}
