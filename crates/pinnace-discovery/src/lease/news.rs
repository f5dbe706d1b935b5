//! What is worth telling of a registration: that it stands, once that it is lost, and once that it is back.

use tokio::sync::watch;

use super::{Lease, LeaseState};

/// What has become of a registration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeaseNews {
    /// The registry knows the instance, for the first time.
    Registered,
    /// It does not know it yet, which is tried again all the time.
    NotYet {
        /// What stands in the way.
        reason: String,
    },
    /// Whether it still knows it is uncertain.
    Lost {
        /// What stands in the way.
        reason: String,
    },
    /// It knows it again, or after all.
    Again,
}

/// The news of one lease, see [`Lease::news`].
#[derive(Debug)]
pub struct NewsOfLease {
    state: watch::Receiver<LeaseState>,
    was_there: Option<bool>,
}

impl Lease {
    /// What becomes of it, without repetitions.
    pub fn news(&self) -> NewsOfLease {
        NewsOfLease { state: self.state(), was_there: None }
    }
}

impl NewsOfLease {
    /// Waits for the next one; nothing when the lease has ended.
    pub async fn next(&mut self) -> Option<LeaseNews> {
        loop {
            self.state.changed().await.ok()?;
            let state = self.state.borrow_and_update().clone();
            let before = self.was_there.replace(state == LeaseState::Registered);
            return Some(match (state, before) {
                (LeaseState::Registered, None) => LeaseNews::Registered,
                (LeaseState::Registered, Some(false)) => LeaseNews::Again,
                (LeaseState::NotYet { reason }, None) => LeaseNews::NotYet { reason },
                (LeaseState::NotYet { reason }, Some(true)) => LeaseNews::Lost { reason },
                (LeaseState::Registered, Some(true)) | (LeaseState::NotYet { .. }, Some(false)) => continue,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::super::LeaseState;
    use super::{LeaseNews, NewsOfLease};

    #[tokio::test]
    async fn each_turn_is_told_once() {
        let away = |reason: &str| LeaseState::NotYet { reason: reason.to_owned() };
        let (state_tx, state) = watch::channel(away("not asked yet"));
        let mut news = NewsOfLease { state, was_there: None };
        let mut told = Vec::new();
        for state in [away("a"), away("b"), LeaseState::Registered, LeaseState::Registered, away("c"), away("d")] {
            state_tx.send_replace(state);
            // Nothing that is told is waited for.
            if let Ok(one) = tokio::time::timeout(std::time::Duration::from_millis(1), news.next()).await {
                told.push(one.unwrap());
            }
        }
        assert_eq!(
            told,
            [
                LeaseNews::NotYet { reason: "a".to_owned() },
                LeaseNews::Again,
                LeaseNews::Lost { reason: "c".to_owned() }
            ]
        );
        drop(state_tx);
        assert_eq!(news.next().await, None);
    }
}
