//! The edge: one address for a whole system. A request finds its service by host and longest prefix and is streamed
//! there and back; what goes wrong on the way is told as a problem document that names the service.
//!
//! The gateway holds nothing that has to survive it: its table is a file of the supervisor, read again at each reload.
//! Where to read next: `table.rs` for routes, `forward.rs` for what is sent again and what is not, `path.rs` for what is
//! refused.

#![forbid(unsafe_code)]

mod download;
mod forward;
mod gateway;
mod headers;
mod path;
mod record;
mod table;
mod upgrade;
mod upload;

pub use gateway::Gateway;
pub use table::{Table, TableError};
