//! The environ: what a WSGI application is told about a request (PEP 3333, RFC 3875).
//!
//! Strings carry bytes as latin-1, as the PEP demands. A header whose name has an underscore is left out: it would be
//! taken for the one with a hyphen, which a proxy before us may have checked.

use std::borrow::Cow;

use http::{HeaderMap, Version, header};
use percent_encoding::percent_decode_str;
use pinnace_types::worker::WorkerConfig;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::{Application, Job};

/// What is the same for all requests.
pub(super) fn template(py: Python<'_>, config: &WorkerConfig) -> PyResult<Py<PyDict>> {
    let environ = PyDict::new(py);
    environ.set_item("wsgi.version", (1, 0))?;
    environ.set_item("wsgi.errors", py.import("sys")?.getattr("stderr")?)?;
    environ.set_item("wsgi.multithread", config.threads > 1)?;
    environ.set_item("wsgi.multiprocess", true)?;
    environ.set_item("wsgi.run_once", false)?;
    environ.set_item("wsgi.input_terminated", true)?;
    environ.set_item("wsgi.file_wrapper", py.import("wsgiref.util")?.getattr("FileWrapper")?)?;
    environ.set_item("SERVER_SOFTWARE", concat!("pinnace/", env!("CARGO_PKG_VERSION")))?;
    environ.set_item("SCRIPT_NAME", &config.root_path)?;
    Ok(environ.unbind())
}

/// The environ of one request; its body is taken out of the job.
pub(super) fn build<'py>(py: Python<'py>, application: &Application, job: &Job) -> PyResult<Bound<'py, PyDict>> {
    let environ = application.template.bind(py).copy()?;
    let parts = &job.parts;
    environ.set_item(intern!(py, "REQUEST_METHOD"), PyString::intern(py, parts.method.as_str()))?;
    let path = parts.uri.path();
    let below =
        if crate::asgi::is_below(path, &application.root_path) { &path[application.root_path.len()..] } else { path };
    let path_info: Cow<'_, [u8]> = percent_decode_str(below).into();
    environ.set_item(intern!(py, "PATH_INFO"), latin1(&path_info))?;
    environ.set_item(intern!(py, "QUERY_STRING"), latin1(parts.uri.query().unwrap_or_default().as_bytes()))?;
    let target = parts.uri.path_and_query().map_or(path, |target| target.as_str());
    environ.set_item(intern!(py, "REQUEST_URI"), target)?;
    environ.set_item(intern!(py, "RAW_URI"), target)?;
    let protocol = match parts.version {
        Version::HTTP_2 => intern!(py, "HTTP/2"),
        Version::HTTP_10 => intern!(py, "HTTP/1.0"),
        _ => intern!(py, "HTTP/1.1"),
    };
    environ.set_item(intern!(py, "SERVER_PROTOCOL"), protocol)?;
    environ.set_item(intern!(py, "wsgi.url_scheme"), PyString::intern(py, job.scheme))?;
    let (server, port) =
        job.server.map_or_else(|| ("localhost".to_owned(), 80), |server| (server.ip().to_string(), server.port()));
    environ.set_item(intern!(py, "SERVER_NAME"), server)?;
    environ.set_item(intern!(py, "SERVER_PORT"), port.to_string())?;
    match job.client {
        Some(client) => {
            environ.set_item(intern!(py, "REMOTE_ADDR"), client.ip().to_canonical().to_string())?;
            environ.set_item(intern!(py, "REMOTE_PORT"), client.port().to_string())?;
        }
        None => environ.set_item(intern!(py, "REMOTE_ADDR"), "")?,
    }
    put_headers(py, &environ, &parts.headers)?;
    if let (false, Some(authority)) = (parts.headers.contains_key(header::HOST), parts.uri.authority()) {
        environ.set_item(intern!(py, "HTTP_HOST"), authority.as_str())?;
    }
    // The chunks of a body that is there already need not be told: some frameworks read only what has a length.
    if let (Some(length), true) = (job.body.known_length(), parts.headers.contains_key(header::TRANSFER_ENCODING)) {
        environ.set_item(intern!(py, "CONTENT_LENGTH"), length.to_string())?;
        environ.del_item(intern!(py, "HTTP_TRANSFER_ENCODING"))?;
    }
    Ok(environ)
}

fn put_headers(py: Python<'_>, environ: &Bound<'_, PyDict>, headers: &HeaderMap) -> PyResult<()> {
    let mut key = String::with_capacity(32);
    for name in headers.keys() {
        if name.as_str().contains('_') {
            continue;
        }
        let separator: &[u8] = if *name == header::COOKIE { b"; " } else { b"," };
        let mut values = headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
        let first = values.next().unwrap_or_default();
        let mut value = Cow::Borrowed(first);
        for further in values {
            let joined = value.to_mut();
            joined.extend_from_slice(separator);
            joined.extend_from_slice(further);
        }
        let value = latin1(&value);
        if *name == header::CONTENT_TYPE {
            environ.set_item(intern!(py, "CONTENT_TYPE"), value)?;
        } else if *name == header::CONTENT_LENGTH {
            environ.set_item(intern!(py, "CONTENT_LENGTH"), value)?;
        } else {
            key.clear();
            key.push_str("HTTP_");
            key.extend(name.as_str().chars().map(|c| if c == '-' { '_' } else { c.to_ascii_uppercase() }));
            environ.set_item(PyString::intern(py, &key), value)?;
        }
    }
    Ok(())
}

/// Bytes as a string of as many characters.
fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.is_ascii() {
        return String::from_utf8_lossy(bytes);
    }
    Cow::Owned(bytes.iter().copied().map(char::from).collect())
}
