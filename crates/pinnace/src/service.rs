//! A service: what it is made of, and its life from the first connection to the last.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::pin::Pin;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::IntoResponse;
use http::Request;
use jiff::Timestamp;
use pinnace_http::management::Management;
use pinnace_http::{BoxError, Drain, Listener, Server, ServerConfig};
use pinnace_os::LifetimeEnd;
use pinnace_telemetry::{Observer, ServiceMetrics, logging};
use pinnace_types::worker::LogFormat;
use pinnace_types::{ExitCode, ServiceName, environment};
use tonic::server::NamedService;

use crate::ServiceError;
use crate::condition::{Condition, Probe};
use crate::grpc::Services;
use crate::handler::{Border, Hosted};
use crate::listening::{Inherited, Listening, Socket};
use crate::registration::Registering;
use crate::signals::{Asked, Signals};

/// An instance that has left its registry still answers for this long those who do not know it yet, at a stop.
const LAST_CALL: Duration = Duration::from_secs(2);

/// A service, before it runs.
///
/// # Defaults
///
/// | what | default | otherwise |
/// |---|---|---|
/// | name | that of [`Service::new`] | `PINNACE_SERVICE`, which `pinnace up` sets, comes first |
/// | address | 127.0.0.1:8000 | [`Service::listener`], else `LISTEN_FDS`, else `PORT` at [`Service::host`] |
/// | log lines | text on a terminal, else JSON | [`Service::log_format`], else `PINNACE_LOG_FORMAT`, which `up` sets |
/// | log level | `info` | `PINNACE_LOG` |
/// | body of a request | at most 2 MiB, else 413 | [`Service::body_limit`] |
/// | connections | 10 000 at a time; more wait | [`Service::max_connections`] |
/// | time to finish | 30 s | [`Service::grace`] |
/// | linger | 6 s | [`Service::linger`] |
/// | management paths | below `/-` | [`Service::management_prefix`] |
/// | registry | none | `PINNACE_REGISTRY`, else [`Service::registry`] |
///
/// # The end
///
/// * **SIGTERM** or **SIGINT**: no more connections are accepted, `/-/health/ready` answers 503 `stopping`, begun requests
///   are finished, and what is not finished after the *grace* is cut off. A second one ends it at once.
/// * **SIGUSR1**, or the first SIGTERM where the sockets were inherited and so outlive the process: the same for a process
///   whose place another one takes. Idle connections are answered for the *linger*, each answer asking the client to leave,
///   so that no client loses a request.
/// * **The starter is gone** (end of file on `PINNACE_LIFETIME_FD`): it ends at once.
pub struct Service {
    name: String,
    routes: Router,
    services: Services,
    registering: Registering,
    probe: Option<Probe>,
    listening: Listening,
    log_format: Option<LogFormat>,
    logs_requests: bool,
    management_prefix: String,
    body_limit: usize,
    max_connections: usize,
    linger: Duration,
    grace: Duration,
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// How far a service is with its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    No,
    Retiring,
    Stopping,
}

// ---- what it is made of ----

