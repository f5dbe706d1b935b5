//! The view that a caller keeps of a service's instances.
//!
//! It lives in the caller's memory, so a registry that is away costs no request: what was known last stays, until the
//! registry is there again and says something else.

use std::sync::Arc;

use tokio::sync::watch;

use crate::Instance;

/// The instances of a service, followed for as long as somebody holds this or a clone of it.
#[derive(Clone, Debug)]
pub struct Instances(watch::Receiver<View>);

/// The end at which a backend says what it knows.
#[derive(Debug, Default)]
pub(crate) struct Publisher(watch::Sender<View>);

#[derive(Clone, Debug, Default)]
struct View {
    known: bool,
    instances: Arc<[Instance]>,
}

// ---- what callers see ----

impl Instances {
    /// The instances at this moment in the order of their ids; no wait, no lock that is held.
    pub fn current(&self) -> Arc<[Instance]> {
        self.0.borrow().instances.clone()
    }

    /// Whether the registry has answered at least once. Until then, "no instance" says nothing.
    pub fn is_known(&self) -> bool {
        self.0.borrow().known
    }

    /// Waits for the next change, or for the first answer, and returns the instances after it; nothing when no change can
    /// come any more. What changes while nobody waits is not lost: the next call returns at once, with the last state.
    pub async fn changed(&mut self) -> Option<Arc<[Instance]>> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().instances.clone())
    }

    /// A view that never changes.
    pub(crate) fn fixed(instances: &[Instance]) -> Self {
        let publisher = Publisher::default();
        publisher.publish(instances.to_vec());
        publisher.subscribe()
    }
}

// ---- what backends see ----

impl Publisher {
    pub(crate) fn subscribe(&self) -> Instances {
        Instances(self.0.subscribe())
    }

    /// Returns when nobody watches.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }

    /// Whether somebody watches.
    pub(crate) fn is_watched(&self) -> bool {
        !self.0.is_closed()
    }

    /// Says what there is. Those who watch are told if it differs from before, or is the first answer; so is the caller.
    pub(crate) fn publish(&self, mut instances: Vec<Instance>) -> bool {
        instances.sort_by(|left, right| left.id.cmp(&right.id));
        self.0.send_if_modified(|view| {
            let is_new = !view.known || *view.instances != *instances;
            if is_new {
                *view = View { known: true, instances: instances.into() };
            }
            is_new
        })
    }
}
