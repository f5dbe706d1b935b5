//! Why a request is refused. The words are fixed: nothing that a client sent is repeated to it or to a log.

use pinnace_types::ErrorCode;

/// A request that is not taken, and after which its connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) detail: &'static str,
}

impl Refusal {
    /// 400.
    pub(crate) const fn malformed(detail: &'static str) -> Self {
        Self { code: ErrorCode::BadRequest, detail }
    }

    /// 431.
    pub(crate) const fn large(detail: &'static str) -> Self {
        Self { code: ErrorCode::HeadersTooLarge, detail }
    }

    /// Any other status.
    pub(crate) const fn new(code: ErrorCode, detail: &'static str) -> Self {
        Self { code, detail }
    }
}
