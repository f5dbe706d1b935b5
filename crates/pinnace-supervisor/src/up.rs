//! A whole system on one machine: environments, start order, health, reload, logs, shutdown.
//!
//! Where to read next: `logs` for what happens to the lines that services write, `control` for what commands ask.

#[cfg_attr(not(test), expect(dead_code, reason = "the system that starts it is not there yet"))]
mod control;
#[cfg_attr(not(test), expect(dead_code, reason = "the system that makes it is not there yet"))]
mod handle;
mod logs;
#[cfg_attr(not(test), expect(dead_code, reason = "the system that starts it is not there yet"))]
mod watch;

pub use handle::{Handle, Refusal};
pub use logs::Logs;
