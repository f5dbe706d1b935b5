//! One worker process, as its parent holds it.
//!
//! Two tasks belong to it: one reads what it says, one waits for its end. Both only send [`Event`]s to the pool, which
//! owns every decision.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use pinnace_discovery::{LeaseNews, Registration};
use pinnace_os::{Child, Exit, Signal, Spawn, family};
use pinnace_types::worker::{Debugger, Failure, WorkerCommand, WorkerConfig, WorkerEvent};
use pinnace_types::{VERSION, environment};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::life::Quota;
use super::pulse::{self, Pulse};
use super::{Interpreter, ServeConfig, Socket};
use crate::json_lines::JsonLines;

/// After its end, what a worker has said last is read for this long: a process that it forked may hold its socket open.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How much longer a worker may take to end than its requests may take to finish.
const MARGIN: Duration = Duration::from_secs(2);
/// How long it may take to hear that a worker answers.
const UNSAID: Duration = Duration::from_millis(500);
/// What a worker has started and left behind may end by itself for this long.
const HEIRS: Duration = Duration::from_secs(1);

/// What happened to a worker, or to the instance.
#[derive(Debug)]
pub(super) enum Event {
    /// It said something.
    Said(u64, WorkerEvent),
    /// It ended.
    Ended(u64, Exit),
    /// The pause after its predecessor's end is over.
    Due(u64),
    /// What has become of the instance's registration.
    Registry(LeaseNews, Option<Arc<Registration>>),
    /// The registry has let the instance go, or does not answer: now the workers may drain.
    Left,
}

/// What a worker leaves when it drains.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Leaves {
    /// The other workers of its instance, which go on, or all end at once.
    Workers,
    /// The other instances of its service, with its whole instance.
    Instance,
}

/// Where a worker is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// It imports the application.
    Starting,
    /// It answers.
    Ready,
    /// It finishes what it has.
    Draining,
}

/// Where a worker stands among the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Unique over the life of the parent.
    pub(super) id: u64,
    /// Its place in the shared metrics.
    pub(super) slot: u32,
    /// The generation that it is started for.
    pub(super) generation: u64,
    /// Requests that were answered from that place in the metrics so far.
    pub(super) answered_before: u64,
}

/// A running worker.
#[derive(Debug)]
pub(super) struct Worker {
    /// Unique over the life of the parent.
    pub(super) id: u64,
    /// Its place in the shared metrics.
    pub(super) slot: u32,
    /// The generation that it was started for.
    pub(super) generation: u64,
    pub(super) stage: Stage,
    pub(super) pid: u32,
    pub(super) started: Instant,
    /// Why it cannot start, in its own words.
    pub(super) failure: Option<Failure>,
    /// When it is killed, unless something happens before.
    pub(super) deadline: Option<Instant>,
    /// Whether it was killed at its deadline.
    pub(super) overdue: bool,
    /// When it last gave a sign of life, as far as was looked.
    pub(super) pulse: Pulse,
    /// Since when it answers.
    pub(super) ready_since: Option<Instant>,
    /// What it may do before another takes its place.
    pub(super) quota: Quota,
    /// Requests that its predecessors in the same place have answered.
    pub(super) answered_before: u64,
    /// Whether a debugger is at work in it.
    pub(super) debugged: bool,
    control: OwnedWriteHalf,
    signals: mpsc::Sender<Signal>,
}

impl Worker {
    /// Starts one.
    pub(super) fn start(
        config: &ServeConfig,
        interpreter: &Interpreter,
        sockets: &[Socket],
        metrics: OwnedFd,
        place: Place,
        events: &mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let Place { id, slot, generation, answered_before } = place;
        let (own, theirs) = UnixStream::pair()?;
        let mut spawn = Spawn::new(&interpreter.program)
            .args(["-c", &interpreter.bootstrap()])
            .inherit_env()
            .envs(config.variables.iter().cloned())
            .folder(&config.app_dir)
            .death_signal(Signal::SIGKILL);
        if config.is_at_terminal() {
            // Who reads the terminal has to be in the group that the terminal belongs to.
            spawn = spawn.same_input().same_group();
        }
        let first = spawn.next_descriptor();
        for socket in sockets {
            spawn = spawn.listener(&socket.name, socket.listener.descriptor()?);
        }
        let listen_fds: Vec<i32> = (first..spawn.next_descriptor()).collect();
        let only_ours = |(socket, fd): (&Socket, &i32)| socket.is_own.then_some(*fd);
        let instance_fds = sockets.iter().zip(&listen_fds).filter_map(only_ours).collect();
        let control_fd = spawn.next_descriptor();
        spawn = spawn.pass_silently(OwnedFd::from(theirs.into_std()?));
        let metrics_fd = spawn.next_descriptor();
        spawn = spawn.pass_silently(metrics);
        let orders = worker_config(config, slot, (listen_fds, instance_fds), control_fd, metrics_fd);
        let orders = serde_json::to_string(&orders).map_err(io::Error::other)?;
        let child = spawn.env(environment::WORKER, orders).spawn().map_err(|error| error.source)?;
        let pid = child.pid();
        let (reading, control) = own.into_split();
        let (signals, orders) = mpsc::channel(4);
        // Both end with the process.
        let listening = tokio::spawn(listen_task(id, reading, events.clone()));
        tokio::spawn(wait_task(id, child, listening, orders, events.clone()));
        let started = Instant::now();
        Ok(Self {
            id,
            slot,
            generation,
            stage: Stage::Starting,
            pid,
            started,
            failure: None,
            deadline: Some(started + config.ready_timeout),
            overdue: false,
            pulse: Pulse::default(),
            ready_since: None,
            quota: Quota::drawn(&config.life, random()),
            answered_before,
            debugged: false,
            control,
            signals,
        })
    }

