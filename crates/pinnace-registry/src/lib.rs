//! The engine that knows which instances run: store, liveness, watches

#![forbid(unsafe_code)]
