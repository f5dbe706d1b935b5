//! The edge: one address for a whole system. A request finds its service by host and longest prefix and is streamed
//! there and back; what goes wrong on the way is told as a problem document that names the service.
//!
//! The gateway holds nothing that has to survive it: its table is a file of the supervisor, read again at each reload.
//! Where to read next: `table.rs` for routes, `upstream.rs` for the instances behind them, `forward.rs` for what is sent again
//! and what is not, `path.rs` for what is refused, `control.rs` for what `pinnace ps --gateway` asks.

#![forbid(unsafe_code)]

mod control;
mod download;
mod forward;
mod gateway;
mod grpc;
mod headers;
mod path;
mod record;
mod table;
mod upgrade;
mod upload;
mod upstream;

pub use control::control_task;
pub use gateway::{Discovery, Gateway};
pub use table::{Table, TableError};
