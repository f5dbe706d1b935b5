//! How a service is: ready, not ready, or on its way to its end. Both faces of health ask here.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use pinnace_http::management::Readiness;
use pinnace_http::{BoxError, Drain};

use crate::handler::words_of;

/// How long a probe of the author's may take; what does not answer is not ready.
const LONGEST_PROBE: Duration = Duration::from_secs(5);

/// How a service is.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) probe: Option<Probe>,
    pub(crate) drain: Drain,
}

/// Asks the author whether the service is ready.
pub(crate) struct Probe {
    ask: Box<dyn Fn() -> ProbeFuture + Send + Sync>,
    /// So that a change is told, and not every answer.
    was_ready: AtomicBool,
}

type ProbeFuture = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// Tells when the service begins to stop.
///
/// What would go on for ever (a stream, a WebSocket) is cut off when the service's time to finish is over. A handler that
/// listens here ends it in time, with a word to its client. It is among the extensions of every request.
///
/// ```
/// use pinnace::Stopping;
/// use pinnace::axum::Extension;
///
/// async fn news(Extension(stopping): Extension<Stopping>) -> &'static str {
///     tokio::select! {
///         () = stopping.begun() => "no news, and the service stops: ask again elsewhere",
///         () = tokio::time::sleep(std::time::Duration::from_secs(60)) => "no news",
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Stopping(pub(crate) Drain);

impl Condition {
    pub(crate) async fn readiness(&self) -> Readiness {
        if self.drain.has_begun() {
            return Readiness::Stopping;
        }
        match &self.probe {
            Some(probe) => probe.readiness().await,
            None => Readiness::Ready,
        }
    }
}

impl Stopping {
    /// Completes when it has begun.
    pub async fn begun(&self) {
        self.0.begun().await;
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.has_begun()
    }
}

impl Probe {
    pub(crate) fn new<F, R>(ask: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self { ask: Box::new(move || Box::pin(ask())), was_ready: AtomicBool::new(true) }
    }

    async fn readiness(&self) -> Readiness {
        // A probe that panics is one that fails.
        let asked = AssertUnwindSafe((self.ask)()).catch_unwind();
        let reason = match tokio::time::timeout(LONGEST_PROBE, asked).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(error.to_string()),
            Ok(Err(panic)) => Some(words_of(&*panic).to_owned()),
            Err(_) => Some(format!("no answer within {} s", LONGEST_PROBE.as_secs())),
        };
        let was_ready = self.was_ready.swap(reason.is_none(), Ordering::Relaxed);
        match reason {
            None => Readiness::Ready,
            Some(reason) => {
                if was_ready {
                    tracing::warn!(reason, "not ready");
                }
                Readiness::Unready
            }
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Probe").field("was_ready", &self.was_ready).finish_non_exhaustive()
    }
}
