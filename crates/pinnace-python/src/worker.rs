//! What `pinnace._worker` holds: the inherited sockets, served from the moment the application is ready until the
//! parent commands a drain.

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use pinnace_http::management::Management;
use pinnace_http::shed::{Evidence, ShedConfig, Shedder};
use pinnace_http::{Drain, Listener, Server, ServerConfig};
use pinnace_telemetry::{MetricsError, Observer, ServiceMetrics, WorkerMetrics};
use pinnace_types::worker::{Shedding, WorkerCommand, WorkerConfig};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::asgi::{Asgi, Done, Known, Running, Starter};
use crate::control;
use crate::handler::{Application, Handler, Hosted};
use crate::reactor::{Hold, Reactor};
use crate::wsgi::Wsgi;

/// One worker process.
#[pyclass(frozen, module = "pinnace_runtime._native")]
#[derive(Debug)]
pub(crate) struct Worker {
    config: WorkerConfig,
    commands: watch::Receiver<Option<WorkerCommand>>,
    observer: Arc<Observer>,
    asgi: Mutex<Option<Arc<Asgi>>>,
}

/// A drain that the parent wants.
#[derive(Clone, Copy, Debug)]
struct Ordered {
    linger: Duration,
    timeout: Duration,
    retires: bool,
}

#[pymethods]
impl Worker {
    /// Takes over the sockets of this configuration, and ends the process when the control socket does.
    #[new]
    fn new(config: &str) -> PyResult<Self> {
        let config: WorkerConfig = serde_json::from_str(config)
            .map_err(|error| PyValueError::new_err(format!("the worker's configuration: {error}")))?;
        let commands = control::listen(config.control_fd)?;
        let observer = Arc::new(observer(&config).map_err(|error| PyRuntimeError::new_err(error.to_string()))?);
        Ok(Self { config, commands, observer, asgi: Mutex::new(None) })
    }

    /// Serves an ASGI application; the future that is returned is done when all connections have drained.
    #[pyo3(signature = (reactor, event_loop, application, *, state, logger, framework))]
    #[expect(clippy::needless_pass_by_value, reason = "what a Python call hands over is owned")]
    #[expect(clippy::too_many_arguments, reason = "a Python signature; most are given by keyword")]
    fn serve_asgi(
        &self,
        py: Python<'_>,
        reactor: &Reactor,
        event_loop: Py<PyAny>,
        application: Py<PyAny>,
        state: Py<PyDict>,
        logger: Py<PyAny>,
        framework: &str,
    ) -> PyResult<Py<PyAny>> {
        let asgi = Arc::new(Asgi {
            application,
            event_loop: event_loop.clone_ref(py),
            starter: Starter::new(py, &event_loop)?,
            done: Py::new(py, Done)?,
            known: Known::new(py, &self.config.root_path)?,
            state,
            logger,
            root_path: self.config.root_path.clone(),
            max_body_bytes: self.config.max_body_bytes,
            websocket: self.config.websocket,
            nudge: reactor.nudge(),
            turnstile: reactor.turnstile(),
            tokio: reactor.handle().clone(),
            running: Running::default(),
        });
        *self.asgi.lock() = Some(Arc::clone(&asgi));
        reactor.hold(Hold::AcrossTicks);
        self.serve(py, reactor, &event_loop, Application::Asgi(asgi), framework)
    }

    /// Serves a WSGI application on a pool of threads; the future is done when all connections have drained.
    #[pyo3(signature = (reactor, event_loop, application, *, logger, framework))]
    #[expect(clippy::needless_pass_by_value, reason = "what a Python call hands over is owned")]
    fn serve_wsgi(
        &self,
        py: Python<'_>,
        reactor: &Reactor,
        event_loop: Py<PyAny>,
        application: Py<PyAny>,
        logger: Py<PyAny>,
        framework: &str,
    ) -> PyResult<Py<PyAny>> {
        let wsgi = Wsgi::start(py, application, logger, &self.config, Arc::clone(&self.observer))?;
        reactor.hold(Hold::Never);
        reactor.handle().spawn(wsgi.deliver());
        self.serve(py, reactor, &event_loop, Application::Wsgi(Arc::new(wsgi)), framework)
    }

    /// Cancels the applications that still run.
    fn cancel_applications(&self, py: Python<'_>) {
        let asgi = self.asgi.lock().clone();
        if let Some(asgi) = asgi {
            asgi.cancel_all(py);
        }
    }
}