    /// It answers; one that was told to finish before it said so has all the time that this may take.
    pub(super) fn answers(&mut self, timeout: Duration) {
        if self.stage == Stage::Starting {
            self.stage = Stage::Ready;
            self.ready_since = Some(Instant::now());
            self.deadline = None;
        } else {
            self.deadline = Some(Instant::now() + timeout + MARGIN);
        }
    }

    /// Tells it to finish and end; it is killed if it takes longer than it may. One that still imports the application has
    /// nothing to finish, unless it says at this very moment that it answers.
    pub(super) fn drain(&mut self, linger: Duration, timeout: Duration, leaves: Leaves) {
        let longest = if self.stage == Stage::Starting { UNSAID } else { timeout + MARGIN };
        let deadline = Instant::now() + longest;
        self.deadline = Some(match (self.stage, self.deadline) {
            (Stage::Draining, Some(earlier)) => earlier.min(deadline),
            _ => deadline,
        });
        self.stage = Stage::Draining;
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let command = WorkerCommand::Drain {
            linger_ms: millis(linger),
            timeout_ms: millis(timeout),
            retires: leaves == Leaves::Instance,
        };
        // This type always serialises. The socket is empty, so the line fits; a worker that is gone needs none.
        let mut line = serde_json::to_vec(&command).unwrap_or_default();
        line.push(b'\n');
        let _ = self.control.try_write(&line);
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Has it write where its threads stand, which ends it.
    pub(super) fn abort(&self) {
        self.signal(Signal::SIGABRT);
    }

    fn signal(&self, signal: Signal) {
        // A full queue belongs to a process that was told often enough; one that has ended needs no signal.
        let _ = self.signals.try_send(signal);
    }
}

/// A number from 0 to 1; without any randomness on this machine all workers have the same share of the jitter.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

fn worker_config(
    config: &ServeConfig,
    slot: u32,
    (listen_fds, instance_fds): (Vec<i32>, Vec<i32>),
    control_fd: i32,
    metrics_fd: i32,
) -> WorkerConfig {
    WorkerConfig {
        version: VERSION.to_owned(),
        index: slot,
        service: config.name.clone(),
        target: config.target.clone(),
        app_dir: config.app_dir.to_string_lossy().into_owned(),
        interface: config.interface,
        lifespan: config.lifespan,
        listen_fds,
        instance_fds,
        control_fd,
        metrics_fd,
        threads: config.threads,
        queue: config.queue,
        management_prefix: config.management_prefix.clone(),
        root_path: config.root_path.clone(),
        websocket: config.websocket,
        forwarded_allow: config.forwarded_allow.clone(),
        access_log: config.access_log,
        log_format: config.log_format,
        max_body_bytes: config.max_body.map(pinnace_types::ByteSize::bytes),
        beat_ms: config
            .patience()
            .map_or(0, |patience| pulse::period(patience).as_millis().try_into().unwrap_or(u64::MAX)),
        shedding: config.shedding,
        factory: config.factory,
        connections: config.connections,
        headers: config.headers.clone(),
        log_level: config.log_level,
        debugger: if config.is_at_terminal() {
            Debugger::Terminal
        } else if config.workers > 1 {
            Debugger::SeveralWorkers
        } else {
            Debugger::NoTerminal
        },
    }
}

async fn listen_task(id: u64, reading: OwnedReadHalf, events: mpsc::Sender<Event>) {
    let mut lines = JsonLines::new(reading);
    while let Some(said) = lines.next().await {
        if events.send(Event::Said(id, said)).await.is_err() {
            return;
        }
    }
}

async fn wait_task(
    id: u64,
    mut child: Child,
    mut listening: JoinHandle<()>,
    mut orders: mpsc::Receiver<Signal>,
    events: mpsc::Sender<Event>,
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
    // What it said last may still be on its way; the pool must hear that first.
    if tokio::time::timeout(LAST_WORDS, &mut listening).await.is_err() {
        listening.abort();
    }
    let _ = events.send(Event::Ended(id, exit)).await;
    tokio::time::sleep(HEIRS).await;
    family::kill_orphans(child.pid());
}
