//! The statuses of gRPC calls, as the protocol numbers and names them.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>

use std::fmt;

/// The status that a gRPC call ends with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GrpcCode {
    /// It succeeded.
    Ok,
    /// The caller has given it up.
    Cancelled,
    /// It failed, and nobody says how.
    Unknown,
    /// The request itself is wrong.
    InvalidArgument,
    /// It took longer than the caller allows.
    DeadlineExceeded,
    /// There is no such thing.
    NotFound,
    /// The thing is there already.
    AlreadyExists,
    /// Known, but not allowed.
    PermissionDenied,
    /// A limit is reached.
    ResourceExhausted,
    /// The thing is in a state that does not allow it.
    FailedPrecondition,
    /// Something else came between; try again.
    Aborted,
    /// Past the end.
    OutOfRange,
    /// There is no such method.
    Unimplemented,
    /// A defect; the log has the details.
    Internal,
    /// The service cannot answer now; try again.
    Unavailable,
    /// Data is lost.
    DataLoss,
    /// No or a wrong token.
    Unauthenticated,
}

impl GrpcCode {
    /// Every status; its place is its number.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The status that a trailer `grpc-status` gives; what is none of them is unknown.
    ///
    /// ```
    /// use pinnace_types::GrpcCode;
    ///
    /// assert_eq!(GrpcCode::from_trailer(b"5"), GrpcCode::NotFound);
    /// assert_eq!(GrpcCode::from_trailer(b"17"), GrpcCode::Unknown);
    /// ```
    pub fn from_trailer(value: &[u8]) -> Self {
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
        number.and_then(|number| Self::ALL.get(number).copied()).unwrap_or(Self::Unknown)
    }

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name in documents and in log lines, such as `NOT_FOUND`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl fmt::Display for GrpcCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::GrpcCode;

    #[test]
    fn the_place_of_a_status_is_its_number() {
        for (place, code) in GrpcCode::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), place);
            assert_eq!(GrpcCode::from_trailer(place.to_string().as_bytes()), code);
        }
    }
}
