//! Reading JSON as Consul does: names of members without their case and with or without underscores; durations as Go
//! writes them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::query::Refused;

/// The members of an object, each taken at most once.
#[derive(Debug)]
pub(super) struct Fields(BTreeMap<String, Value>);

impl Fields {
    /// Reads a body that has to be an object.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refused> {
        let value = serde_json::from_slice(body).map_err(|error| refused(&error.to_string()))?;
        Self::of(value)
    }

    pub(super) fn of(value: Value) -> Result<Self, Refused> {
        match value {
            Value::Object(members) => {
                let members = members.into_iter().filter(|(_, value)| !value.is_null());
                Ok(Self(members.map(|(name, value)| (canonical(&name), value)).collect()))
            }
            _ => Err(refused("an object is expected")),
        }
    }

    /// A text; an empty one counts as absent.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refused> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(_) => Err(refused(&format!("`{name}` has to be a text"))),
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, Refused> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(value) => {
                value.as_u64().map(Some).ok_or_else(|| refused(&format!("`{name}` has to be a number of 0 or more")))
            }
        }
    }

    pub(super) fn port(&mut self, name: &str) -> Result<u16, Refused> {
        let port = self.number(name)?.unwrap_or(0);
        u16::try_from(port).map_err(|_| refused(&format!("`{name}` has to be a port, at most 65535")))
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Refused> {
        match self.0.remove(name) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| refused(&format!("`{name}` has to be true or false"))),
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Refused> {
        self.decoded(name, "has to be a list of texts")
    }

    pub(super) fn text_map(&mut self, name: &str) -> Result<BTreeMap<String, String>, Refused> {
        self.decoded(name, "has to be an object of texts")
    }

    pub(super) fn texts_map(&mut self, name: &str) -> Result<BTreeMap<String, Vec<String>>, Refused> {
        self.decoded(name, "has to be an object of lists of texts")
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, Refused> {
        self.0.remove(name).map(Self::of).transpose()
    }

    pub(super) fn objects(&mut self, name: &str) -> Result<Vec<Self>, Refused> {
        match self.0.remove(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values.into_iter().filter(|value| !value.is_null()).map(Self::of).collect(),
            Some(_) => Err(refused(&format!("`{name}` has to be a list of objects"))),
        }
    }

    /// The members of a member, with their names as they are.
    pub(super) fn members(&mut self, name: &str) -> Result<Vec<(String, Value)>, Refused> {
        match self.0.remove(name) {
            None => Ok(Vec::new()),
            Some(Value::Object(members)) => Ok(members.into_iter().collect()),
            Some(_) => Err(refused(&format!("`{name}` has to be an object"))),
        }
    }

    /// A duration: a text as Go writes it, or nanoseconds. Nothing of it counts as absent.
    pub(super) fn duration(&mut self, name: &str) -> Result<Option<Duration>, Refused> {
        let duration = match self.0.remove(name) {
            None => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) => {
                Some(parse_duration(&text).ok_or_else(|| refused(&format!("`{name}`: invalid duration \"{text}\"")))?)
            }
            Some(value) => {
                let nanos = value.as_u64().ok_or_else(|| refused(&format!("`{name}` has to be a duration")))?;
                Some(Duration::from_nanos(nanos))
            }
        };
        Ok(duration.filter(|duration| !duration.is_zero()))
    }

    /// Whether a member says something: an empty text, list or object says nothing.
    pub(super) fn says(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| match value {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Number(_) => true,
            Value::String(text) => !text.is_empty(),
            Value::Array(values) => !values.is_empty(),
            Value::Object(members) => !members.is_empty(),
        })
    }

    fn decoded<T: Default + serde::de::DeserializeOwned>(&mut self, name: &str, what: &str) -> Result<T, Refused> {
        match self.0.remove(name) {
            None => Ok(T::default()),
            Some(value) => serde_json::from_value(value).map_err(|_| refused(&format!("`{name}` {what}"))),
        }
    }
}

/// Reads a duration as Go writes it: `1h30m`, `1.5s`, `100ms`. A bare number is refused, but `0`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !(character.is_ascii_digit() || character == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..].find(|character: char| character.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        let factor = match &rest[end..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number * factor;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// A duration as Go writes it.
pub(super) fn go_duration(duration: Duration) -> String {
    let (millis, seconds) = (duration.subsec_millis(), duration.as_secs());
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) if millis > 0 => format!("{millis}ms"),
        (0, 0, _) if millis > 0 => format!("{}s", duration.as_secs_f64()),
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn canonical(name: &str) -> String {
    name.chars().filter(|character| *character != '_').flat_map(char::to_lowercase).collect()
}

fn refused(problem: &str) -> Refused {
    Refused::bad(format!("Request decode error: {problem}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Fields, go_duration, parse_duration};

    #[test]
    fn durations_are_go_s() {
        for (text, millis) in [("10s", 10_000), ("1m30s", 90_000), ("100ms", 100), ("1.5h", 5_400_000), ("0", 0)] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1x", "1s ", "..s", "1e400s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for text in ["10s", "250ms", "1.5s", "1m30s", "2h0m0s"] {
            assert_eq!(go_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn members_are_found_however_they_are_spelled() {
        let mut fields = Fields::parse(br#"{"Service_ID":"a","TTL":"10s","port":1,"Meta":null,"tags":[]}"#).unwrap();
        assert_eq!(fields.text("serviceid").unwrap().as_deref(), Some("a"));
        assert_eq!(fields.duration("ttl").unwrap(), Some(Duration::from_secs(10)));
        assert_eq!((fields.port("port").unwrap(), fields.says("meta"), fields.says("tags")), (1, false, false));
        assert!(Fields::parse(b"[]").is_err() && Fields::parse(b"{").is_err());
        assert!(Fields::parse(br#"{"Port":70000}"#).unwrap().port("port").is_err());
    }
}
