//! `wsgi.input`: a file over the request's body, fed by the connection while the application reads.
//!
//! A thread that reads gives up the interpreter's lock while it waits. Few chunks are read ahead, so that an upload
//! that nobody reads fills the client's window and not the memory.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use tokio::sync::{Notify, mpsc};

use crate::asgi::ClientDisconnected;
use crate::upload::{Prefetched, Upload, UploadError};

/// Chunks that are read ahead of the application.
const CHUNKS_AHEAD: usize = 4;

/// The body as a thread gets it.
#[derive(Debug)]
pub(super) struct Body {
    first: Bytes,
    parts: Option<mpsc::Receiver<Part>>,
    wanted: Arc<Notify>,
}

/// The connection's side of a body.
#[derive(Debug)]
pub(super) struct Feed {
    upload: Upload,
    parts: mpsc::Sender<Part>,
    wanted: Option<Arc<Notify>>,
}

#[derive(Debug)]
enum Part {
    Data(Bytes),
    End,
    Failed(UploadError),
}

/// The file that the application reads.
#[pyclass(frozen, module = "pinnace_runtime._native")]
#[derive(Debug)]
pub(super) struct Input(Mutex<Reader>);

#[derive(Debug)]
struct Reader {
    buffer: BytesMut,
    parts: Option<mpsc::Receiver<Part>>,
    wanted: Arc<Notify>,
}

/// A body of which nothing was read: the client waits for `100 Continue` until the application reads.
pub(super) fn unread(upload: Upload) -> (Body, Option<Feed>) {
    let (parts_tx, parts_rx) = mpsc::channel(CHUNKS_AHEAD);
    let wanted = Arc::new(Notify::new());
    let feed = Feed { upload, parts: parts_tx, wanted: Some(Arc::clone(&wanted)) };
    (Body { first: Bytes::new(), parts: Some(parts_rx), wanted }, Some(feed))
}

/// A body of which the beginning is there.
pub(super) fn begun(prefetched: Prefetched) -> (Body, Option<Feed>) {
    let wanted = Arc::new(Notify::new());
    let Some(upload) = prefetched.rest else {
        return (Body { first: prefetched.data, parts: None, wanted }, None);
    };
    let (parts_tx, parts_rx) = mpsc::channel(CHUNKS_AHEAD);
    let feed = Feed { upload, parts: parts_tx, wanted: None };
    (Body { first: prefetched.data, parts: Some(parts_rx), wanted }, Some(feed))
}

impl Body {
    /// The length, where the whole body is there.
    pub(super) fn known_length(&self) -> Option<usize> {
        self.parts.is_none().then_some(self.first.len())
    }

    pub(super) fn into_input(self) -> Input {
        Input(Mutex::new(Reader { buffer: BytesMut::from(&self.first[..]), parts: self.parts, wanted: self.wanted }))
    }
}

impl Feed {
    /// Reads the body until its end, or until the application is done with it.
    pub(super) async fn run(mut self) {
        if let Some(wanted) = &self.wanted {
            tokio::select! {
                () = wanted.notified() => {}
                () = self.parts.closed() => return,
            }
        }
        loop {
            let next = tokio::select! {
                next = self.upload.next() => next,
                () = self.parts.closed() => return,
            };
            let (part, ended) = match next {
                Ok(Some(data)) => (Part::Data(data), false),
                Ok(None) => (Part::End, true),
                Err(error) => (Part::Failed(error), true),
            };
            if self.parts.send(part).await.is_err() || ended {
                return;
            }
        }
    }
}

impl Reader {
    /// Waits for more bytes; false at the end.
    fn fill(&mut self) -> Result<bool, UploadError> {
        let Some(parts) = &mut self.parts else { return Ok(false) };
        self.wanted.notify_one();
        match parts.blocking_recv() {
            Some(Part::Data(data)) => {
                self.buffer.extend_from_slice(&data);
                Ok(true)
            }
            Some(Part::End) => {
                self.parts = None;
                Ok(false)
            }
            Some(Part::Failed(error)) => Err(error),
            None => Err(UploadError::Disconnected),
        }
    }

    fn read(&mut self, limit: usize) -> Result<Bytes, UploadError> {
        while self.buffer.len() < limit && self.fill()? {}
        let length = limit.min(self.buffer.len());
        Ok(self.take(length))
    }

    fn read_line(&mut self, limit: usize) -> Result<Bytes, UploadError> {
        let mut searched = 0;
        loop {
            let found = self.buffer[searched..].iter().position(|byte| *byte == b'\n');
            if let Some(position) = found {
                let length = limit.min(searched + position + 1);
                return Ok(self.take(length));
            }
            searched = self.buffer.len();
            if searched >= limit || !self.fill()? {
                let length = limit.min(self.buffer.len());
                return Ok(self.take(length));
            }
        }
    }

    fn take(&mut self, length: usize) -> Bytes {
        if length == self.buffer.len() {
            return std::mem::take(&mut self.buffer).freeze();
        }
        let taken = Bytes::copy_from_slice(&self.buffer[..length]);
        self.buffer.advance(length);
        taken
    }
}

#[pymethods]
impl Input {
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let limit = limit_of(size);
        // The lock of the reader is taken only while the interpreter's is not held: two threads may read.
        let data = py.detach(|| self.0.lock().read(limit)).map_err(|error| raised(&error))?;
        Ok(PyBytes::new(py, &data))
    }

    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let limit = limit_of(size);
        let data = py.detach(|| self.0.lock().read_line(limit)).map_err(|error| raised(&error))?;
        Ok(PyBytes::new(py, &data))
    }

    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        let limit = hint.filter(|hint| *hint > 0).map_or(usize::MAX, |hint| limit_of(Some(hint)));
        let lines = PyList::empty(py);
        let mut total = 0;
        while total < limit {
            let line = self.readline(py, None)?;
            if line.as_bytes().is_empty() {
                break;
            }
            total += line.as_bytes().len();
            lines.append(line)?;
        }
        Ok(lines)
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.readline(py, None)?;
        Ok((!line.as_bytes().is_empty()).then_some(line))
    }

    #[expect(clippy::unused_self, reason = "a method of the file protocol")]
    fn readable(&self) -> bool {
        true
    }

    #[expect(clippy::unused_self, reason = "a method of the file protocol")]
    fn close(&self) {}
}

/// A negative size, or none, means everything.
fn limit_of(size: Option<isize>) -> usize {
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX)
}

fn raised(error: &UploadError) -> PyErr {
    match error {
        UploadError::Disconnected => ClientDisconnected::new_err("the client broke off its request"),
        UploadError::TooLarge { .. } => PyValueError::new_err(error.to_string()),
    }
}