impl Service {
    /// A service of this name, which has to be a host name: a–z, 0–9 and `-` between them.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            routes: Router::new(),
            services: Services::default(),
            registering: Registering::default(),
            probe: None,
            listening: Listening { given: None, host: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 8000 },
            log_format: None,
            logs_requests: true,
            management_prefix: "/-".to_owned(),
            body_limit: 2 << 20,
            max_connections: ServerConfig::default().max_connections,
            linger: Duration::from_secs(6),
            grace: Duration::from_secs(30),
            stop: None,
        }
    }

    /// Adds routes. Handlers find the request's id as `Extension<RequestId>` and the other side as
    /// `ConnectInfo<SocketAddr>`.
    ///
    /// # Panics
    ///
    /// As [`Router::merge`] does, where two routers have the same route.
    #[must_use]
    pub fn routes(mut self, routes: Router) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Adds a gRPC service: a server that was generated for [tonic]. It is reached on the same address as the routes, over
    /// HTTP/2 without TLS, by the content type `application/grpc`.
    ///
    /// Its calls have what other requests have: ids (`x-request-id` among the metadata, `RequestId` among the extensions),
    /// a log line and metrics, both with the status of the call, and an end that loses nothing. A call whose time
    /// (`grpc-timeout`) is over gets `DEADLINE_EXCEEDED`, one whose handler panics `INTERNAL`. The
    /// [limit of a body](Self::body_limit) is not for calls: tonic has one for each message, 4 MiB by default.
    ///
    /// `grpc.health.v1.Health` is answered as well: what `/-/health/ready` says, for each service and for the empty name.
    ///
    /// ```
    /// use pinnace::Service;
    /// use pinnace::tonic::{Request, Response, Status};
    /// use pinnace_protocol::harbour::v1::desk_server::{Desk, DeskServer};
    /// use pinnace_protocol::harbour::v1::{Parcel, ParcelRequest};
    ///
    /// struct OnlyOne;
    ///
    /// #[pinnace::tonic::async_trait]
    /// impl Desk for OnlyOne {
    ///     async fn find(&self, request: Request<ParcelRequest>) -> Result<Response<Parcel>, Status> {
    ///         match request.into_inner().id {
    ///             1 => Ok(Response::new(Parcel { id: 1, has_arrived: true })),
    ///             _ => Err(Status::not_found("there is one parcel")),
    ///         }
    ///     }
    ///     # type FollowStream = futures_util::stream::Empty<Result<Parcel, Status>>;
    ///     # async fn follow(&self, _: Request<ParcelRequest>) -> Result<Response<Self::FollowStream>, Status> {
    ///     #     Ok(Response::new(futures_util::stream::empty()))
    ///     # }
    /// }
    ///
    /// let service = Service::new("shipping").grpc(DeskServer::new(OnlyOne));
    /// ```
    ///
    /// # Panics
    ///
    /// Where the same service is added twice.
    #[must_use]
    pub fn grpc<S>(mut self, service: S) -> Self
    where
        S: tower::Service<Request<tonic::body::Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.services.add(service);
        self
    }

    /// Says when the service is ready, besides being there: asked at every `/-/health/ready`, for 5 s at most. An error
    /// makes it 503 `unready`; its words go to the log once, not to whoever asks.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), pinnace::BoxError> {
    /// use pinnace::{Peer, Service};
    ///
    /// let service = Service::new("shipping").ready(|| async { Err("the database does not answer".into()) });
    /// # let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let shipping = Peer::new("shipping", &format!("http://{}", socket.local_addr()?))?;
    /// # tokio::spawn(service.listener(socket).serve());
    /// let answer = shipping.get("/-/health/ready").await?;
    /// assert_eq!((answer.status().as_u16(), answer.text()), (503, r#"{"status":"unready"}"#.into()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn ready<F, R>(mut self, probe: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.probe = Some(Probe::new(probe));
        self
    }

    /// Registers the instance while it is ready, and takes it out before it drains: with `consul` (at `CONSUL_HTTP_ADDR`, else
    /// 127.0.0.1:8500), `consul://HOST:PORT`, `eureka` (at `EUREKA_SERVER`) or `eureka://[USER:PASSWORD@]HOST:PORT[/PATH]`.
    /// `PINNACE_REGISTRY` comes before it.
    ///
    /// The instance lives for 10 s without a sign of life, of which it gives three in that time. A registry that is away
    /// costs nothing: the service says so once, goes on, and registers again. Under `pinnace up` the embedded registry knows
    /// each instance without this.
    #[must_use]
    pub fn registry(mut self, address: impl Into<String>) -> Self {
        self.registering.registry = Some(address.into());
        self
    }

    /// What others are told in the registry: `HOST` or `HOST:PORT`. By default the address that is listened on, and where
    /// that is all of them, the one from which this machine reaches the registry.
    #[must_use]
    pub fn advertise(mut self, place: impl Into<String>) -> Self {
        self.registering.advertise = Some(place.into());
        self
    }

    /// Adds a word in the registry by which callers choose, such as `canary`.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.registering.tags.push(tag.into());
        self
    }

    /// This instance's share of the requests beside the others', in the registry; 1 by default.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.registering.weight = weight;
        self
    }

    /// The address to listen on where no socket is given or inherited: `0.0.0.0` in a container.
    #[must_use]
    pub fn host(mut self, host: IpAddr) -> Self {
        self.listening.host = host;
        self
    }

    /// The port where no socket is given or inherited and there is no `PORT`; 0 takes a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.listening.port = port;
        self
    }

    /// Listens on this socket and no other: for tests, which then know the port.
    #[must_use]
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listening.given = Some(listener);
        self
    }

    /// How log lines look.
    #[must_use]
    pub fn log_format(mut self, format: LogFormat) -> Self {
        self.log_format = Some(format);
        self
    }

    /// Leaves out the log line of each request.
    #[must_use]
    pub fn without_access_log(mut self) -> Self {
        self.logs_requests = false;
        self
    }

    /// The prefix of the management paths.
    #[must_use]
    pub fn management_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.management_prefix = prefix.into();
        self
    }

    /// Bytes that the body of a request may have. It takes the place of axum's own default; a route may still have a
    /// smaller one by axum's `DefaultBodyLimit`.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Connections at a time; more wait until one ends.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// How long an idle connection is still answered when another process has taken over (SIGUSR1).
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// How long requests may take to finish once the service stops.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Stops also when this completes, as at SIGTERM.
    #[must_use]
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(Box::pin(stop));
        self
    }
}

