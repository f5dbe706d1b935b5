//! What scopes of one worker have in common, made once: a template, and the pairs that clients send again and again.
//!
//! Both tables have one place for each hash, so they are bounded, and who wants to fill them only makes them useless.

use std::net::SocketAddr;

use ::http::{HeaderName, HeaderValue, header};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

const HEADERS: usize = 256;
const ADDRESSES: usize = 256;
/// Longer values are seldom sent twice.
const LONGEST_VALUE: usize = 256;

/// What scopes have in common.
#[derive(Debug)]
pub(crate) struct Known {
    template: Py<PyDict>,
    headers: Mutex<Box<[Option<Py<PyTuple>>]>>,
    addresses: Mutex<Box<[Option<Pair>]>>,
}

type Pair = (SocketAddr, Py<PyTuple>);

impl Known {
    pub(crate) fn new(py: Python<'_>, root_path: &str) -> PyResult<Self> {
        let template = PyDict::new(py);
        template.set_item("type", "http")?;
        template.set_item("asgi", py.None())?;
        template.set_item("http_version", "1.1")?;
        template.set_item("server", py.None())?;
        template.set_item("client", py.None())?;
        template.set_item("scheme", "http")?;
        template.set_item("method", "GET")?;
        template.set_item("root_path", root_path)?;
        template.set_item("path", py.None())?;
        template.set_item("raw_path", py.None())?;
        template.set_item("query_string", PyBytes::new(py, b""))?;
        template.set_item("headers", py.None())?;
        template.set_item("state", py.None())?;
        template.set_item("extensions", py.None())?;
        Ok(Self {
            template: template.unbind(),
            headers: Mutex::new(none(HEADERS)),
            addresses: Mutex::new(none(ADDRESSES)),
        })
    }

    /// A scope with the keys of every HTTP request: an unmounted `GET` over HTTP/1.1 without a query.
    pub(super) fn scope<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.template.bind(py).copy()
    }

    /// An address as a pair of host and port.
    pub(super) fn pair<'py>(&self, py: Python<'py>, address: SocketAddr) -> PyResult<Bound<'py, PyTuple>> {
        let port = usize::from(address.port());
        let place = port % ADDRESSES;
        let mut addresses = self.addresses.lock();
        if let Some((known, pair)) = &addresses[place]
            && *known == address
        {
            return Ok(pair.bind(py).clone());
        }
        let pair = (address.ip().to_canonical().to_string(), port).into_pyobject(py)?;
        addresses[place] = Some((address, pair.clone().unbind()));
        Ok(pair)
    }

    /// Appends a header as a pair of name and value.
    pub(super) fn append(&self, list: &Bound<'_, PyList>, name: &HeaderName, value: &HeaderValue) -> PyResult<()> {
        let py = list.py();
        let (name_bytes, value_bytes) = (name.as_str().as_bytes(), value.as_bytes());
        // What is secret is kept no longer than its request; what is unique need not be.
        let seldom = *name == header::AUTHORIZATION
            || *name == header::COOKIE
            || value_bytes.len() > LONGEST_VALUE
            || name.as_str() == pinnace_telemetry::REQUEST_ID_HEADER;
        if seldom {
            return list.append((PyBytes::new(py, name_bytes), PyBytes::new(py, value_bytes)));
        }
        let place = usize::try_from(hash(hash(0, name_bytes), value_bytes)).unwrap_or(0) % HEADERS;
        let mut headers = self.headers.lock();
        if let Some(pair) = &headers[place] {
            let pair = pair.bind(py);
            if is(pair, 0, name_bytes) && is(pair, 1, value_bytes) {
                return list.append(pair);
            }
        }
        let pair = (PyBytes::new(py, name_bytes), PyBytes::new(py, value_bytes)).into_pyobject(py)?;
        headers[place] = Some(pair.clone().unbind());
        list.append(pair)
    }
}

fn none<T>(count: usize) -> Box<[Option<T>]> {
    std::iter::repeat_with(|| None).take(count).collect()
}

fn is(pair: &Bound<'_, PyTuple>, index: usize, bytes: &[u8]) -> bool {
    let item = pair.get_borrowed_item(index);
    item.is_ok_and(|item| item.cast::<PyBytes>().is_ok_and(|held| held.as_bytes() == bytes))
}

/// Good enough to spread what honest clients send; of what others send nothing depends.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = seed ^ (bytes.len() as u64);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        state = (state ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR).rotate_left(29);
    }
    let mut word = [0; 8];
    word[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    state = (state ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    state ^ (state >> 32)
}
