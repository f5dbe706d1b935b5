//! What can go wrong at an HTTP border of the platform: one closed table, mapped once to a status.
//!
//! A code is part of the API: clients may match on it, so names are added and never changed.

use serde::{Deserialize, Serialize};

use crate::GrpcCode;

/// A failure's kind, as it stands in the `code` member of a problem document.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, schemars::JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The request itself is malformed.
    BadRequest,
    /// No or a wrong token.
    Unauthenticated,
    /// Known, but not allowed: also a foreign `Host` or `Origin`.
    Forbidden,
    /// No such path, route, service or instance.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// It contradicts what is there, such as scaling a service that cannot be scaled.
    Conflict,
    /// The body is larger than the limit.
    TooLarge,
    /// The request line is larger than the limit.
    TargetTooLong,
    /// It expects what cannot be promised.
    ExpectationFailed,
    /// The header section is larger than the limit.
    HeadersTooLarge,
    /// The client did not send its request in time.
    RequestTimeout,
    /// A defect of ours; the log has the details.
    Internal,
    /// It needs something that this server does not have, such as a transfer coding.
    NotImplemented,
    /// The service was reached and broke the connection or answered nonsense.
    BadUpstream,
    /// The service does not run, starts, or is overloaded.
    Unavailable,
    /// The service did not answer in time.
    UpstreamTimeout,
    /// A version of HTTP that is not spoken.
    VersionNotSupported,
}

impl ErrorCode {
    /// Every code, by status.
    pub const ALL: &'static [Self] = &[
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::TooLarge,
        Self::TargetTooLong,
        Self::ExpectationFailed,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::NotImplemented,
        Self::BadUpstream,
        Self::Unavailable,
        Self::UpstreamTimeout,
        Self::VersionNotSupported,
    ];

    /// The HTTP status that carries this code (RFC 9110 section 15, RFC 6585).
    pub const fn http_status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::TargetTooLong => 414,
            Self::ExpectationFailed => 417,
            Self::HeadersTooLarge => 431,
            Self::Internal => 500,
            Self::NotImplemented => 501,
            Self::BadUpstream => 502,
            Self::Unavailable => 503,
            Self::UpstreamTimeout => 504,
            Self::VersionNotSupported => 505,
        }
    }

    /// The gRPC status that carries this code.
    pub const fn grpc_code(self) -> GrpcCode {
        match self {
            Self::BadRequest => GrpcCode::InvalidArgument,
            Self::Unauthenticated => GrpcCode::Unauthenticated,
            Self::Forbidden => GrpcCode::PermissionDenied,
            Self::NotFound => GrpcCode::NotFound,
            Self::MethodNotAllowed | Self::NotImplemented | Self::VersionNotSupported => GrpcCode::Unimplemented,
            Self::Conflict | Self::ExpectationFailed => GrpcCode::FailedPrecondition,
            Self::TooLarge | Self::TargetTooLong | Self::HeadersTooLarge => GrpcCode::ResourceExhausted,
            Self::RequestTimeout | Self::UpstreamTimeout => GrpcCode::DeadlineExceeded,
            Self::Internal => GrpcCode::Internal,
            Self::BadUpstream | Self::Unavailable => GrpcCode::Unavailable,
        }
    }

    /// The sentence that stands for the code, a problem's `title`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad request",
            Self::Unauthenticated => "Not authenticated",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::RequestTimeout => "Request timeout",
            Self::Conflict => "Conflict",
            Self::TooLarge => "Content too large",
            Self::TargetTooLong => "Request target too long",
            Self::ExpectationFailed => "Expectation failed",
            Self::HeadersTooLarge => "Header fields too large",
            Self::Internal => "Internal error",
            Self::NotImplemented => "Not implemented",
            Self::BadUpstream => "Bad gateway",
            Self::Unavailable => "Service unavailable",
            Self::UpstreamTimeout => "Gateway timeout",
            Self::VersionNotSupported => "HTTP version not supported",
        }
    }
}
