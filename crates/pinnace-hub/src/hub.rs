//! The hub as a whole: opens what it keeps, follows the supervisor, serves until it is told to drain.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use pinnace_http::unix::UnixClient;
use pinnace_http::{Drain, Listener, Server, ServerConfig};
use pinnace_registry::{Names, Registry, RegistryConfig, Store, StoreConfig, StoreError};
use pinnace_telemetry::{MetricsError, ServiceMetrics, WorkerMetrics};
use pinnace_types::Secret;

use crate::events::Readers;
use crate::feed::feed_task;
use crate::knowledge::Knowledge;
use crate::serve::Border;
use crate::snapshot::{Snapshot, SnapshotError};

/// What the hub is given; there are no defaults.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// The folder that the hub owns, `.pinnace/data`.
    pub data: PathBuf,
    /// The supervisor's socket.
    pub control: PathBuf,
    /// What callers have to show.
    pub token: Secret<String>,
    /// How the registry decides what lives.
    pub registry: RegistryConfig,
}

/// A hub that has opened its stores and serves nobody yet.
#[derive(Debug)]
pub struct Hub {
    app: App,
}

/// Why the hub cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The folder of data cannot be made.
    #[error("cannot make the folder of data")]
    Folder(#[source] std::io::Error),
    /// The registry cannot be opened.
    #[error(transparent)]
    Registry(#[from] StoreError),
    /// The last state cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The metrics cannot be made.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// What every handler reaches.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) knowledge: Knowledge,
    pub(crate) registry: Registry,
    pub(crate) control: UnixClient,
    pub(crate) token: Secret<String>,
    pub(crate) metrics: ServiceMetrics,
    pub(crate) metrics_of_worker: WorkerMetrics,
    pub(crate) readers: Arc<Readers>,
    pub(crate) drain: Drain,
}

impl Hub {
    /// Opens the stores below the folder of data. Binds nothing and starts nothing.
    pub fn open(config: HubConfig) -> Result<Self, HubError> {
        fs_err::create_dir_all(&config.data).map_err(HubError::Folder)?;
        let opened = Store::open(&config.data, StoreConfig::default(), Timestamp::now)?;
        let last = Snapshot::load(&config.data, Timestamp::now())?;
        let (metrics, _) = ServiceMetrics::create(1, Timestamp::now())?;
        metrics.set_ready_workers(1);
        let registry = Registry::new(opened.store, config.registry);
        let app = App {
            knowledge: Knowledge::new(Arc::clone(registry.store()), config.data, last),
            registry,
            control: UnixClient::new(config.control),
            token: config.token,
            metrics_of_worker: metrics.worker(0)?,
            metrics,
            readers: Arc::default(),
            drain: Drain::new(),
        };
        Ok(Self { app })
    }

    /// What makes [`Self::serve`] end.
    pub fn drain(&self) -> Drain {
        self.app.drain.clone()
    }

    /// Follows the supervisor, watches over what is registered and answers until the drain has ended.
    ///
    /// Where sockets for names are given, resolvers are answered there; there is no token for them.
    pub async fn serve(self, listeners: Vec<Listener>, names: Option<Names>) {
        let drain = self.app.drain.clone();
        let feed = feed_task(self.app.control.clone(), self.app.knowledge.clone());
        let registry = self.app.registry.clone();
        let release = async {
            drain.begun().await;
            registry.release();
            std::future::pending::<()>().await;
        };
        let config = ServerConfig { max_connections: 1_000, ..ServerConfig::default() };
        let resolve = async {
            match names {
                Some(names) => registry.resolve(names).await,
                None => std::future::pending().await,
            }
        };
        let server = Server::new(config, Border::new(self.app)).serve(listeners, drain.clone());
        tokio::select! {
            () = server => {}
            () = feed => {}
            () = registry.run() => {}
            () = release => {}
            () = resolve => {}
        }
    }
}