impl Worker {
    fn serve(
        &self,
        py: Python<'_>,
        reactor: &Reactor,
        event_loop: &Py<PyAny>,
        application: Application,
        framework: &str,
    ) -> PyResult<Py<PyAny>> {
        let information = serde_json::json!({
            "service": self.config.service,
            "framework": framework,
            "version": pinnace_types::VERSION,
            "worker": self.config.index,
            "pid": std::process::id(),
        });
        let shedder = self.shedder(&application);
        let hosted = Arc::new(Hosted {
            application,
            management: Management::new(self.config.management_prefix.clone(), &information),
            forwarded_allow: self.config.forwarded_allow.clone(),
            observer: Arc::clone(&self.observer),
            shedder,
            ready: AtomicBool::new(true),
            headers: fields(&self.config.headers)?,
        });
        let listeners = {
            let _runtime = reactor.handle().enter();
            let own = |fd: &i32| self.config.instance_fds.contains(fd);
            let fds = self.config.listen_fds.iter();
            fds.map(|fd| take_listener(*fd, own(fd))).collect::<PyResult<Vec<_>>>()?
        };
        let connections = self.config.connections;
        let limits = ServerConfig {
            max_body_bytes: self.config.max_body_bytes,
            idle_timeout: connections.idle,
            header_timeout: connections.head,
            max_header_bytes: connections.max_head_bytes as usize,
            max_headers: connections.max_fields as usize,
            max_connections: connections.max_connections as usize,
            ..ServerConfig::default()
        };
        let server = Server::new(limits, Handler(Arc::clone(&hosted)));
        let drained = event_loop.call_method0(py, intern!(py, "create_future"))?;
        let result = drained.clone_ref(py);
        let nudge = reactor.nudge();
        if self.config.beat_ms > 0 {
            let period = Duration::from_millis(self.config.beat_ms);
            // It ends with the loop.
            reactor.handle().spawn(beat_task(Arc::clone(&self.observer), period));
        }
        let mut commands = self.commands.clone();
        reactor.handle().spawn(async move {
            let drain = Drain::new();
            let mut serving = std::pin::pin!(server.serve(listeners, drain.clone()));
            let timeout = tokio::select! {
                () = &mut serving => Duration::ZERO,
                command = commanded(&mut commands) => {
                    hosted.ready.store(false, Ordering::Relaxed);
                    let timeout = command.timeout;
                    command.begin(&drain);
                    let deadline = tokio::time::Instant::now() + timeout;
                    loop {
                        tokio::select! {
                            () = &mut serving => break,
                            // A second one may ask to hurry.
                            command = commanded(&mut commands) => command.begin(&drain),
                        }
                    }
                    deadline.saturating_duration_since(tokio::time::Instant::now())
                }
            };
            // Background work behind a response may use what is left of the time, and so may what its client has left.
            let _ = tokio::time::timeout(timeout, hosted.application.idle()).await;
            Python::attach(|py| {
                // The loop may be closing: then nobody waits for it any more.
                let _ = drained.call_method1(py, intern!(py, "set_result"), (py.None(),));
            });
            nudge.now();
        });
        Ok(result)
    }

    fn shedder(&self, application: &Application) -> Arc<Shedder> {
        let defaults = ShedConfig::default();
        let (evidence, least) = match application {
            Application::Asgi(_) => (Evidence::Wait, defaults.least),
            // Each thread has its request before one of them waits.
            Application::Wsgi(_) => (Evidence::WaitAndProcessor, defaults.least.max(self.config.threads * 2)),
        };
        let Shedding { adapts, wait, max_in_flight } = self.config.shedding;
        let config = ShedConfig { adapts, wait, least, most: max_in_flight, evidence };
        Shedder::new(config, tokio::time::Instant::now())
    }
}

impl Ordered {
    fn begin(self, drain: &Drain) {
        if self.retires {
            drain.retire(self.linger, self.timeout);
        } else {
            drain.drain(self.linger, self.timeout);
        }
    }
}

/// Counts into the metrics that the parent shares; without a descriptor the worker counts for itself.
fn observer(config: &WorkerConfig) -> Result<Observer, MetricsError> {
    let metrics = if config.metrics_fd < 0 {
        ServiceMetrics::create(1, jiff::Timestamp::now())?.0.worker(0)?
    } else {
        WorkerMetrics::inherit(config.metrics_fd, config.index)?
    };
    let access_log = config.access_log.then_some(config.log_format);
    Ok(Observer::new(config.service.clone(), access_log, metrics))
}

/// Gives signs of life; none comes while Python keeps the loop from its turn.
async fn beat_task(observer: Arc<Observer>, period: Duration) {
    let mut clock = tokio::time::interval(period);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        observer.beat();
    }
}

/// Waits for the next command to drain; the end of the control socket ends the process elsewhere.
async fn commanded(commands: &mut watch::Receiver<Option<WorkerCommand>>) -> Ordered {
    loop {
        if commands.has_changed().unwrap_or(false)
            && let Some(WorkerCommand::Drain { linger_ms, timeout_ms, retires }) = *commands.borrow_and_update()
        {
            let (linger, timeout) = (Duration::from_millis(linger_ms), Duration::from_millis(timeout_ms));
            return Ordered { linger, timeout, retires };
        }
        if commands.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        commands.mark_changed();
    }
}

/// Header fields from the configuration.
fn fields(pairs: &[(String, String)]) -> PyResult<Vec<(HeaderName, HeaderValue)>> {
    let invalid = |error: http::Error| PyValueError::new_err(format!("a header field: {error}"));
    let field = |(name, value): &(String, String)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(http::Error::from)?;
        Ok((name, HeaderValue::from_str(value).map_err(http::Error::from)?))
    };
    pairs.iter().map(|pair| field(pair).map_err(invalid)).collect()
}

fn take_listener(descriptor: RawFd, is_own: bool) -> PyResult<Listener> {
    if descriptor < 3 {
        return Err(PyRuntimeError::new_err(format!("descriptor {descriptor} is no listening socket")));
    }
    // SAFETY: the parent passed this descriptor for this very purpose, and nothing else in the process knows it.
    let listener = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let unix = std::os::unix::net::UnixListener::from(listener);
    // A socket of another kind has no address that such a listener could tell.
    if unix.local_addr().is_ok() {
        unix.set_nonblocking(true)?;
        return Ok(Listener::Unix(UnixListener::from_std(unix)?));
    }
    let listener = std::net::TcpListener::from(OwnedFd::from(unix));
    listener.set_nonblocking(true)?;
    Ok(if is_own { Listener::own_from_std(listener)? } else { Listener::from_std(listener)? })
}
