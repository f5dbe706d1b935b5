//! Composes the engines; HTTP API and server-sent events; owns .pinnace/data

#![forbid(unsafe_code)]
