//! The body of a request on its way from the socket to Python.
//!
//! Nothing is read before the application wants it: the server stops reading the socket, and the client's window fills.
//! Small bodies that are there already are an exception ([`Upload::prefetch`]): Python then never waits for them.

use bytes::Bytes;
use http::Response;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use pinnace_http::RequestBody;
use pinnace_types::ErrorCode;

use crate::body::ResponseBody;
use crate::handler::problem;

/// Bytes that are read ahead of the application.
const PREFETCH: usize = 64 << 10;

/// A request's body, frame by frame.
#[derive(Debug)]
pub(crate) struct Upload {
    incoming: RequestBody,
    limit: Option<u64>,
    seen: u64,
}

/// Why the rest of a body cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("the request body is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the client broke off")]
    Disconnected,
}

/// What was read ahead.
#[derive(Debug)]
pub(crate) struct Prefetched {
    pub(crate) data: Bytes,
    /// The rest, where there may be one.
    pub(crate) rest: Option<Upload>,
}

impl Upload {
    pub(crate) fn new(incoming: RequestBody, limit: Option<u64>) -> Self {
        Self { incoming, limit, seen: 0 }
    }

    /// Whether no byte is to come.
    pub(crate) fn is_end(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// The next bytes; nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, UploadError> {
        loop {
            let Some(frame) = self.incoming.frame().await else { return Ok(None) };
            let Ok(frame) = frame else { return Err(UploadError::Disconnected) };
            // Trailers are dropped: neither ASGI nor WSGI has a place for them.
            let Ok(data) = frame.into_data() else { continue };
            self.seen += data.len() as u64;
            if let Some(limit) = self.limit.filter(|limit| self.seen > *limit) {
                return Err(UploadError::TooLarge { limit });
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    /// Takes what is there within one round of the connection, up to a bound.
    pub(crate) async fn prefetch(mut self) -> Result<Prefetched, UploadError> {
        let mut collected = Collected::Nothing;
        let mut rounds = 0;
        while !self.is_end() && collected.len() < PREFETCH {
            let next = {
                let mut next = std::pin::pin!(self.next());
                futures_util::future::poll_immediate(next.as_mut()).await
            };
            match next {
                Some(Ok(Some(data))) => collected.push(data),
                Some(Ok(None)) => return Ok(Prefetched { data: collected.into_bytes(), rest: None }),
                Some(Err(error)) => return Err(error),
                // The connection reads the socket when this task has yielded.
                None if rounds == 0 => {
                    rounds += 1;
                    tokio::task::yield_now().await;
                }
                None => break,
            }
        }
        let ended = self.is_end();
        Ok(Prefetched { data: collected.into_bytes(), rest: (!ended).then_some(self) })
    }
}

impl UploadError {
    /// What the client is told, if it is still there.
    pub(crate) fn response(&self) -> Response<ResponseBody> {
        let code = match self {
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::Disconnected => ErrorCode::BadRequest,
        };
        problem(code, &self.to_string(), None)
    }
}

/// Frames that are joined only where there is more than one.
enum Collected {
    Nothing,
    One(Bytes),
    Many(Vec<u8>),
}

impl Collected {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, data: Bytes) {
        *self = match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => Self::One(data),
            Self::One(first) => Self::Many([first, data].concat()),
            Self::Many(mut bytes) => {
                bytes.extend_from_slice(&data);
                Self::Many(bytes)
            }
        };
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.into(),
        }
    }
}
