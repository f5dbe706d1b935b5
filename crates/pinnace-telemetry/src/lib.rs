//! What a process tells about itself: request ids, log lines, access records, and the metrics that all workers of a
//! service share.
//!
//! Nothing here blocks on a network, and nothing here is on the way of an answer except a few atomic additions. Where to
//! read next: [`ServiceMetrics`] for what is counted and how it stays exact over crashes, [`logging::init`] for how our own
//! processes write, [`AccessLog`] for the line of one request.

#![forbid(unsafe_code)]

mod access;
pub mod logging;
mod metrics;
mod request_id;

pub use access::AccessLog;
pub use metrics::{ConnectionGuard, InFlight, MetricsError, ServiceMetrics, WorkerMetrics};
pub use request_id::{REQUEST_ID_HEADER, new_request_id};
