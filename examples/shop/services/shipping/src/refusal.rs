//! Why something is not done, as both faces say it: a problem document (RFC 9457), a gRPC status.

use pinnace::axum::response::{IntoResponse, Response};
use pinnace::{ErrorCode, Problem, current_request_id, problem_response};
use tonic::Status;

/// What prevents an answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such shipment.
    Unknown,
    /// What is asked makes no sense.
    Malformed(String),
    /// The shipment is in a state that does not allow it.
    Conflict(String),
    /// The database failed; the log has its words.
    Database(sqlx::Error),
}

impl Refusal {
    /// What the caller is told.
    fn told(self) -> (ErrorCode, String) {
        match self {
            Self::Unknown => (ErrorCode::NotFound, "there is no shipment for this order".to_owned()),
            Self::Malformed(mistake) => (ErrorCode::BadRequest, mistake),
            Self::Conflict(reason) => (ErrorCode::Conflict, reason),
            Self::Database(error) => {
                tracing::error!(%error, "the database failed");
                (ErrorCode::Unavailable, "the shipments cannot be read just now".to_owned())
            }
        }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (code, detail) = self.told();
        let mut problem = Problem::new(code, detail);
        if let Some(id) = current_request_id() {
            problem = problem.with_request_id(id);
        }
        problem_response(&problem).into_response()
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, detail) = refusal.told();
        match code {
            ErrorCode::NotFound => Self::not_found(detail),
            ErrorCode::BadRequest => Self::invalid_argument(detail),
            ErrorCode::Conflict => Self::failed_precondition(detail),
            _ => Self::unavailable(detail),
        }
    }
}
