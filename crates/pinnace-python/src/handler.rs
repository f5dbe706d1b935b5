//! What happens to every request before Python hears of it: its id, the management paths, the size limit, and what is
//! remembered of it afterwards.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use parking_lot::Mutex;
use pinnace_types::{ErrorCode, Problem, RequestId};
use pyo3::prelude::*;

use crate::asgi::Asgi;
use crate::body::ResponseBody;
use crate::management::Management;
use crate::observation::{Observation, Observer};
use crate::wsgi::Wsgi;

/// The header that carries a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers the requests of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Handler(pub(crate) Arc<Hosted>);

/// An application and what stands around it.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) application: Application,
    pub(crate) management: Management,
    pub(crate) observer: Arc<Observer>,
    pub(crate) max_body_bytes: Option<u64>,
    pub(crate) ready: AtomicBool,
}

/// The application by its protocol.
#[derive(Debug)]
pub(crate) enum Application {
    Asgi(Arc<Asgi>),
    Wsgi(Arc<Wsgi>),
}

/// The two ends of a connection.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    client: Mutex<Option<Py<PyAny>>>,
    server: Mutex<Option<Py<PyAny>>>,
}

/// The id of a request, among its extensions.
#[derive(Clone, Debug)]
pub(crate) struct RequestIdentity(pub(crate) RequestId);

impl Handler {
    /// Answers one request.
    pub(crate) async fn call(
        self,
        mut request: Request<Incoming>,
        connection: Arc<ConnectionInfo>,
    ) -> Response<ResponseBody> {
        let hosted = &self.0;
        if let Some(response) = hosted.management.answer(&request, &connection, hosted) {
            return response;
        }
        let id = identify(&mut request);
        let mut observation = Observation::begin(
            Arc::clone(&hosted.observer),
            id.clone(),
            request.method().clone(),
            request.uri().path().to_owned(),
            connection.peer,
        );
        let mut response = if hosted.refuses_length(&request) {
            problem(ErrorCode::TooLarge, "the request body is larger than the limit", Some(&id))
        } else {
            match &hosted.application {
                Application::Asgi(asgi) => asgi.call(request, &connection).await,
                Application::Wsgi(wsgi) => wsgi.call(request, &connection).await,
            }
        };
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().entry(REQUEST_ID).or_insert(value);
        }
        observation.set_status(response.status());
        response.body_mut().observe(observation);
        response
    }
}

impl Hosted {
    fn refuses_length(&self, request: &Request<Incoming>) -> bool {
        let declared = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<u64>().ok());
        matches!((declared, self.max_body_bytes), (Some(length), Some(limit)) if length > limit)
    }
}

impl ConnectionInfo {
    pub(crate) fn new(peer: Option<SocketAddr>, local: Option<SocketAddr>) -> Self {
        Self { peer, local, client: Mutex::new(None), server: Mutex::new(None) }
    }

    /// How the client reached us.
    #[expect(clippy::unused_self, reason = "TLS will know")]
    pub(crate) fn scheme(&self) -> &'static str {
        "http"
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Whether the client is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.peer.is_none_or(|peer| peer.ip().to_canonical().is_loopback())
    }

    /// ASGI's `client`, made once a connection.
    pub(crate) fn client(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        cached(py, &self.client, self.peer)
    }

    /// ASGI's `server`, made once a connection.
    pub(crate) fn server(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        cached(py, &self.server, self.local)
    }
}

/// An answer of ours, as `application/problem+json`.
pub(crate) fn problem(code: ErrorCode, detail: &str, id: Option<&RequestId>) -> Response<ResponseBody> {
    let mut problem = Problem::new(code, detail);
    if let Some(id) = id {
        problem = problem.with_request_id(id.clone());
    }
    let document = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(ResponseBody::full(document));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
    response
}

/// Takes over the caller's id or makes one, and puts it where the application and the bridges find it.
fn identify(request: &mut Request<Incoming>) -> RequestId {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let id = given.and_then(|text| RequestId::try_new(text).ok()).unwrap_or_else(crate::observation::new_request_id);
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    request.extensions_mut().insert(RequestIdentity(id.clone()));
    id
}

fn cached(py: Python<'_>, cache: &Mutex<Option<Py<PyAny>>>, address: Option<SocketAddr>) -> PyResult<Py<PyAny>> {
    let mut cache = cache.lock();
    if let Some(pair) = &*cache {
        return Ok(pair.clone_ref(py));
    }
    let pair = match address {
        Some(address) => {
            (address.ip().to_canonical().to_string(), address.port()).into_pyobject(py)?.into_any().unbind()
        }
        None => py.None(),
    };
    Ok(cache.insert(pair).clone_ref(py))
}
