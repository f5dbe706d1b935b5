//! A whole system on one machine: environments, start order, health, reload, logs, shutdown.
//!
//! Where to read next: `logs` for what happens to the lines that services write.

mod logs;

pub use logs::Logs;
