//! The closed loop: connections that each send the next request when the last one is answered.
//!
//! For figures of throughput. Its latencies flatter a server that stalls, because nobody asks meanwhile; the open loop's
//! do not.

use std::time::Duration;

use http::{HeaderValue, Request, header};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pinnace_http::Body;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::caller::{Call, Caller};
use crate::tally::{Counted, Failure, Tally};

/// Failures of one connection that are kept; all are counted.
const MOST_FAILURES: usize = 10;

/// What one connection did.
#[derive(Default)]
struct Part {
    counted: Counted,
    failures: Vec<Failure>,
}

/// Sends for so long over so many connections.
pub(crate) async fn drive(caller: &Caller, call: &Call, connections: usize, length: Duration) -> Tally {
    let authority = caller.origin().trim_start_matches("http://").to_owned();
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..connections {
        running.spawn(one_connection(authority.clone(), call.clone(), begun + length));
    }
    let mut tally = Tally { most_outstanding: connections, ..Tally::default() };
    let mut counted = Counted::default();
    while let Some(part) = running.join_next().await {
        let Ok(part) = part else {
            tally.panicked += 1;
            continue;
        };
        counted.begun += part.counted.begun;
        counted.failed += part.counted.failed;
        counted.latency.merge(&part.counted.latency);
        part.failures.into_iter().for_each(|failure| tally.keep(failure));
    }
    counted.requests = counted.begun;
    tally.scheduled = counted.begun;
    tally.failures_not_kept = counted.failed - tally.failures.len() as u64;
    (tally.begun_within, tally.length) = (begun.elapsed(), begun.elapsed());
    tally.operations.insert("request", counted);
    tally
}

async fn one_connection(authority: String, call: Call, end: Instant) -> Part {
    let mut part = Part::default();
    let mut connection = None;
    while Instant::now() < end {
        let asked = Instant::now();
        part.counted.begun += 1;
        match exchange(connection.take(), &authority, &call).await {
            Ok(sender) => {
                part.counted.latency.record(asked.elapsed());
                connection = Some(sender);
            }
            Err(error) => {
                part.counted.failed += 1;
                if part.failures.len() < MOST_FAILURES {
                    part.failures.push(*call.failed(error));
                }
                // A server that refuses connections is not asked in a hot loop.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    part
}

/// One request and its answer; gives the connection back.
async fn exchange(
    connection: Option<SendRequest<Body>>,
    authority: &str,
    call: &Call,
) -> Result<SendRequest<Body>, String> {
    let mut sender = match connection {
        Some(sender) => sender,
        None => connect(authority).await?,
    };
    let mut request = Request::new(Body::full(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = call.path.parse().map_err(|error| format!("{}: {error}", call.path))?;
    *request.headers_mut() = call.headers.clone();
    let host = HeaderValue::from_str(authority).map_err(|error| error.to_string())?;
    request.headers_mut().insert(header::HOST, host);
    sender.ready().await.map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(|error| format!("body: {error}"))?;
    }
    if status.is_success() { Ok(sender) } else { Err(format!("status {}", status.as_u16())) }
}

async fn connect(authority: &str) -> Result<SendRequest<Body>, String> {
    let stream = TcpStream::connect(authority).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It ends when the sender is dropped or the server closes.
    tokio::spawn(connection);
    Ok(sender)
}
