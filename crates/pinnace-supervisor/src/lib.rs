//! Service processes: what starts them, watches them, replaces them and ends them.
//!
//! [`serve`] is the parent of one hosted application's workers, [`guard`] the parent of one service that is any other
//! program. Both lead a process group, adopt their orphans and end with whoever started them. [`up`] runs a whole system
//! of them; [`doctor`] says beforehand what would keep it from running.

#![forbid(unsafe_code)]

mod backoff;
pub mod doctor;
pub mod guard;
mod json_lines;
pub mod serve;
mod signals;
pub mod up;
mod watch;
