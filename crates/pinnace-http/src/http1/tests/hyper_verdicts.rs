//! Ours and hyper's verdicts on every case: where they differ, the reason is written down, and no row is there for nothing.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::LIMITS;
use super::cases::{CASES, Case};
use super::reader::{End, Pieces, messages};

/// What hyper takes and we refuse: our reason, and why it is worth the strictness.
const REFUSED_BY_US: &[(&str, &str)] = &[
    (
        "a line ends without a carriage return",
        "a proxy that waits for CRLF sees other lines (RFC 9112 2.2 lets one choose)",
    ),
    ("the method is not 3 to 20 capital letters", "some servers turn letters into capitals, as gunicorn says"),
    ("the request's target is malformed", "hyper leaves the form of a target to the handler"),
    ("the target of CONNECT is not a host and a port", "hyper leaves the form of a target to the handler"),
    ("the request's target has a character that none may have", "a fragment is cut off there, and sent on elsewhere"),
    ("Host names another host than the target", "the target wins there, Host elsewhere (RFC 9112 3.2.2)"),
    ("there is no Host", "left to the handler, against RFC 9112 3.2"),
    ("there is more than one Host", "left to the handler, against RFC 9112 3.2"),
    ("Host is not a host and a port", "left to the handler, against RFC 9112 3.2"),
    ("there is more than one Content-Length", "equal lengths are one there, as RFC 9110 8.6 allows; not elsewhere"),
    ("there are both Content-Length and Transfer-Encoding", "chunks win there, as RFC 9112 6.3 allows; not elsewhere"),
    ("Transfer-Encoding is not exactly `chunked`", "only the last coding is looked at"),
    ("there is more than one Transfer-Encoding", "only the last coding is looked at"),
    ("no transfer coding but `chunked` is understood", "the body is handed on as it is, still compressed"),
    ("only 100-continue can be expected", "other expectations are ignored, against RFC 9110 10.1.1"),
    ("a request with this method has no body", "RFC 9110 9.3.6 and 9.3.8 are left to the handler"),
    ("what follows a chunk's size is no chunk extension", "extensions are skipped unread"),
    ("a chunk's first line is too long", "only the sum of extensions is limited"),
    ("there are too many chunk extensions", "hyper's limit is 16 KiB"),
    ("a trailer is a field that must stand before the body", "trailers are handed on as they are"),
    ("there are too many header fields", "hyper's limits are wider; those of the case are ours"),
    ("the request's head is too large", "hyper's limits are wider; those of the case are ours"),
    ("the trailers are too large", "hyper's limits are wider; those of the case are ours"),
    ("empty lines stand before the request", "any number of them is skipped there"),
];

/// The requests that hyper hands to a handler whole, with their bodies.
async fn taken_by_hyper(input: &[u8]) -> Vec<Vec<u8>> {
    let (mut client, server) = tokio::io::duplex(64 << 10);
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn({
        let bodies = Arc::clone(&bodies);
        move |request: Request<Incoming>| {
            let bodies = Arc::clone(&bodies);
            async move {
                let mut response = Response::new(Full::new(Bytes::new()));
                match request.into_body().collect().await {
                    Ok(body) => bodies.lock().push(body.to_bytes().to_vec()),
                    Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
                }
                Ok::<_, Infallible>(response)
            }
        }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
    let talk = async {
        client.write_all(input).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
    };
    let (_, ()) = tokio::join!(connection, talk);
    std::mem::take(&mut *bodies.lock())
}

#[tokio::test]
async fn every_difference_to_hyper_has_its_reason() {
    let mut used = BTreeSet::new();
    let mut unexplained = Vec::new();
    for Case(name, input, _) in CASES {
        let (ours, end) = messages(&Pieces::whole(input.as_bytes()), LIMITS);
        let ours: Vec<_> = ours.into_iter().map(|message| message.body).collect();
        let theirs = taken_by_hyper(input.as_bytes()).await;
        if ours == theirs {
            continue;
        }
        let reason = match &end {
            End::Refused(refusal) if theirs.len() > ours.len() => {
                REFUSED_BY_US.iter().find(|row| row.0 == refusal.detail)
            }
            // There is nothing that we take and hyper refuses.
            _ => None,
        };
        match reason {
            Some((key, _)) => {
                used.insert(*key);
            }
            None => unexplained.push(format!("{name}: ours {ours:?} {end:?}, theirs {theirs:?}")),
        }
    }
    assert!(unexplained.is_empty(), "\n{}", unexplained.join("\n"));
    let lost: Vec<_> = REFUSED_BY_US.iter().map(|row| row.0).filter(|key| !used.contains(key)).collect();
    assert!(lost.is_empty(), "rows for nothing: {lost:#?}");
}
