//! The hold that a registered instance has on its entry.
//!
//! Where to read next: `lease/keeping.rs` for the life of a lease with a registry over HTTP.

mod keeping;
mod news;

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) use keeping::{Keeper, Renewal, keep};
pub use news::{LeaseNews, NewsOfLease};

/// For how long the end of a lease may take.
const END: Duration = Duration::from_secs(2);

/// A task that keeps an instance registered: it registers, gives signs of life at a third of the TTL, and registers again
/// where the registry has forgotten the instance.
///
/// [`Lease::end`] takes the instance out at once. One that is dropped says no word: as if its process had been killed, the
/// instance is gone when its TTL is over.
#[derive(Debug)]
#[must_use = "an instance whose lease is dropped expires"]
pub struct Lease {
    state: watch::Receiver<LeaseState>,
    /// Dropped with the lease, which ends the task as well.
    end: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

/// How a registration stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeaseState {
    /// The registry has confirmed the last sign of life.
    Registered,
    /// Not registered yet, or no longer for certain. It is tried again all the time.
    NotYet {
        /// What stands in the way.
        reason: String,
    },
}

impl Lease {
    /// How the registration stands, and every change of it. The channel closes when the lease has ended.
    pub fn state(&self) -> watch::Receiver<LeaseState> {
        self.state.clone()
    }

    /// Takes the instance out of the registry. Returns after 2 s at the latest, also when the registry does not answer; the
    /// instance then expires.
    pub async fn end(mut self) {
        let (Some(end), Some(task)) = (self.end.take(), self.task.take()) else { return };
        let _ = end.send(());
        let abort = task.abort_handle();
        if tokio::time::timeout(END, task).await.is_err() {
            abort.abort();
        }
    }

    /// Starts the task that keeps an instance registered. It is given its end: a message is the wish to be taken out, a
    /// closed channel is a lease that was dropped.
    pub(crate) fn keep<F>(task: impl FnOnce(watch::Sender<LeaseState>, oneshot::Receiver<()>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (state_tx, state) = watch::channel(LeaseState::NotYet { reason: "not asked yet".to_owned() });
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(task(state_tx, ended));
        Self { state, end: Some(end), task: Some(task) }
    }

    /// The lease of a registry that takes none.
    pub(crate) fn refused(reason: &str) -> Self {
        let (_, state) = watch::channel(LeaseState::NotYet { reason: reason.to_owned() });
        Self { state, end: None, task: None }
    }
}
