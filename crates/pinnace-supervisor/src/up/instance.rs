//! One process group of a service, as the system holds it: the leader's process, what it says, and what its family writes.
//!
//! Its tasks only send [`InstanceEvent`]s; the system owns every decision. When the leader has ended, nothing of its
//! family is left, and all that it wrote last is in the log, before [`InstanceEvent::Ended`] is sent.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use jiff::Timestamp;
use pinnace_os::{Child, Exit, Lifetime, Output, Signal, Spawn, family};
use pinnace_types::control::{InstanceView, LogStream, ServiceState};
use pinnace_types::status::StatusEvent;
use pinnace_types::worker::Failure;
use pinnace_types::{ServiceName, environment};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::logs::Logs;
use super::probe;
use crate::json_lines::JsonLines;

/// After the leader's end, what its family wrote last is read for this long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What happened to an instance.
#[derive(Debug)]
pub(super) enum InstanceEvent {
    /// Its leader told a step of its life.
    Said(StatusEvent),
    /// Its health path answers, or its port takes connections.
    Healthy,
    /// Its leader has ended.
    Ended(Exit),
}

/// An event, and whose it is.
pub(super) type Heard = (u64, InstanceEvent);

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// Its processes run and are not ready yet.
    Starting,
    /// It answers.
    Ready,
    /// It answers, while new workers take over.
    Reloading,
    /// Another instance has taken over; it finishes what it has.
    Retiring,
    /// It was told to end.
    Stopping,
}

/// Who an instance is.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// Unique over the life of the system.
    pub(super) key: u64,
    /// The service.
    pub(super) service: ServiceName,
    /// The lowest number that was free.
    pub(super) number: u32,
    /// A port of its own.
    pub(super) port: Option<u16>,
}

/// A running instance.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) identity: Identity,
    pub(super) stage: Stage,
    pub(super) pid: u32,
    pub(super) started: Instant,
    /// Why it cannot start, in its own words.
    pub(super) failure: Option<Failure>,
    /// When it is killed, unless something happens before.
    pub(super) deadline: Option<Instant>,
    /// Whether it was killed at its deadline.
    pub(super) overdue: bool,
    /// Its files changed before it answered: it is told once it does.
    reload_wanted: bool,
    pub(super) started_at: Timestamp,
    signals: mpsc::Sender<Signal>,
    events: mpsc::Sender<Heard>,
    probe: Option<JoinHandle<()>>,
}

impl Identity {
    /// `orders-1`.
    pub(super) fn id(&self) -> String {
        format!("{}-{}", self.service, self.number)
    }
}

impl Instance {
    /// Starts the leader.
    pub(super) fn start(
        spawn: Spawn,
        identity: Identity,
        ready_within: Duration,
        lifetime: &Lifetime,
        logs: &Logs,
        events: &mpsc::Sender<Heard>,
    ) -> io::Result<Self> {
        let (own, theirs) = UnixStream::pair()?;
        let mut child = spawn
            .env(environment::INSTANCE, identity.id())
            .output(Output::Pipe)
            .pass(environment::LIFETIME_FD, lifetime.descriptor()?)
            // Its writer is no runtime: it must block where the line does not fit.
            .pass(environment::STATUS_FD, blocking(theirs)?)
            .spawn()
            .map_err(|error| error.source)?;
        let pid = child.pid();
        let (signals, orders) = mpsc::channel(8);
        let reading = tokio::spawn(listen_task(identity.key, own, events.clone()));
        let writing = child.take_output().map(|(stdout, stderr)| {
            let (service, id) = (identity.service.clone(), identity.id());
            let logs = logs.clone();
            tokio::spawn(async move {
                tokio::join!(
                    logs.pump(&service, &id, LogStream::Stdout, stdout),
                    logs.pump(&service, &id, LogStream::Stderr, stderr)
                );
            })
        });
        let heard = [Some(reading), writing].into_iter().flatten().collect();
        // These tasks end with the process.
        tokio::spawn(wait_task(identity.key, child, orders, heard, events.clone()));
        let started = Instant::now();
        Ok(Self {
            identity,
            stage: Stage::Starting,
            pid,
            started,
            failure: None,
            deadline: Some(started + ready_within),
            overdue: false,
            reload_wanted: false,
            started_at: Timestamp::now(),
            signals,
            events: events.clone(),
            probe: None,
        })
    }

    /// Whether it answers, or will.
    pub(super) const fn counts(&self) -> bool {
        matches!(self.stage, Stage::Starting | Stage::Ready | Stage::Reloading)
    }

