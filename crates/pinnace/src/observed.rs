//! The body of an answer, which concludes what is remembered of its request just before its last bytes leave.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use pinnace_http::{Body, BoxError};
use pinnace_telemetry::{Observation, during_request};

use crate::grpc::{is_grpc, outcome};

/// A body that is watched. Dropped before its end, it was cut off: so is its observation.
#[derive(Debug)]
struct Observed {
    body: Body,
    observation: Option<Observation>,
    /// What is still to come where the length is known: the server asks for no more once it has all.
    remaining: Option<u64>,
    /// Its trailers say how the call ended.
    is_grpc: bool,
}

/// Concludes the observation when the answer has been read to its end.
pub(crate) fn observe(response: Response<Body>, method: &Method, mut observation: Observation) -> Response<Body> {
    observation.set_status(response.status());
    let is_grpc = is_grpc(response.headers());
    if let Some(outcome) = outcome(response.headers()).filter(|_| is_grpc) {
        observation.set_grpc(outcome);
    }
    // The server reads nothing of a body that may not be sent.
    let is_bare = *method == Method::HEAD
        || response.status().is_informational()
        || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if is_bare || response.body().is_end_stream() {
        observation.finish();
        return response;
    }
    response.map(|body| {
        let remaining = body.size_hint().exact();
        Body::boxed(Observed { body, observation: Some(observation), remaining, is_grpc })
    })
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let body = Pin::new(&mut this.body);
        let frame = ready!(match &this.observation {
            // What makes a body that streams works for its request still.
            Some(observation) => during_request(observation.request_id(), || body.poll_frame(context)),
            None => body.poll_frame(context),
        });
        let has_ended = match &frame {
            None => true,
            Some(Err(_)) => {
                this.observation = None;
                false
            }
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                if let Some(observation) = &mut this.observation {
                    observation.add_bytes(length);
                    if let Some(outcome) = frame.trailers_ref().filter(|_| this.is_grpc).and_then(outcome) {
                        observation.set_grpc(outcome);
                    }
                }
                this.remaining = this.remaining.map(|remaining| remaining.saturating_sub(length as u64));
                frame.is_trailers() || this.remaining == Some(0) || this.body.is_end_stream()
            }
        };
        if has_ended && let Some(observation) = this.observation.take() {
            observation.finish();
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
