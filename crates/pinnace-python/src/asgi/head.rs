//! The first message of an answer: status and headers as the application sent them.

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// Status and headers.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Whether a message with trailers follows the body.
    pub(crate) trailers: bool,
}

impl Head {
    /// Reads `http.response.start`.
    pub(crate) fn from_message(message: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = message.py();
        let status = message
            .get_item(intern!(py, "status"))?
            .ok_or_else(|| PyKeyError::new_err("an http.response.start has a `status`"))?;
        // `IntEnum` members and the like are numbers too.
        let status = status.extract::<u16>()?;
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| !status.is_informational())
            .ok_or_else(|| PyValueError::new_err(format!("{status} is no status of a final response")))?;
        let headers = match message.get_item(intern!(py, "headers"))? {
            Some(pairs) if !pairs.is_none() => headers_from(&pairs)?,
            _ => HeaderMap::new(),
        };
        let trailers = match message.get_item(intern!(py, "trailers"))? {
            Some(trailers) => trailers.is_truthy()?,
            None => false,
        };
        Ok(Self { status, headers, trailers })
    }

    /// The length that the application declared.
    pub(crate) fn content_length(&self) -> PyResult<Option<u64>> {
        let Some(value) = self.headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
        let length = value.to_str().ok().and_then(|text| text.parse().ok());
        length.map(Some).ok_or_else(|| PyValueError::new_err("the Content-Length is no number"))
    }

    /// Whether the answer has a body on the wire.
    pub(crate) fn has_body(&self, method: &Method) -> bool {
        method != Method::HEAD
            && self.status != StatusCode::NO_CONTENT
            && self.status != StatusCode::NOT_MODIFIED
            && self.status != StatusCode::RESET_CONTENT
    }
}

/// Reads an iterable of pairs of bytes; what frames the message is the server's and left out.
pub(crate) fn headers_from(pairs: &Bound<'_, PyAny>) -> PyResult<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(8);
    for pair in pairs.try_iter()? {
        let pair = pair?;
        let (name, value) = (pair.get_item(0)?, pair.get_item(1)?);
        let name = bytes_of(&name)?;
        let value = bytes_of(&value)?;
        let name = HeaderName::from_bytes(name)
            .map_err(|_| PyValueError::new_err(format!("{:?} is no header name", String::from_utf8_lossy(name))))?;
        let value = HeaderValue::from_bytes(trim(value))
            .map_err(|_| PyValueError::new_err(format!("the value of the header {name} has a control character")))?;
        if is_hop_by_hop(&name) {
            // The one word about the connection that an application has a say in.
            if name == header::CONNECTION && trim(value.as_bytes()).eq_ignore_ascii_case(b"close") {
                headers.insert(name, HeaderValue::from_static("close"));
            }
            continue;
        }
        headers.append(name, value);
    }
    Ok(headers)
}

/// Headers about the connection, which is the server's business.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == header::TRANSFER_ENCODING
        || *name == header::CONNECTION
        || *name == header::UPGRADE
        || name.as_str() == "keep-alive"
}

fn bytes_of<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<&'a [u8]> {
    value
        .cast::<PyBytes>()
        .map(PyBytesMethods::as_bytes)
        .map_err(|_| PyTypeError::new_err("header names and values are bytes"))
}

fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}
