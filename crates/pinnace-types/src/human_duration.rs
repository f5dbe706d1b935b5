//! Durations as people write them in `pinnace.toml` and on the command line: `250ms`, `10s`, `1m30s`, `2h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration written as numbers with units `ms`, `s`, `m`, `h`, `d`, largest first.
///
/// ```
/// use pinnace_types::HumanDuration;
/// use std::time::Duration;
///
/// let timeout: HumanDuration = "1m30s".parse()?;
/// assert_eq!(timeout.as_duration(), Duration::from_secs(90));
/// assert_eq!(timeout.to_string(), "1m30s");
/// # Ok::<(), pinnace_types::InvalidHumanDuration>(())
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanDuration(Duration);

/// Why a text is no duration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is no duration: write a number and its unit, such as `250ms`, `10s`, `1m30s` or `2h`")]
pub struct InvalidHumanDuration {
    text: String,
}

/// Units from large to small, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl HumanDuration {
    /// Wraps a duration; what is below a millisecond is cut off when it is printed.
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// The duration for the clock.
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    fn parse(text: &str) -> Option<u64> {
        let mut rest = text;
        let mut total: u64 = 0;
        let mut units = UNITS.iter();
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: u64 = rest[..digits].parse().ok()?;
            let after = &rest[digits..];
            let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (_, factor) = units.find(|(unit, _)| *unit == &after[..unit_end])?;
            total = total.checked_add(number.checked_mul(*factor)?)?;
            rest = &after[unit_end..];
        }
        (!text.is_empty()).then_some(total)
    }
}

impl FromStr for HumanDuration {
    type Err = InvalidHumanDuration;

    fn from_str(text: &str) -> Result<Self, InvalidHumanDuration> {
        Self::parse(text)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| InvalidHumanDuration { text: text.to_owned() })
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = InvalidHumanDuration;

    fn try_from(text: String) -> Result<Self, InvalidHumanDuration> {
        text.parse()
    }
}

impl From<HumanDuration> for String {
    fn from(duration: HumanDuration) -> Self {
        duration.to_string()
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return formatter.write_str("0s");
        }
        for (unit, factor) in UNITS {
            if rest >= factor {
                write!(formatter, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

impl schemars::JsonSchema for HumanDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HumanDuration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
            "examples": ["250ms", "10s", "1m30s"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::HumanDuration;
    use std::time::Duration;

    #[test]
    fn what_is_printed_is_read_back() {
        for millis in [0, 1, 999, 1_000, 61_001, 90_061_001, 3_600_000] {
            let duration = HumanDuration::new(Duration::from_millis(millis));
            assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for bad in ["", "10", "s", "1s1m", "1 s", "-1s", "1.5s", "1s1s", "99999999999999999999d", "9999999999999d"] {
            assert!(bad.parse::<HumanDuration>().is_err(), "{bad} was accepted");
        }
    }
}
