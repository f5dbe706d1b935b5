//! What a process tells about itself: request ids, log lines, access records, and the metrics that all workers of a
//! service share.
//!
//! Nothing here blocks on a network, and nothing here is on the way of an answer except a few atomic additions. Where to
//! read next: [`ServiceMetrics`] for what is counted and how it stays exact over crashes, [`logging::init`] for how our own
//! processes write, [`Observation`] for what is
//! remembered of one request.

#![forbid(unsafe_code)]

mod access;
pub mod logging;
mod metrics;
mod observation;
mod request_id;

pub use access::AccessLog;
pub use metrics::{ConnectionGuard, InFlight, MetricsError, ServiceMetrics, WorkerMetrics};
pub use observation::{Observation, Observer};
pub use request_id::{
    REQUEST_ID_HEADER, answer_request_id, current_request_id, during_request, new_request_id, take_request_id,
    within_request,
};
