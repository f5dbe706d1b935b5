//! The scope: what an application is told about a request before its first message.

use std::borrow::Cow;

use ::http::request::Parts;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use percent_encoding::percent_decode_str;
use pinnace_http::{Connection, FieldOrder};
use pinnace_types::RequestId;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::Asgi;
use crate::forwarded::Origin;
use crate::handler::RequestIdentity;

/// The scope of `http`.
pub(super) fn http<'py>(
    py: Python<'py>,
    asgi: &Asgi,
    parts: &Parts,
    connection: &Connection,
    origin: Origin,
) -> PyResult<Bound<'py, PyDict>> {
    let scope = common(py, asgi, parts, connection, origin)?;
    // From 2.4 on Starlette would no longer listen for a disconnect while its stream is idle.
    scope.set_item(intern!(py, "asgi"), versions(py, intern!(py, "2.3"))?)?;
    if parts.method != Method::GET {
        scope.set_item(intern!(py, "method"), PyString::intern(py, parts.method.as_str()))?;
    }
    if origin.scheme != "http" {
        scope.set_item(intern!(py, "scheme"), PyString::intern(py, origin.scheme))?;
    }
    let extensions = PyDict::new(py);
    extensions.set_item(intern!(py, "http.response.pathsend"), PyDict::new(py))?;
    if carries_trailers(parts) {
        extensions.set_item(intern!(py, "http.response.trailers"), PyDict::new(py))?;
    }
    scope.set_item(intern!(py, "extensions"), extensions)?;
    Ok(scope)
}

/// The scope of `websocket`.
pub(super) fn websocket<'py>(
    py: Python<'py>,
    asgi: &Asgi,
    parts: &Parts,
    connection: &Connection,
    origin: Origin,
) -> PyResult<Bound<'py, PyDict>> {
    let scope = common(py, asgi, parts, connection, origin)?;
    scope.del_item(intern!(py, "method"))?;
    scope.set_item(intern!(py, "type"), intern!(py, "websocket"))?;
    scope.set_item(intern!(py, "asgi"), versions(py, intern!(py, "2.4"))?)?;
    scope.set_item(intern!(py, "scheme"), if origin.scheme == "https" { "wss" } else { "ws" })?;
    scope.set_item(intern!(py, "subprotocols"), subprotocols(&parts.headers))?;
    let extensions = PyDict::new(py);
    extensions.set_item(intern!(py, "websocket.http.response"), PyDict::new(py))?;
    scope.set_item(intern!(py, "extensions"), extensions)?;
    Ok(scope)
}

/// Whether the answer may end with trailers: HTTP/1.1 sends them only to a client that has asked (RFC 9110 section 6.5.1).
fn carries_trailers(parts: &Parts) -> bool {
    parts.version == Version::HTTP_2 || (parts.version == Version::HTTP_11 && takes_trailers(&parts.headers))
}

/// Whether the client says that it reads trailers.
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// The id that the handler has given to this request.
pub(super) fn request_id(parts: &Parts) -> RequestId {
    parts.extensions.get::<RequestIdentity>().map_or_else(|| RequestId::from_random(0), |identity| identity.0.clone())
}

fn common<'py>(
    py: Python<'py>,
    asgi: &Asgi,
    parts: &Parts,
    connection: &Connection,
    origin: Origin,
) -> PyResult<Bound<'py, PyDict>> {
    let scope = asgi.known.scope(py)?;
    match parts.version {
        Version::HTTP_2 => scope.set_item(intern!(py, "http_version"), intern!(py, "2"))?,
        Version::HTTP_10 => scope.set_item(intern!(py, "http_version"), intern!(py, "1.0"))?,
        _ => {}
    }
    if let Some(server) = connection.local {
        scope.set_item(intern!(py, "server"), asgi.known.pair(py, server)?)?;
    }
    if let Some(client) = origin.client {
        scope.set_item(intern!(py, "client"), asgi.known.pair(py, client)?)?;
    }
    let raw_path = full_path(parts.uri.path(), &asgi.root_path);
    scope.set_item(intern!(py, "path"), decoded(&raw_path))?;
    scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, raw_path.as_bytes()))?;
    if let Some(query) = parts.uri.query() {
        scope.set_item(intern!(py, "query_string"), PyBytes::new(py, query.as_bytes()))?;
    }
    scope.set_item(intern!(py, "headers"), headers(py, asgi, parts)?)?;
    scope.set_item(intern!(py, "state"), asgi.state.bind(py).copy()?)?;
    Ok(scope)
}

fn versions<'py>(py: Python<'py>, spec: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyDict>> {
    let versions = PyDict::new(py);
    versions.set_item(intern!(py, "version"), intern!(py, "3.0"))?;
    versions.set_item(intern!(py, "spec_version"), spec)?;
    Ok(versions)
}

/// ASGI's `path` includes the `root_path`; a proxy may have cut it off.
fn full_path<'a>(path: &'a str, root_path: &str) -> Cow<'a, str> {
    if root_path.is_empty() || is_below(path, root_path) {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(format!("{root_path}{path}"))
    }
}

fn decoded(raw_path: &str) -> Cow<'_, str> {
    if raw_path.contains('%') { percent_decode_str(raw_path).decode_utf8_lossy() } else { Cow::Borrowed(raw_path) }
}

/// Whether a path is this root or lies below it.
pub(crate) fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn headers<'py>(py: Python<'py>, asgi: &Asgi, parts: &Parts) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    if let (false, Some(authority)) = (parts.headers.contains_key(header::HOST), parts.uri.authority()) {
        list.append((PyBytes::new(py, b"host"), PyBytes::new(py, authority.as_str().as_bytes())))?;
    }
    let joined = joined_cookies(&parts.headers);
    let add = |(name, value): (&HeaderName, &HeaderValue)| {
        if joined.is_some() && *name == header::COOKIE {
            return Ok(());
        }
        asgi.known.append(&list, name, value)
    };
    match parts.extensions.get::<FieldOrder>() {
        None => parts.headers.iter().try_for_each(add)?,
        Some(order) => order.fields(&parts.headers).into_iter().try_for_each(add)?,
    }
    if let Some(cookies) = joined {
        list.append((PyBytes::new(py, b"cookie"), PyBytes::new(py, &cookies)))?;
    }
    Ok(list)
}

/// HTTP/2 splits cookies over fields; applications expect one.
fn joined_cookies(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut cookies = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let (first, second) = (cookies.next()?, cookies.next()?);
    let all: Vec<&[u8]> = [first, second].into_iter().chain(cookies).collect();
    Some(all.join(&b"; "[..]))
}

fn subprotocols(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}