    /// Whether it answers and goes on doing so.
    pub(super) const fn answers(&self) -> bool {
        matches!(self.stage, Stage::Ready | Stage::Reloading)
    }

    /// Asks again and again until it is healthy; then [`InstanceEvent::Healthy`] is sent.
    pub(super) fn probe(&mut self, address: SocketAddr, path: Option<String>) {
        let (key, events) = (self.identity.key, self.events.clone());
        self.probe = Some(tokio::spawn(async move {
            probe::healthy(address, path.as_deref()).await;
            let _ = events.send((key, InstanceEvent::Healthy)).await;
        }));
    }

    /// It answers; what was wanted before is done now.
    pub(super) fn answered(&mut self) {
        self.stage = Stage::Ready;
        self.deadline = None;
        if self.reload_wanted {
            self.reload();
        }
    }

    /// Has new workers take over. One that does not answer yet may not hear signals yet either, and is told later.
    pub(super) fn reload(&mut self) {
        match self.stage {
            Stage::Starting => self.reload_wanted = true,
            Stage::Ready | Stage::Reloading => {
                self.reload_wanted = false;
                self.stage = Stage::Reloading;
                self.hang_up();
            }
            Stage::Retiring | Stage::Stopping => {}
        }
    }

    /// Has the gateway read its table again.
    pub(super) fn hang_up(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Tells it that another has taken over, once its callers had this much notice. It is killed if it takes longer than
    /// it may.
    pub(super) fn retire(&mut self, notice: Duration, longest: Duration) {
        if notice.is_zero() {
            return self.end(Stage::Retiring, Signal::SIGUSR1, longest);
        }
        self.stage = Stage::Retiring;
        self.deadline = Some(Instant::now() + notice + longest);
        self.abandon_probe();
        let signals = self.signals.clone();
        // It ends with its pause.
        tokio::spawn(async move {
            tokio::time::sleep(notice).await;
            // One that has ended meanwhile needs no signal.
            let _ = signals.send(Signal::SIGUSR1).await;
        });
    }

    /// Tells it to end. It is killed if it takes longer than it may.
    pub(super) fn stop(&mut self, longest: Duration) {
        self.end(Stage::Stopping, Signal::SIGTERM, longest);
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    pub(super) fn view(&self) -> InstanceView {
        InstanceView {
            id: self.identity.id(),
            pid: self.pid,
            port: self.identity.port,
            state: match self.stage {
                Stage::Starting => ServiceState::Starting,
                Stage::Ready => ServiceState::Ready,
                Stage::Reloading => ServiceState::Reloading,
                Stage::Retiring | Stage::Stopping => ServiceState::Stopping,
            },
            started_at: self.started_at,
        }
    }

    fn end(&mut self, stage: Stage, signal: Signal, longest: Duration) {
        self.stage = stage;
        self.deadline = Some(Instant::now() + longest);
        self.abandon_probe();
        self.signal(signal);
    }

    fn signal(&self, signal: Signal) {
        // A full queue belongs to a process that was told often enough; one that has ended needs no signal.
        let _ = self.signals.try_send(signal);
    }

    fn abandon_probe(&mut self) {
        if let Some(probe) = self.probe.take() {
            probe.abort();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.abandon_probe();
    }
}

fn blocking(stream: UnixStream) -> io::Result<OwnedFd> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream.into())
}

async fn listen_task(key: u64, reading: UnixStream, events: mpsc::Sender<Heard>) {
    let mut lines = JsonLines::new(reading);
    while let Some(status) = lines.next().await {
        if events.send((key, InstanceEvent::Said(status))).await.is_err() {
            return;
        }
    }
}

async fn wait_task(
    key: u64,
    mut child: Child,
    mut orders: mpsc::Receiver<Signal>,
    heard: Vec<JoinHandle<()>>,
    events: mpsc::Sender<Heard>,
) {
    let exit = loop {
        tokio::select! {
            exit = child.wait() => break exit.unwrap_or(Exit::Signal(Signal::SIGKILL as i32)),
            Some(signal) = orders.recv() => {
                // One that has just ended needs no signal.
                let _ = child.signal(signal);
            }
        }
    };
    // What a killed leader has left behind was handed to this process, and holds the pipes open.
    family::reap_strays();
    let give_up = Instant::now() + LAST_WORDS;
    for mut task in heard {
        if tokio::time::timeout_at(give_up, &mut task).await.is_err() {
            task.abort();
        }
    }
    let _ = events.send((key, InstanceEvent::Ended(exit))).await;
}
