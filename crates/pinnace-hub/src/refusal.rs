//! How a handler refuses: a problem that travels as an extension of the response until the server's border, where the id of
//! the request is added and it is written as `application/problem+json`.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use pinnace_http::unix::UnixError;
use pinnace_types::{ErrorCode, Problem};

/// A refused request.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(pub(crate) Box<Problem>);

impl Refusal {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(code, detail)))
    }

    #[must_use]
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self(Box::new(self.0.with_hint(hint)))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<UnixError> for Refusal {
    fn from(error: UnixError) -> Self {
        match error {
            UnixError::Problem(problem) => Self(problem),
            UnixError::Connect { .. } => Self::new(ErrorCode::Unavailable, "the supervisor does not answer")
                .with_hint("`pinnace ps` in the system's folder shows whether it runs"),
            other => {
                tracing::warn!(error = %other, "the supervisor's answer was not understood");
                Self::new(ErrorCode::BadUpstream, "the supervisor's answer was not understood")
            }
        }
    }
}
