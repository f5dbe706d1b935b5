//! Between hyper and the handler: counts the request until its last byte, and asks HTTP/1 clients to leave while draining.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use pinnace_types::ErrorCode;
use pinnace_types::Problem;

use super::Handler;
use super::Shared;
use crate::Body;
use crate::BoxError;
use crate::Connection;
use crate::RequestBody;
use crate::connection::InFlight;
use crate::problem_response;

/// A response's body that keeps its request counted.
#[derive(Debug)]
pub(super) struct Counted {
    body: Body,
    _in_flight: InFlight,
}

/// Answers one request.
pub(super) async fn answer<H: Handler>(
    shared: Arc<Shared<H>>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Counted>, Infallible> {
    let in_flight = InFlight::begin(Arc::clone(&connection));
    let version = request.version();
    if version == Version::HTTP_2 {
        connection.activity.mark_http2();
    }
    let is_connect = request.method() == Method::CONNECT;
    let mut response = match refusal(&shared, &request) {
        Some(response) => response,
        None => shared.handler.call(request.map(RequestBody::from), Arc::clone(&connection)).await,
    };
    let upgrades =
        response.status() == StatusCode::SWITCHING_PROTOCOLS || (is_connect && response.status().is_success());
    if upgrades && version != Version::HTTP_2 {
        connection.activity.mark_upgraded();
        shared.upgraded.lock().insert(connection.id, Arc::downgrade(&connection));
    } else if version != Version::HTTP_2 && shared.drain.has_begun() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Counted { body, _in_flight: in_flight }))
}

/// The answer to a body that says beforehand that it is too large.
fn refusal<H: Handler>(shared: &Shared<H>, request: &Request<Incoming>) -> Option<Response<Body>> {
    let limit = shared.config.max_body_bytes?;
    let announced = http_body::Body::size_hint(request.body()).exact()?;
    (announced > limit).then(|| {
        let detail = format!("the body has {announced} bytes, the limit is {limit}");
        let mut response = problem_response(&Problem::new(ErrorCode::TooLarge, detail));
        if request.version() != Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    })
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
