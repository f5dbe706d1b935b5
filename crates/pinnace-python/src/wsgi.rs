//! WSGI (PEP 3333): an application is called on one of a bounded number of threads.
//!
//! The connection's side ([`Wsgi::call`]) never touches Python: it hands a [`Job`] to the [`pool`], feeds the request's
//! body to [`input`] and takes the answer that [`respond`] makes. What is limited is requests, not connections: an idle
//! keep-alive connection holds no thread, and a request that finds no place in the queue is told to come again.

mod answers;
mod environ;
mod input;
mod pool;
mod respond;

use std::sync::Arc;

use http::{Request, Response, header};
use pinnace_http::{Connection, RequestBody};
use pinnace_telemetry::Observer;
use pinnace_types::ErrorCode;
use pinnace_types::worker::WorkerConfig;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::oneshot;

use crate::body::ResponseBody;
use crate::forwarded::Origin;
use crate::handler::{RequestIdentity, problem, unavailable};
use crate::upload::Upload;

use self::input::Feed;
use self::pool::Pool;

/// An application and the threads that run it.
#[derive(Debug)]
pub(crate) struct Wsgi {
    pool: Arc<Pool>,
    max_body_bytes: Option<u64>,
    observer: Arc<Observer>,
}

/// What every thread needs.
#[derive(Debug)]
struct Application {
    callable: Py<PyAny>,
    /// The part of the environ that is the same for all requests.
    template: Py<PyDict>,
    logger: Py<PyAny>,
    root_path: String,
}

/// One request on its way to a thread.
#[derive(Debug)]
struct Job {
    parts: http::request::Parts,
    client: Option<std::net::SocketAddr>,
    server: Option<std::net::SocketAddr>,
    scheme: &'static str,
    body: input::Body,
    answer: oneshot::Sender<Response<ResponseBody>>,
}

impl Wsgi {
    /// Starts the threads.
    pub(crate) fn start(
        py: Python<'_>,
        application: Py<PyAny>,
        logger: Py<PyAny>,
        config: &WorkerConfig,
        observer: Arc<Observer>,
    ) -> PyResult<Self> {
        let template = environ::template(py, config)?;
        let application = Application { callable: application, template, logger, root_path: config.root_path.clone() };
        let pool = Pool::start(py, application, config.threads.max(1), config.queue)?;
        Ok(Self { pool, max_body_bytes: config.max_body_bytes, observer })
    }

    /// Carries the threads' answers to the connections; to be run on their thread.
    pub(crate) fn deliver(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.pool.answers).deliver()
    }

    /// Waits until no request is being worked on.
    pub(crate) async fn idle(&self) {
        self.pool.idle().await;
    }

    /// Answers one request.
    pub(crate) async fn call(
        &self,
        request: Request<RequestBody>,
        connection: &Connection,
        origin: Origin,
    ) -> Response<ResponseBody> {
        let (parts, incoming) = request.into_parts();
        let id = parts.extensions.get::<RequestIdentity>().map(|identity| identity.0.clone());
        let upload = Upload::new(incoming, self.max_body_bytes);
        let waits = parts.headers.contains_key(header::EXPECT);
        let (body, feed) = if waits && !upload.is_end() {
            input::unread(upload)
        } else {
            match upload.prefetch().await {
                Ok(prefetched) => input::begun(prefetched),
                Err(error) => return error.response(),
            }
        };
        let (answer_tx, answer_rx) = oneshot::channel();
        let job = Job {
            parts,
            client: origin.client,
            server: connection.local,
            scheme: origin.scheme,
            body,
            answer: answer_tx,
        };
        if self.pool.submit(job).is_err() {
            self.observer.reject();
            return unavailable("all threads are busy and the queue is full", id.as_ref());
        }
        // The body is fed also while the answer is streamed, and until the application drops it.
        if let Some(feed) = feed {
            tokio::spawn(Feed::run(feed));
        }
        answer_rx.await.unwrap_or_else(|_| {
            problem(ErrorCode::Internal, "the application failed; its log has the details", id.as_ref())
        })
    }
}

impl Drop for Wsgi {
    fn drop(&mut self) {
        self.pool.close();
    }
}
