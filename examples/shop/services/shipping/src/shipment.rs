//! What a shipment is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::tariff;

/// The id of an order: a UUID in its usual form, in lower case.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct OrderId(String);

/// How far a shipment is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Waits to be dispatched.
    Ready,
    /// On its way.
    Dispatched,
    /// With its recipient.
    Delivered,
    /// Taken back before it was dispatched; it will never be sent.
    Cancelled,
}

/// Where it goes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipient {
    pub(crate) name: String,
    pub(crate) address: String,
}

/// What is asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    pub(crate) recipient: Recipient,
    pub(crate) things: u32,
}

/// What is kept of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Shipment {
    /// Its place in the order of bookings.
    #[serde(skip)]
    pub(crate) id: i64,
    pub(crate) order: OrderId,
    pub(crate) status: Status,
    pub(crate) recipient: Recipient,
    pub(crate) things: u32,
    pub(crate) parcels: u32,
    pub(crate) tracking: Option<String>,
    pub(crate) booked_at: String,
    pub(crate) dispatched_at: Option<String>,
    pub(crate) delivered_at: Option<String>,
}

impl OrderId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The number by which people ask for a parcel, which follows from the order: a step that is repeated gives no other.
    pub(crate) fn tracking(&self) -> String {
        let digits: String = self.0.chars().filter(char::is_ascii_hexdigit).take(12).collect();
        format!("PN{}", digits.to_ascii_uppercase())
    }
}

impl FromStr for OrderId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_uuid = text.len() == 36
            && text.bytes().enumerate().all(|(place, byte)| match place {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        if is_uuid { Ok(Self(text.to_ascii_lowercase())) } else { Err(()) }
    }
}

impl Status {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Dispatched => "dispatched",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Ready, Self::Dispatched, Self::Delivered, Self::Cancelled].into_iter().find(|one| one.name() == name)
    }

    /// Whether no step comes after it.
    pub(crate) const fn is_last(self) -> bool {
        matches!(self, Self::Delivered | Self::Cancelled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Draft {
    /// What is wrong with it, if something is.
    pub(crate) fn mistake(&self) -> Option<&'static str> {
        let Recipient { name, address } = &self.recipient;
        if name.trim().is_empty() || name.chars().count() > 120 {
            Some("`recipient.name` has 1 to 120 characters")
        } else if address.trim().is_empty() || address.chars().count() > 500 {
            Some("`recipient.address` has 1 to 500 characters")
        } else if !(1..=tariff::MOST_THINGS).contains(&self.things) {
            Some("`things` is a number from 1 to 100000")
        } else {
            None
        }
    }
}

impl Shipment {
    /// Whether this is what was asked for.
    pub(crate) fn is_of(&self, draft: &Draft) -> bool {
        self.recipient == draft.recipient && self.things == draft.things
    }
}

#[cfg(test)]
mod tests {
    use super::OrderId;

    #[test]
    fn an_order_has_a_uuid_and_its_parcel_a_number_of_it() {
        let order: OrderId = "5F0C1B2A-0000-4000-8000-000000000007".parse().unwrap();
        assert_eq!(
            (order.as_str(), order.tracking().as_str()),
            ("5f0c1b2a-0000-4000-8000-000000000007", "PN5F0C1B2A0000")
        );
        for text in ["", "7", "5f0c1b2a00004000800000000000000700000", "5f0c1b2a-0000-4000-8000-00000000000g"] {
            assert!(text.parse::<OrderId>().is_err(), "{text}");
        }
    }
}
