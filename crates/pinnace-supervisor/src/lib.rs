//! Service processes: environments, start order, health, reload, logs, shutdown

#![forbid(unsafe_code)]
