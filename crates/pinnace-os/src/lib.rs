//! What Pinnace asks of the operating system: processes that cannot be orphaned, sockets that are handed on, memory that
//! processes share.
//!
//! This crate and `pinnace-python` are the only ones with unsafe code. It holds mechanism and no policy: whom to start
//! and whom to end is decided by `pinnace-supervisor`.
//!
//! Where to read next: [`Spawn`] for how a process comes to be, [`family`] for how a whole family of them ends,
//! [`Lifetime`] for how a process learns that its parent is gone.

#![expect(unsafe_code, reason = "system calls that no safe crate offers; each block says why it is sound")]

mod child;
mod exec;
pub mod family;
mod folder_lock;
mod lifetime;
mod listener;
mod place;
mod port_owner;
mod shared_memory;
mod spawn;
mod stream_listener;

pub use child::{Child, Exit};
pub use folder_lock::{FolderLock, LockError};
pub use lifetime::{Lifetime, LifetimeEnd, inherited_status};
pub use listener::{
    BACKLOG, INSTANCE_SOCKET, InheritedDatagrams, InheritedListener, NAMES_SOCKET, NameSockets, SERVICE_SOCKET,
    free_port, inherited_listeners, inherited_sockets, listen, listen_for_names,
};
pub use nix::sys::signal::Signal;
pub use place::{free_space, may_write, may_write_file};
pub use port_owner::{PortOwner, port_owners};
pub use shared_memory::SharedMemory;
pub use spawn::{Output, Spawn, SpawnError, find_program};
pub use stream_listener::{ListeningAt, SocketFile, StreamListener};
