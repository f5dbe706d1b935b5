//! Names that end up in addresses, file names and environment variables, and therefore are checked once, here.
//!
//! All follow the label rule of RFC 1123 section 2.1 (lower case), because a service's name is a host name in DNS,
//! in Consul and in Kubernetes. A [`Topic`] is labels joined by dots.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest label, RFC 1035 section 2.3.4.
const MAX_LABEL: usize = 63;
/// Longest topic: AMQP 0-9-1 short strings hold 255 bytes.
const MAX_TOPIC: usize = 255;

/// Why a name was refused; says what, where and how to mend it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing was given.
    #[error("a {what} may not be empty")]
    Empty {
        /// The kind of name.
        what: &'static str,
    },
    /// It is longer than DNS or AMQP can carry.
    #[error("a {what} has at most {limit} characters, `{name}` has {}", name.len())]
    TooLong {
        /// The kind of name.
        what: &'static str,
        /// What was given.
        name: String,
        /// The most that is allowed.
        limit: usize,
    },
    /// It holds a character that host names do not have.
    #[error("`{character}` at position {position} is not allowed in a {what}: use a–z, 0–9 and `-` between them")]
    Character {
        /// The kind of name.
        what: &'static str,
        /// The first character that is not allowed.
        character: char,
        /// Counted from 1.
        position: usize,
    },
}

macro_rules! label_name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Box<str>);

        impl $type {
            /// Accepts a lower-case host name label.
            pub fn try_new(name: &str) -> Result<Self, InvalidName> {
                check_label($what, name, 0)?;
                Ok(Self(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        name_traits!($type);
    };
}

macro_rules! name_traits {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::try_new(name)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::try_new(&name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.into()
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": Self::PATTERN })
            }
        }
    };
}

label_name! {
    /// The name of a service: a host name label such as `orders`.
    ///
    /// ```
    /// use pinnace_types::ServiceName;
    ///
    /// assert_eq!(ServiceName::try_new("orders")?.environment_prefix(), "ORDERS");
    /// assert!(ServiceName::try_new("Orders").is_err());
    /// # Ok::<(), pinnace_types::InvalidName>(())
    /// ```
    ServiceName, "service name"
}

label_name! {
    /// The name of a whole system, such as `shop`.
    SystemName, "system name"
}

label_name! {
    /// The name of a bounded context, such as `ordering`.
    ContextName, "context name"
}

/// What an event is about: labels joined by dots, such as `orders.placed`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(Box<str>);

name_traits!(Topic);

impl ServiceName {
    const PATTERN: &str = LABEL_PATTERN;

    /// The name as environment variables spell it: `price-list` is `PRICE_LIST`, so that `<SERVICE>_URL` is `PRICE_LIST_URL`.
    pub fn environment_prefix(&self) -> String {
        self.0.to_ascii_uppercase().replace('-', "_")
    }
}

impl SystemName {
    const PATTERN: &str = LABEL_PATTERN;
}

impl ContextName {
    const PATTERN: &str = LABEL_PATTERN;
}

impl Topic {
    const PATTERN: &str = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";

    /// Accepts host name labels joined by dots.
    pub fn try_new(name: &str) -> Result<Self, InvalidName> {
        if name.len() > MAX_TOPIC {
            return Err(InvalidName::TooLong { what: "topic", name: name.to_owned(), limit: MAX_TOPIC });
        }
        let mut start = 0;
        for label in name.split('.') {
            check_label("topic", label, start)?;
            start += label.chars().count() + 1;
        }
        Ok(Self(name.into()))
    }

    /// The topic as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const LABEL_PATTERN: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

fn check_label(what: &'static str, label: &str, start: usize) -> Result<(), InvalidName> {
    if label.is_empty() {
        return Err(InvalidName::Empty { what });
    }
    if label.len() > MAX_LABEL {
        return Err(InvalidName::TooLong { what, name: label.to_owned(), limit: MAX_LABEL });
    }
    let last = label.chars().count() - 1;
    for (index, character) in label.chars().enumerate() {
        let inner_hyphen = character == '-' && index != 0 && index != last;
        if !(character.is_ascii_lowercase() || character.is_ascii_digit() || inner_hyphen) {
            return Err(InvalidName::Character { what, character, position: start + index + 1 });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{InvalidName, ServiceName, Topic};

    #[test]
    fn a_service_name_is_a_host_name_label() {
        for good in ["a", "orders", "price-list-2", "2fa"] {
            assert_eq!(ServiceName::try_new(good).map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "Orders", "-a", "a-", "a_b", "a.b", "größe", &"a".repeat(64)] {
            assert!(ServiceName::try_new(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_topic_says_where_its_bad_character_is() {
        assert!(Topic::try_new("catalog.price-changed").is_ok());
        assert_eq!(
            Topic::try_new("orders.Placed"),
            Err(InvalidName::Character { what: "topic", character: 'P', position: 8 })
        );
        assert_eq!(Topic::try_new("orders."), Err(InvalidName::Empty { what: "topic" }));
    }

    #[test]
    fn serde_goes_through_the_same_check() {
        assert!(serde_json::from_str::<ServiceName>("\"Orders\"").is_err());
        assert!(serde_json::from_str::<ServiceName>("\"orders\"").is_ok());
    }
}
