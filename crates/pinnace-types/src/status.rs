//! What a `serve` parent or a guard tells the supervisor that started it: one JSON document a line on the pipe whose
//! descriptor stands in [`crate::environment::STATUS_FD`].

use serde::{Deserialize, Serialize};

use crate::worker::Failure;

/// A step in the life of an instance.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StatusEvent {
    /// The application was imported by the first worker.
    Loaded {
        /// `module:attribute`.
        target: String,
        /// Name and version of the framework.
        framework: String,
        /// The interpreter.
        python: String,
    },
    /// The first worker answers.
    Ready,
    /// All new workers answer and the old ones drain.
    Reloaded {
        /// From the signal to the last new worker's readiness.
        millis: u64,
    },
    /// The new workers did not start; the old ones go on.
    ReloadFailed(Failure),
    /// No worker could be started; the parent ends with this.
    Failed(Failure),
    /// A worker ended by itself and is started again after a pause.
    WorkerDied {
        /// Its process.
        pid: u32,
        /// `signal 9` or `exit code 1`.
        how: String,
        /// The ids of the requests that it had begun and not answered.
        lost: Vec<String>,
        /// Until the next start.
        backoff_ms: u64,
    },
}
