//! The name of an environment variable, as POSIX has it (XBD section 8.1), in either case.

use std::fmt;
use std::str::FromStr;

/// A letter or `_`, then letters, digits and `_`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct VariableName(Box<str>);

/// Why a text is no such name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{name}` is no name of an environment variable: a letter or `_`, then letters, digits and `_`")]
pub struct InvalidVariableName {
    name: String,
}

impl VariableName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VariableName {
    type Err = InvalidVariableName;

    fn from_str(name: &str) -> Result<Self, InvalidVariableName> {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if starts && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Ok(Self(name.into()));
        }
        Err(InvalidVariableName { name: name.to_owned() })
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::VariableName;

    #[test]
    fn a_shell_could_set_it() {
        for good in ["A", "_x", "STRIPE_KEY", "http2"] {
            assert!(good.parse::<VariableName>().is_ok(), "{good} was refused");
        }
        for bad in ["", "2A", "A-B", "A B", "A=B", "Ä", "A\0"] {
            assert!(bad.parse::<VariableName>().is_err(), "{bad:?} was accepted");
        }
    }
}
