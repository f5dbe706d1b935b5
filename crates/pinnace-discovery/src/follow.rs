//! What becomes of a registry's answers: instances that are told on, and what is kept over an outage.
//!
//! A registry that comes back may have lost everything, and instances register again only by and by. Whoever took its
//! first answer at its word would have nowhere to call while every instance runs. So what was known before an outage and
//! is missing in the answers after it stays for as long as an instance needs to register again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::http::Trouble;
use crate::instances::Publisher;
use crate::{DEFAULT_TTL, Instance};

/// For how long what was known before an outage stays after it.
const KEPT: Duration = DEFAULT_TTL;

/// The state of one service that is followed.
#[derive(Debug)]
pub(crate) struct Follower {
    publisher: Arc<Publisher>,
    /// Whether something went wrong since the last answer.
    is_away: bool,
    /// Known before the outage, and not seen since.
    kept: Vec<Instance>,
    kept_until: Instant,
}

/// Says once that a registry is lost, and once that it is back.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    is_away: AtomicBool,
}

impl Follower {
    pub(crate) fn new(publisher: Arc<Publisher>) -> Self {
        Self { publisher, is_away: false, kept: Vec::new(), kept_until: Instant::now() }
    }

    pub(crate) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// The registry does not answer, or has forgotten what it knew.
    pub(crate) const fn lost(&mut self) {
        self.is_away = true;
    }

    /// The registry knows these, and no others. Says whether that is a change.
    pub(crate) fn heard(&mut self, mut instances: Vec<Instance>) -> bool {
        let now = Instant::now();
        if self.is_away {
            self.is_away = false;
            self.kept = self.publisher.subscribe().current().to_vec();
            self.kept_until = now + KEPT;
        }
        if self.kept_until <= now {
            self.kept.clear();
        }
        self.kept.retain(|known| instances.iter().all(|instance| instance.id != known.id));
        instances.extend(self.kept.iter().cloned());
        self.publisher.publish(instances)
    }

    /// How long until what is kept has to go, where something is.
    pub(crate) fn kept_for(&self) -> Option<Duration> {
        (!self.kept.is_empty()).then(|| self.kept_until.saturating_duration_since(Instant::now()))
    }
}

impl Presence {
    pub(crate) fn lost(&self, trouble: &Trouble) {
        if !self.is_away.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason = %trouble, "the registry is away; what was known last stays");
        }
    }

    pub(crate) fn heard(&self, place: &str) {
        if self.is_away.swap(false, Ordering::Relaxed) {
            tracing::info!(registry = place, "the registry answers again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::{Follower, KEPT};
    use crate::Instance;
    use crate::instances::Publisher;

    fn instances(ids: &[&str]) -> Vec<Instance> {
        ids.iter().map(|id| Instance::new(*id, "http://127.0.0.1:1".parse().unwrap())).collect()
    }

    fn ids(follower: &Follower) -> Vec<String> {
        follower.publisher().subscribe().current().iter().map(|instance| instance.id.clone()).collect()
    }

    #[test]
    fn what_a_registry_forgot_over_an_outage_stays_until_it_had_time_to_register_again() {
        let mut follower = Follower::new(Arc::new(Publisher::default()));
        assert!(follower.heard(instances(&["a", "b"])));
        assert_eq!(follower.kept_for(), None);
        follower.lost();
        assert!(!follower.heard(Vec::new()));
        assert_eq!(ids(&follower), ["a", "b"]);
        assert!(follower.kept_for().unwrap() > KEPT / 2);
        // One is back, and from then on the registry is believed about it.
        assert!(!follower.heard(instances(&["a"])));
        assert!(follower.heard(Vec::new()));
        assert_eq!(ids(&follower), ["b"]);
        follower.kept_until = Instant::now();
        assert!(follower.heard(Vec::new()));
        assert_eq!((ids(&follower), follower.kept_for()), (Vec::new(), None));
    }

    #[test]
    fn without_an_outage_a_registry_is_believed_at_once() {
        let mut follower = Follower::new(Arc::new(Publisher::default()));
        follower.lost();
        assert!(follower.heard(instances(&["a"])));
        assert!(follower.heard(Vec::new()));
        assert_eq!(ids(&follower), Vec::<String>::new());
    }
}
