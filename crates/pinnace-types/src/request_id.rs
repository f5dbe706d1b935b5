//! The id that one request carries through every process and every log line: `X-Request-Id`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest id that is taken over from a caller.
const MAX_LENGTH: usize = 64;

/// The id of a request: 1 to 64 visible characters out of `A–Z a–z 0–9 - _ . : / + =`.
///
/// An id of our own is 128 random bits as 32 hexadecimal digits, the form of a W3C trace id.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(Box<str>);

/// Why an id from outside was not taken over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a request id has 1 to 64 characters out of letters, digits and -_.:/+=")]
pub struct InvalidRequestId;

impl RequestId {
    /// Makes an id out of 128 random bits, which the caller draws.
    pub fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}").into())
    }

    /// Takes over an id from outside.
    pub fn try_new(id: &str) -> Result<Self, InvalidRequestId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
        if id.is_empty() || id.len() > MAX_LENGTH || !id.bytes().all(allowed) {
            return Err(InvalidRequestId);
        }
        Ok(Self(id.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(id: &str) -> Result<Self, InvalidRequestId> {
        Self::try_new(id)
    }
}

impl TryFrom<String> for RequestId {
    type Error = InvalidRequestId;

    fn try_from(id: String) -> Result<Self, InvalidRequestId> {
        Self::try_new(&id)
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.0.into()
    }
}

impl schemars::JsonSchema for RequestId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RequestId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_.:/+=-]{1,64}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::RequestId;

    #[test]
    fn an_id_of_our_own_is_32_hexadecimal_digits() {
        assert_eq!(RequestId::from_random(0xAB).as_str(), "000000000000000000000000000000ab");
    }

    #[test]
    fn an_id_that_could_break_a_log_line_is_refused() {
        for bad in ["", "a b", "a\nb", "a\"b", "ä", &"a".repeat(65)] {
            assert!(RequestId::try_new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(RequestId::try_new("01J-abc_DEF.1:2/3+4=").is_ok());
    }
}
