//! Errors on the wire: `application/problem+json`, RFC 9457.

use serde::{Deserialize, Serialize};

use crate::{ErrorCode, RequestId};

/// A problem document. What it says is for the caller: no path of the machine, no traceback, no secret.
///
/// ```
/// use pinnace_types::{ErrorCode, Problem};
///
/// let problem = Problem::new(ErrorCode::NotFound, "there is no service `order`").with_hint("did you mean `orders`?");
/// assert_eq!(problem.status, 404);
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, schemars::JsonSchema, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// Always `about:blank`: `code` is what a client matches on.
    #[serde(rename = "type")]
    pub kind: String,
    /// The short sentence of the code.
    pub title: String,
    /// The HTTP status, repeated as RFC 9457 asks.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The stable name of the failure.
    pub code: ErrorCode,
    /// How to mend it, where there is a way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The service on the other side, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The id under which the logs have more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

impl Problem {
    /// The media type of the document.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A problem of this kind with what happened this time.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: code.title().to_owned(),
            status: code.http_status(),
            detail: detail.into(),
            code,
            hint: None,
            service: None,
            request_id: None,
        }
    }

    /// Adds the way out.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the service on the other side.
    #[must_use]
    pub fn with_service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// Adds the id that the logs know.
    #[must_use]
    pub fn with_request_id(mut self, id: RequestId) -> Self {
        self.request_id = Some(id);
        self
    }
}
