//! The life of a lease: registered, renewed at a third of its TTL, registered again where it was forgotten, ended.

use std::time::Duration;

use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::LeaseState;
use crate::http::Trouble;
use crate::pauses::{Pauses, about};

/// What is under way when the end comes may take so long, so that it cannot arrive after the end.
const FINISH: Duration = Duration::from_secs(1);

/// Between two signs of life, whatever the TTL.
const SHORTEST: Duration = Duration::from_millis(100);

/// The calls by which one instance is registered.
pub(crate) trait Keeper: Send + Sync + 'static {
    fn register(&self) -> impl Future<Output = Result<(), Trouble>> + Send;
    fn renew(&self) -> impl Future<Output = Result<Renewal, Trouble>> + Send;
    fn cancel(&self) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// What a registry says to a sign of life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Renewal {
    Kept,
    /// It does not know the instance.
    Forgotten,
}

/// Keeps an instance registered until its lease ends.
pub(crate) async fn keep(
    keeper: impl Keeper,
    ttl: Duration,
    state: watch::Sender<LeaseState>,
    mut ended: oneshot::Receiver<()>,
) {
    let period = (ttl / 3).max(SHORTEST);
    let mut pauses = Pauses::new();
    let mut is_registered = false;
    let end = loop {
        let outcome = match attempt(&keeper, is_registered, &mut ended).await {
            Ok(outcome) => outcome,
            Err(end) => break end,
        };
        let pause = match outcome {
            Ok(()) => {
                is_registered = true;
                pauses.reset();
                tell(&state, LeaseState::Registered);
                about(period)
            }
            Err(trouble) => {
                tell(&state, LeaseState::NotYet { reason: trouble.to_string() });
                pauses.after_failure().min(period)
            }
        };
        tokio::select! {
            end = &mut ended => break end,
            () = sleep(pause) => {}
        }
    };
    if end.is_ok() {
        // Where the registry does not answer, the instance expires.
        if let Err(trouble) = keeper.cancel().await {
            tell(&state, LeaseState::NotYet { reason: trouble.to_string() });
        }
    }
}

/// Registers or renews, unless the end comes first: then that is what is returned.
async fn attempt(
    keeper: &impl Keeper,
    is_registered: bool,
    ended: &mut oneshot::Receiver<()>,
) -> Result<Result<(), Trouble>, Result<(), RecvError>> {
    let calls = async {
        if is_registered && keeper.renew().await? == Renewal::Kept {
            return Ok(());
        }
        keeper.register().await
    };
    let mut calls = std::pin::pin!(calls);
    tokio::select! {
        outcome = &mut calls => Ok(outcome),
        end = ended => {
            if end.is_ok() {
                let _ = timeout(FINISH, calls).await;
            }
            Err(end)
        }
    }
}

/// Those who watch hear of changes only.
fn tell(state: &watch::Sender<LeaseState>, now: LeaseState) {
    state.send_if_modified(|known| {
        let is_new = *known != now;
        *known = now;
        is_new
    });
}
