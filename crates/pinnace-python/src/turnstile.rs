//! Where requests wait for their turn on the event loop: few begin in one turn of it, so that it hears its sockets and
//! answers the management paths soon, however much has arrived. [`pinnace_http::pace`] says how many.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pinnace_http::pace::Pace;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::reactor::Nudge;

/// Lets requests through as the loop turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turnstile(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    pace: Pace<oneshot::Sender<()>>,
    /// When the turn began.
    began: Option<Instant>,
}

/// Ends the running turn when it is dropped, so that those behind are not forgotten when this one has gone.
#[derive(Debug)]
struct Behind<'a>(&'a Nudge);

impl Turnstile {
    /// The next turn begins; during the last one the thread had nothing to do for so long.
    pub(crate) fn turn(&self, slept: Duration) {
        let now = Instant::now();
        let mut inner = self.0.lock();
        let lasted = inner.began.replace(now).map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        inner.pace.turn(lasted.saturating_sub(slept), |waiter| waiter.send(()).is_ok());
    }

    /// Waits for a turn.
    pub(crate) async fn pass(&self, nudge: &Nudge) {
        let passed = {
            let mut inner = self.0.lock();
            if inner.pace.begin() {
                return;
            }
            let (passed_tx, passed_rx) = oneshot::channel();
            inner.pace.wait(passed_tx);
            passed_rx
        };
        nudge.now();
        let _behind = Behind(nudge);
        // The other side lives as long as the loop does.
        let _ = passed.await;
    }
}

impl Drop for Behind<'_> {
    fn drop(&mut self) {
        self.0.now();
    }
}
