//! Request ids, logs, the metrics that all workers of a service share

#![forbid(unsafe_code)]
