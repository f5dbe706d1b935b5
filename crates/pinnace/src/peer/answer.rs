//! What another service has answered, wholly read.

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use pinnace_types::{Problem, ServiceName};
use serde::de::DeserializeOwned;

use super::{PeerError, PeerErrorKind};

/// Longest part of a refusal that is repeated in an error.
const LONGEST_DETAIL: usize = 200;

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    peer: ServiceName,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(super) fn new(peer: ServiceName, head: Parts, body: Bytes) -> Self {
        Self { peer, status: head.status, headers: head.headers, body }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Its body.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// Its body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The answer, if its status is 2xx; else an error with what the other service says about it.
    pub fn accepted(self) -> Result<Self, PeerError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let problem = serde_json::from_slice::<Problem>(&self.body).ok();
        let detail = problem.map_or_else(|| self.text(), |problem| problem.detail);
        let detail = detail.chars().filter(|character| !character.is_control()).take(LONGEST_DETAIL).collect();
        Err(PeerError::new(self.peer.as_str(), PeerErrorKind::Refused { status: self.status, detail }))
    }

    /// The document of an answer that is [`accepted`](Self::accepted).
    pub fn json<T: DeserializeOwned>(self) -> Result<T, PeerError> {
        let accepted = self.accepted()?;
        serde_json::from_slice(&accepted.body)
            .map_err(|error| PeerError::new(accepted.peer.as_str(), PeerErrorKind::Unreadable(error)))
    }
}
