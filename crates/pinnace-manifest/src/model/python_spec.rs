//! Which versions of Python a service runs on: the subset of PEP 440 that names releases, `>=3.11,<3.14`.

use std::fmt;
use std::str::FromStr;

/// A comma-separated list of conditions, all of which hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PythonSpec {
    text: Box<str>,
    conditions: Vec<Condition>,
}

/// A released version; what a manifest leaves out is 0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PythonVersion {
    /// 3.
    pub major: u32,
    /// 11 of 3.11.7.
    pub minor: u32,
    /// 7 of 3.11.7.
    pub patch: u32,
}

/// Why a text is no such list.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{part}` is no condition on a version: write `>=3.11`, `<3.14`, `==3.12.*`, `!=3.12.1` or `~=3.11`")]
pub struct InvalidPythonSpec {
    part: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Condition {
    operator: Operator,
    version: PythonVersion,
    /// How many numbers were written: `==3.12.*` compares two, `~=3.11` keeps one.
    numbers: usize,
    wildcard: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operator {
    AtLeast,
    AtMost,
    Above,
    Below,
    Equal,
    NotEqual,
    Compatible,
}

/// Two characters before one, so that `>=` is not read as `>`.
const OPERATORS: [(&str, Operator); 7] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("~=", Operator::Compatible),
    (">", Operator::Above),
    ("<", Operator::Below),
];

impl PythonSpec {
    /// The list as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this version will do.
    pub fn matches(&self, version: PythonVersion) -> bool {
        self.conditions.iter().all(|condition| condition.matches(version))
    }

    /// Whether some patch release of this minor version can do.
    pub fn allows_minor(&self, minor: u32) -> bool {
        (0..=99).any(|patch| self.matches(PythonVersion { major: 3, minor, patch }))
    }
}

impl Condition {
    fn matches(self, version: PythonVersion) -> bool {
        let same_start = |numbers: usize| {
            let (left, right) = (version.numbers(), self.version.numbers());
            left[..numbers] == right[..numbers]
        };
        match self.operator {
            Operator::AtLeast => version >= self.version,
            Operator::AtMost => version <= self.version,
            Operator::Above => version > self.version,
            Operator::Below => version < self.version,
            Operator::Equal if self.wildcard => same_start(self.numbers),
            Operator::Equal => version == self.version,
            Operator::NotEqual if self.wildcard => !same_start(self.numbers),
            Operator::NotEqual => version != self.version,
            Operator::Compatible => version >= self.version && same_start(self.numbers - 1),
        }
    }

    fn parse(part: &str) -> Option<Self> {
        let (text, operator) =
            OPERATORS.iter().find_map(|(text, operator)| Some((part.strip_prefix(text)?.trim(), *operator)))?;
        let (text, wildcard) = match text.strip_suffix(".*") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let mut numbers = [0; 3];
        let mut count = 0;
        for number in text.split('.') {
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            *numbers.get_mut(count)? = digits.then(|| number.parse().ok()).flatten()?;
            count += 1;
        }
        if wildcard && (!matches!(operator, Operator::Equal | Operator::NotEqual) || count == 3) {
            return None;
        }
        if operator == Operator::Compatible && count == 1 {
            return None;
        }
        let [major, minor, patch] = numbers;
        Some(Self { operator, version: PythonVersion { major, minor, patch }, numbers: count, wildcard })
    }
}

impl PythonVersion {
    const fn numbers(self) -> [u32; 3] {
        [self.major, self.minor, self.patch]
    }
}

impl FromStr for PythonSpec {
    type Err = InvalidPythonSpec;

    fn from_str(text: &str) -> Result<Self, InvalidPythonSpec> {
        let conditions = text
            .split(',')
            .map(|part| Condition::parse(part.trim()).ok_or_else(|| InvalidPythonSpec { part: part.to_owned() }))
            .collect::<Result<_, _>>()?;
        Ok(Self { text: text.into(), conditions })
    }
}

impl fmt::Display for PythonSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::{PythonSpec, PythonVersion};

    fn matches(spec: &str, minor: u32, patch: u32) -> bool {
        spec.parse::<PythonSpec>().unwrap().matches(PythonVersion { major: 3, minor, patch })
    }

    #[test]
    fn conditions_mean_what_pep_440_says() {
        assert!(matches(">=3.11", 11, 0) && matches(">=3.11", 14, 2) && !matches(">=3.11", 10, 9));
        assert!(matches(">=3.11,<3.14", 13, 9) && !matches(">=3.11, <3.14", 14, 0));
        assert!(matches("==3.12.*", 12, 7) && !matches("==3.12.*", 13, 0) && !matches("==3.12", 12, 7));
        assert!(matches("!=3.12.1", 12, 2) && !matches("!=3.12.1", 12, 1) && !matches("!=3.12.*", 12, 1));
        assert!(matches("~=3.11", 12, 0) && !matches("~=3.11.2", 12, 0) && matches("~=3.11.2", 11, 3));
        assert!(!matches(">3.11", 11, 0) && matches(">3.11", 11, 1) && matches("<=3.11", 11, 0));
    }

    #[test]
    fn a_minor_version_is_allowed_when_one_of_its_patches_is() {
        let spec: PythonSpec = ">=3.11.4,<3.13".parse().unwrap();
        let allowed: Vec<u32> = (8..=15).filter(|minor| spec.allows_minor(*minor)).collect();
        assert_eq!(allowed, [11, 12]);
    }

    #[test]
    fn what_names_no_release_is_refused() {
        for bad in ["", "3.11", ">=", ">=3.x", ">=3.11,", "=>3.11", ">=3.11.*", "~=3", ">=3.11rc1", ">=3.1.1.1", "==+3"]
        {
            assert!(bad.parse::<PythonSpec>().is_err(), "{bad:?} was accepted");
        }
    }
}
