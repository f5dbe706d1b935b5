//! What a running system tells about itself: the shapes of the supervisor's control API, which `pinnace ps`, the hub and
//! the dashboard read.
//!
//! The supervisor serves them over HTTP on its Unix socket:
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/system` | [`SystemView`] |
//! | `GET /v1/events` | `text/event-stream`: an event `system` with a [`SystemView`] at once and after every change |
//! | `POST /v1/services/{name}/restart` | [`ServiceView`], when the new instances are ready |
//! | `POST /v1/services/{name}/scale` with [`ScaleRequest`] | [`ServiceView`], when it has that many |
//! | `GET /v1/logs?service=NAME&tail=100&follow=true` | `application/x-ndjson` of [`LogLine`] |
//!
//! Errors are [`crate::Problem`] documents.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ServiceName;

/// A system at one moment.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct SystemView {
    /// The name from the manifest.
    pub name: String,
    /// The version of Pinnace that runs it.
    pub version: String,
    /// The folder of `pinnace.toml`.
    pub root: String,
    /// The supervisor's process.
    pub pid: u32,
    /// When `up` started.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// Where a browser reaches the system.
    pub gateway_url: String,
    /// Where the hub's API and the dashboard are.
    pub hub_url: String,
    /// The services, in the order of their start; the hub and the gateway are the first two, with [`ServiceKind::Platform`].
    pub services: Vec<ServiceView>,
}

/// One service at one moment.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// Whether it is the user's or ours.
    pub kind: ServiceKind,
    /// What it is written with, such as `FastAPI 0.163`; unknown until it has loaded.
    pub framework: Option<String>,
    /// Its address, `http://127.0.0.1:PORT`; absent where it listens to nothing.
    pub url: Option<String>,
    /// Its places at the gateway, such as `/orders` or `shop.example/orders`.
    pub routes: Vec<String>,
    /// Where it is in its life.
    pub state: ServiceState,
    /// Why it is there, where that is not obvious: the last words of a crash.
    pub reason: Option<String>,
    /// Milliseconds from the start of its processes to its first readiness.
    pub ready_ms: Option<u64>,
    /// The processes within one instance.
    pub workers: u32,
    /// How often an instance or a worker of it has crashed and was started again.
    pub restarts: u64,
    /// Its instances.
    pub instances: Vec<InstanceView>,
}

/// One process group of a service.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct InstanceView {
    /// `orders-1`: unique within the system, used again after a crash.
    pub id: String,
    /// The process that leads the group: the `serve` parent or the guard.
    pub pid: u32,
    /// A port of its own, for clients that balance themselves.
    pub port: Option<u16>,
    /// Where it is in its life.
    pub state: ServiceState,
    /// When its process started.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
}

/// Whose service it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// From the manifest, hosted by `pinnace serve`.
    Hosted,
    /// From the manifest, a program of its own (`command`).
    Command,
    /// The hub or the gateway.
    Platform,
}

/// Where a service or an instance is in its life.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Its environment is being made, or its migration runs.
    Preparing,
    /// It waits for a service that it calls.
    Waiting,
    /// Its processes run and are not ready yet.
    Starting,
    /// It answers.
    Ready,
    /// It answers, while new processes start to take over.
    Reloading,
    /// It ended by itself and waits for its next start.
    Crashed,
    /// It ended, or never became ready, and waits for a change of its files or a `restart`.
    Failed,
    /// It was told to end and finishes its requests.
    Stopping,
    /// It has ended.
    Stopped,
}

impl ServiceState {
    /// Whether requests are answered.
    pub const fn answers(self) -> bool {
        matches!(self, Self::Ready | Self::Reloading)
    }

    /// The word that stands for it in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Reloading => "reloading",
            Self::Crashed => "crashed",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// The body of a `scale`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleRequest {
    /// How many instances there should be, 1 to 64.
    pub instances: u32,
}

/// One line that a process of the system wrote.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct LogLine {
    /// When the supervisor read it.
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// Whose it is.
    pub service: ServiceName,
    /// The instance that wrote it, such as `orders-1`.
    pub instance: String,
    /// Which of the two streams.
    pub stream: LogStream,
    /// The line without its end; bytes that are no UTF-8 are replaced, at most 64 KiB are kept.
    pub text: String,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The supervisor speaks about the service: a crash, a reload, a start.
    Supervisor,
}
