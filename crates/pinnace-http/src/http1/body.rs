//! The body of a request, as the connection carries it: counted bytes or chunks.

use bytes::BytesMut;

use super::chunked::{Chunked, Decoded};
use super::head::{BodyLength, Limits};
use super::refusal::Refusal;

/// Takes a request's body out of the input, piece by piece.
#[derive(Debug)]
pub(crate) enum BodyDecoder {
    /// So many bytes are still to come.
    Exactly(u64),
    Chunked(Box<Chunked>),
}

impl BodyDecoder {
    pub(crate) fn new(length: BodyLength) -> Self {
        match length {
            BodyLength::Exactly(length) => Self::Exactly(length),
            BodyLength::Chunked => Self::Chunked(Box::default()),
        }
    }

    /// Takes what is there; at the end, and only there, says so.
    pub(crate) fn decode(&mut self, input: &mut BytesMut, limits: Limits) -> Result<Decoded, Refusal> {
        match self {
            Self::Exactly(0) => Ok(Decoded::End(None)),
            Self::Exactly(_) if input.is_empty() => Ok(Decoded::Needs),
            Self::Exactly(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= length as u64;
                Ok(Decoded::Data(input.split_to(length).freeze()))
            }
            Self::Chunked(chunked) => chunked.decode(input, limits),
        }
    }

    /// The bytes that are still to come, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Self::Exactly(left) => Some(*left),
            Self::Chunked(_) => None,
        }
    }
}