// ---- its life ----

impl Service {
    /// Serves until the service is told to stop. What prevents it is shown on standard error, with the way out; the exit
    /// code is the one that a `pinnace` command has for it, such as 5 for an address in use.
    ///
    /// Setting up may fail before: `main` may return `Result<ExitCode, E>`.
    pub async fn run(self) -> process::ExitCode {
        match Box::pin(self.serve()).await {
            Ok(()) => ExitCode::Ok.into(),
            Err(error) => {
                // A closed standard error cannot be told to anyone.
                let _ = io::stderr().write_all(error.render().as_bytes());
                error.exit_code().into()
            }
        }
    }

    /// The same, for who wants to handle what prevents it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), pinnace::BoxError> {
    /// use pinnace::axum::{Router, routing::get};
    /// use pinnace::{Peer, Service};
    ///
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let shipping = Peer::new("shipping", &format!("http://{}", socket.local_addr()?))?;
    /// let (stop, stopped) = tokio::sync::oneshot::channel();
    /// let service = Service::new("shipping")
    ///     .routes(Router::new().route("/", get(|| async { "ahoy" })))
    ///     .listener(socket)
    ///     .stop_when(async { stopped.await.unwrap_or_default() });
    /// let serving = tokio::spawn(service.serve());
    ///
    /// assert_eq!(shipping.get("/").await?.text(), "ahoy");
    /// let _ = stop.send(());
    /// serving.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn serve(self) -> Result<(), ServiceError> {
        let name = identity(&self.name)?;
        let format = self.log_format.unwrap_or_else(logging::format_from_environment);
        logging::init(format, name.as_str(), logging::level_from_environment());
        let mut signals = Signals::new().map_err(ServiceError::System)?;
        let mut inherited = Inherited::take()?;
        let outlived = self.listening.given.is_none() && !inherited.sockets.is_empty();
        let sockets = self.listening.sockets(&mut inherited)?;

