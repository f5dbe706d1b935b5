//! The one line that every request leaves on standard error, however it ends.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use pinnace_http::{Body, BoxError};
use pinnace_telemetry::AccessLog;
use pinnace_types::RequestId;
use pinnace_types::worker::LogFormat;
use tokio::time::Instant;

/// What stands for a status where the client went away before there was one.
const CLIENT_GONE: u16 = 499;

/// Writes its line when it is dropped.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) format: Option<LogFormat>,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) peer: String,
    pub(crate) request_id: RequestId,
    pub(crate) begun: Instant,
    pub(crate) status: Option<u16>,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
struct Recorded {
    body: Body,
    record: Record,
}

impl Record {
    /// Lets the line wait for the response's end.
    pub(crate) fn follow(mut self, response: Response<Body>) -> Response<Body> {
        self.status = Some(response.status().as_u16());
        response.map(|body| Body::boxed(Recorded { body, record: self }))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(format) = self.format else { return };
        let line = AccessLog {
            method: &self.method,
            path: &self.path,
            status: self.status.unwrap_or(CLIENT_GONE),
            grpc: None,
            duration: self.begun.elapsed(),
            request_id: &self.request_id,
            peer: &self.peer,
            bytes: self.bytes,
        };
        let mut text = String::with_capacity(256);
        line.render(format, jiff::Timestamp::now(), "gateway", &mut text);
        // A closed standard error cannot be told to anyone.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.record.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
