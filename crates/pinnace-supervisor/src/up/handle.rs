//! How others speak to a running system: they read its view and send commands; the system alone decides.

use pinnace_types::ServiceName;
use pinnace_types::control::{ServiceView, SystemView};
use tokio::sync::{mpsc, oneshot, watch};

/// A way to a running system; clones reach the same one.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<SystemView>,
}

/// Why a command was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such service.
    #[error("there is no service `{name}`")]
    Unknown {
        /// The name that was asked for.
        name: ServiceName,
        /// The nearest name that there is.
        nearest: Option<String>,
    },
    /// The service cannot have more than one instance.
    #[error("`{name}` cannot be scaled: {reason}")]
    NotScalable {
        /// Its name.
        name: ServiceName,
        /// Why.
        reason: String,
    },
    /// It was tried and did not become ready.
    #[error("`{name}` did not become ready: {reason}")]
    Failed {
        /// Its name.
        name: ServiceName,
        /// Why.
        reason: String,
    },
    /// The system ends.
    #[error("the system is stopping")]
    Stopping,
}

/// What a system can be told.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) service: ServiceName,
    pub(crate) what: What,
    pub(crate) reply: oneshot::Sender<Result<ServiceView, Refusal>>,
}

/// What is to be done to a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    Restart,
    Scale(u32),
}

impl Handle {
    pub(crate) const fn new(commands: mpsc::Sender<Command>, view: watch::Receiver<SystemView>) -> Self {
        Self { commands, view }
    }

    /// What there is, now and after every change.
    pub fn view(&self) -> watch::Receiver<SystemView> {
        self.view.clone()
    }

    /// Replaces all instances of a service; returns when the new ones are ready.
    ///
    /// A hosted service goes on answering meanwhile, and so it does where the new instances do not start.
    pub async fn restart(&self, service: ServiceName) -> Result<ServiceView, Refusal> {
        self.ask(service, What::Restart).await
    }

    /// Gives a service this many instances; returns when they are ready.
    pub async fn scale(&self, service: ServiceName, instances: u32) -> Result<ServiceView, Refusal> {
        self.ask(service, What::Scale(instances)).await
    }

    async fn ask(&self, service: ServiceName, what: What) -> Result<ServiceView, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command { service, what, reply }).await.map_err(|_| Refusal::Stopping)?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }
}