        let (metrics, _) = ServiceMetrics::create(1, Timestamp::now()).map_err(ServiceError::Metrics)?;
        let counting = metrics.worker(0).map_err(ServiceError::Metrics)?;
        let drain = Drain::new();
        let condition = Arc::new(Condition { probe: self.probe, drain: drain.clone() });
        let reached = sockets.iter().find(|socket| socket.is_own).or_else(|| sockets.first());
        let registered = match reached.map(|socket| socket.listener.local_addr()).transpose() {
            Ok(Some(address)) => self.registering.start(&name, address, &condition)?,
            Ok(None) => None,
            Err(error) => return Err(ServiceError::System(error)),
        };
        // Nobody else accepts on what is not inherited: who has just asked the registry may come there until the end.
        let accepts_to_the_end = registered.is_some() && !outlived;
        let listeners = listen(sockets, accepts_to_the_end).map_err(ServiceError::System)?;
        let hosted = Hosted {
            // The one limit is the server's: axum's own default would refuse what it allows.
            routes: self.routes.layer(DefaultBodyLimit::disable()),
            management: Management::new(self.management_prefix, &information(&name)),
            observer: Arc::new(Observer::new(name.as_str(), self.logs_requests.then_some(format), counting)),
            body_limit: self.body_limit,
            calls: self.services.into_calls(&condition),
            condition,
        };
        let config = ServerConfig { max_connections: self.max_connections, ..ServerConfig::default() };
        let server = Server::new(config, Border(Arc::new(hosted)));
        metrics.set_ready_workers(1);
        let mut serving = std::pin::pin!(server.serve(listeners, drain.clone()));
        let mut starter_gone = std::pin::pin!(gone(inherited.starter));
        let mut stop = self.stop.unwrap_or_else(|| Box::pin(std::future::pending()));
        let (mut ending, mut registered) = (Ending::No, registered);
        loop {
            let asked = tokio::select! {
                () = &mut serving => return Ok(()),
                () = &mut starter_gone => return Ok(()),
                () = &mut stop, if ending != Ending::Stopping => Asked::Stop,
                asked = signals.next() => asked,
            };
            // Sockets that outlive the process are for a successor: clients are given the time to turn to it.
            let asked = match asked {
                Asked::Terminate if outlived && ending == Ending::No => Asked::Retire,
                Asked::Terminate => Asked::Stop,
                asked => asked,
            };
            // Who asks the registry from now on is sent elsewhere.
            if let Some(registered) = registered.take() {
                tokio::select! {
                    () = &mut serving => return Ok(()),
                    () = &mut starter_gone => return Ok(()),
                    () = registered.leave() => {}
                }
            }
            match (asked, ending) {
                (Asked::Terminate | Asked::Retire, Ending::Retiring | Ending::Stopping) => {}
                (Asked::Stop, Ending::Stopping) => return Ok(()),
                (Asked::Stop, was) => {
                    ending = Ending::Stopping;
                    tracing::info!("finishing what was begun");
                    if accepts_to_the_end && was == Ending::No {
                        drain.retire(LAST_CALL, self.grace);
                    } else {
                        drain.drain(Duration::ZERO, self.grace);
                    }
                }
                (Asked::Terminate | Asked::Retire, Ending::No) => {
                    ending = Ending::Retiring;
                    drain.retire(self.linger, self.grace);
                }
            }
            metrics.set_ready_workers(0);
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Who the service is: one program may be two services of a system, so the system comes first.
fn identity(own: &str) -> Result<ServiceName, ServiceError> {
    let given = std::env::var(environment::SERVICE).ok().filter(|name| !name.is_empty());
    Ok(ServiceName::try_new(given.as_deref().unwrap_or(own))?)
}

fn listen(sockets: Vec<Socket>, accepts_to_the_end: bool) -> io::Result<Vec<Listener>> {
    let ready = |socket: Socket| {
        tracing::info!(address = %socket.listener.local_addr()?, "answers");
        if socket.is_own || accepts_to_the_end {
            Listener::own_from_std(socket.listener)
        } else {
            Listener::from_std(socket.listener)
        }
    };
    sockets.into_iter().map(ready).collect()
}

/// What `/-/info` answers; the keys are those of a Python worker.
fn information(name: &ServiceName) -> serde_json::Value {
    serde_json::json!({
        "service": name,
        "framework": "axum",
        "version": pinnace_types::VERSION,
        "worker": 0,
        "pid": process::id(),
    })
}

async fn gone(starter: Option<LifetimeEnd>) {
    match starter {
        Some(starter) => starter.ended().await,
        None => std::future::pending().await,
    }
}
