//! The extensions of ASGI that end an answer: a file instead of a body, and trailers behind it.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use ::http::{HeaderValue, header};
use bytes::Bytes;
use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::mpsc;

use super::super::awaitable::Reply;
use super::super::head::headers_from;
use super::{Chunk, Event, Exchange, Phase, Sent};

/// Bytes of a file that are read at a time.
const PIECE: usize = 128 << 10;

impl Exchange {
    /// Takes `http.response.pathsend`: a file is the whole body. Its bytes never pass through Python.
    pub(super) fn send_file(&self, py: Python<'_>, message: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        let path = message
            .get_item(intern!(py, "path"))?
            .ok_or_else(|| PyKeyError::new_err("an http.response.pathsend has a `path`"))?
            .extract::<PathBuf>()?;
        // What cannot be opened is the application's to answer for, so it hears of it before anything is sent.
        let file = fs_err::File::open(path)?.into_parts().0;
        let length = file.metadata()?.len();
        let channel = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut state.phase, Phase::Complete) {
                Phase::Headed(mut head) => {
                    if head.has_body(&self.method) && state.remaining.is_some_and(|declared| declared != length) {
                        state.phase = Phase::Waiting;
                        return Err(PyRuntimeError::new_err("the file has another length than its Content-Length"));
                    }
                    head.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
                    let trailed = state.trailers.is_some();
                    self.answer(&mut state, head, Chunk { data: Bytes::new(), last: length == 0, trailers: None });
                    let channel = match &state.phase {
                        Phase::Streaming(channel) => Some(channel.clone()),
                        _ => None,
                    };
                    state.phase = Phase::Complete;
                    if trailed {
                        // A body of declared length has no place for trailers in HTTP/1; what is said of them is dropped.
                        state.phase = Phase::Trailing(None);
                    }
                    channel
                }
                Phase::Overruled => {
                    state.phase = Phase::Overruled;
                    None
                }
                other => {
                    state.phase = other;
                    return Err(PyRuntimeError::new_err("http.response.pathsend follows http.response.start at once"));
                }
            }
        };
        let Some(channel) = channel else {
            self.mailbox.end(py, &self.asgi, Event::Disconnect)?;
            return Ok(self.asgi.done(py));
        };
        let future = self.asgi.event_loop.call_method0(py, intern!(py, "create_future"))?;
        let reply = Reply::waiting(py, future.clone_ref(py))?;
        let (asgi, exchange) = (Arc::clone(&self.asgi), self.this.clone());
        self.asgi.tokio.spawn(async move {
            copy(file, length, &channel).await;
            Python::attach(|py| {
                // A whole answer to a client that has gone is no error.
                asgi.resolve(py, &future, true);
                let told = exchange.upgrade().map(|exchange| exchange.mailbox.end(py, &asgi, Event::Disconnect));
                if let Some(Err(error)) = told {
                    error.print(py);
                }
            });
        });
        Ok(reply)
    }

    /// Takes `http.response.trailers`.
    pub(super) fn end_with(&self, py: Python<'_>, message: &Bound<'_, PyDict>) -> PyResult<Sent> {
        let more = message.get_item(intern!(py, "more_trailers"))?.map_or(Ok(false), |more| more.is_truthy())?;
        let said = match message.get_item(intern!(py, "headers"))? {
            Some(pairs) if !pairs.is_none() => headers_from(&pairs)?,
            _ => super::HeaderMap::new(),
        };
        let sent = {
            let mut state = self.state.lock();
            let Phase::Trailing(channel) = &mut state.phase else {
                return match state.phase {
                    Phase::Overruled => Ok(Sent::Done),
                    _ => Err(PyRuntimeError::new_err("http.response.trailers follows a complete body, if announced")),
                };
            };
            let channel = if more { None } else { channel.take() };
            let mut trailers = state.trailers.take().unwrap_or_default();
            trailers.extend(said);
            if more {
                state.trailers = Some(trailers);
                return Ok(Sent::Done);
            }
            state.phase = Phase::Complete;
            let Some(channel) = channel else { return Ok(Sent::Done) };
            let takes = self.takes_trailers && !trailers.is_empty();
            let chunk = if takes { Chunk::trailers(trailers) } else { Chunk::end() };
            match channel.try_send(chunk) {
                Err(mpsc::error::TrySendError::Full(chunk)) => Sent::Wait(channel, chunk),
                // Of a client that has gone, the mailbox tells.
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Sent::Done,
            }
        };
        self.mailbox.end(py, &self.asgi, Event::Disconnect)?;
        Ok(sent)
    }
}

/// Copies so many bytes of a file. A file that has become shorter ends without a last chunk, which cuts the connection.
async fn copy(mut file: File, length: u64, channel: &mpsc::Sender<Chunk>) {
    let mut left = length;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; size];
            let outcome = file.read(&mut piece).map(|count| {
                piece.truncate(count);
                piece
            });
            (file, outcome)
        });
        let Ok((returned, Ok(piece))) = read.await else { return };
        if piece.is_empty() {
            return;
        }
        file = returned;
        left -= piece.len() as u64;
        let chunk = Chunk { data: Bytes::from(piece), last: left == 0, trailers: None };
        if channel.send(chunk).await.is_err() {
            return;
        }
    }
}
