//! How much a worker may do before another takes its place. Arithmetic alone; `pool/renew` acts on it.

use std::fmt;
use std::time::Duration;

use fs_err as fs;
use pinnace_types::{ByteSize, HumanDuration};

/// How long a worker lives that is above the memory ceiling as it starts.
const BORN_LARGE: Duration = Duration::from_mins(10);

/// What a worker may do. Default: as much as it likes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LifeLimits {
    /// Requests that it answers; management paths do not count.
    pub max_requests: Option<u64>,
    /// Up to so many more, drawn for each worker, so that they do not all reach it at once.
    pub max_requests_jitter: u64,
    /// Memory that is resident (`VmRSS`), of its own process.
    pub max_memory: Option<ByteSize>,
    /// How long it answers.
    pub max_lifetime: Option<Duration>,
    /// Up to so much longer, drawn for each worker.
    pub max_lifetime_jitter: Duration,
}

/// What one worker may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    requests: Option<u64>,
    memory: Option<u64>,
    lifetime: Option<Duration>,
    born_large: bool,
}

/// What a worker has done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) answered: u64,
    /// Since it answers.
    pub(super) life: Duration,
    /// Bytes, where they were looked at and could be read.
    pub(super) resident: Option<u64>,
}

/// What a worker has had enough of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Spent {
    Requests(u64),
    Memory { resident: u64, ceiling: u64 },
    Lifetime(Duration),
}

impl LifeLimits {
    /// Whether there is nothing to look at.
    pub(super) const fn are_none(&self) -> bool {
        self.max_requests.is_none() && self.max_memory.is_none() && self.max_lifetime.is_none()
    }
}

impl Quota {
    /// What a worker may do, with its share of the jitter: `random` from 0 to 1.
    pub(super) fn drawn(limits: &LifeLimits, random: f64) -> Self {
        let random = random.clamp(0.0, 1.0);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number of requests need not be exact"
        )]
        let more = (limits.max_requests_jitter as f64 * random).round() as u64;
        Self {
            requests: limits.max_requests.map(|requests| requests.saturating_add(more)),
            memory: limits.max_memory.map(ByteSize::bytes),
            lifetime: limits.max_lifetime.map(|lifetime| lifetime + limits.max_lifetime_jitter.mul_f64(random)),
            born_large: false,
        }
    }

    /// Notes its size as it begins to answer.
    pub(super) fn born_with(&mut self, resident: u64) {
        self.born_large = self.memory.is_some_and(|ceiling| resident >= ceiling);
    }

    /// What it has had enough of, if anything.
    pub(super) fn spent(&self, seen: &Seen) -> Option<Spent> {
        if self.requests.is_some_and(|most| seen.answered >= most) {
            return Some(Spent::Requests(seen.answered));
        }
        if let (Some(ceiling), Some(resident)) = (self.memory, seen.resident)
            && resident >= ceiling
            && (!self.born_large || seen.life >= BORN_LARGE)
        {
            return Some(Spent::Memory { resident, ceiling });
        }
        self.lifetime.filter(|lifetime| seen.life >= *lifetime).map(|_| Spent::Lifetime(seen.life))
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(answered) => write!(formatter, "it has answered {answered} requests"),
            Self::Memory { resident, ceiling } => {
                let (resident, ceiling) = (mebibytes(*resident), ByteSize::new(*ceiling));
                write!(formatter, "it has {resident} of memory, {ceiling} is its ceiling")
            }
            Self::Lifetime(life) => {
                let life = Duration::from_millis(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
                write!(formatter, "it has answered for {}", HumanDuration::new(life))
            }
        }
    }
}

/// Memory that is resident, in bytes; nothing of a process that is gone.
pub(super) fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// In whole MiB, as people compare sizes.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{}MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pinnace_types::ByteSize;

    use super::{LifeLimits, Quota, Seen, Spent, resident};

    const NOTHING: Seen = Seen { answered: 0, life: Duration::ZERO, resident: None };

    #[test]
    fn each_limit_is_reached_by_itself_and_by_nothing_else() {
        let limits = LifeLimits {
            max_requests: Some(10),
            max_memory: Some(ByteSize::new(100 << 20)),
            max_lifetime: Some(Duration::from_mins(1)),
            ..LifeLimits::default()
        };
        let quota = Quota::drawn(&limits, 1.0);
        assert_eq!(quota.spent(&NOTHING), None);
        assert_eq!(
            quota.spent(&Seen { answered: 9, life: Duration::from_secs(59), resident: Some((100 << 20) - 1) }),
            None
        );
        assert_eq!(quota.spent(&Seen { answered: 10, ..NOTHING }), Some(Spent::Requests(10)));
        let spent = quota.spent(&Seen { resident: Some(100 << 20), ..NOTHING });
        assert_eq!(
            spent.map(|spent| spent.to_string()).as_deref(),
            Some("it has 100MiB of memory, 100MiB is its ceiling")
        );
        let spent = quota.spent(&Seen { life: Duration::from_mins(1), ..NOTHING });
        assert_eq!(spent, Some(Spent::Lifetime(Duration::from_mins(1))));
        let unlimited = Quota::drawn(&LifeLimits::default(), 1.0);
        assert_eq!(unlimited.spent(&Seen { answered: u64::MAX, life: Duration::MAX, resident: Some(u64::MAX) }), None);
    }

    #[test]
    fn jitter_only_adds() {
        let limits = LifeLimits {
            max_requests: Some(1_000),
            max_requests_jitter: 100,
            max_lifetime: Some(Duration::from_mins(1)),
            max_lifetime_jitter: Duration::from_secs(30),
            ..LifeLimits::default()
        };
        for (random, requests, seconds) in [(0.0, 1_000, 60), (0.5, 1_050, 75), (1.0, 1_100, 90), (7.0, 1_100, 90)] {
            let quota = Quota::drawn(&limits, random);
            assert_eq!(quota.requests, Some(requests));
            assert_eq!(quota.lifetime, Some(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn one_that_is_born_too_large_is_left_in_peace_for_a_while() {
        let limits = LifeLimits { max_memory: Some(ByteSize::new(1 << 20)), ..LifeLimits::default() };
        let mut quota = Quota::drawn(&limits, 0.0);
        quota.born_with(2 << 20);
        let seen = |minutes| Seen { answered: 0, life: Duration::from_mins(minutes), resident: Some(3 << 20) };
        assert_eq!(quota.spent(&seen(9)), None);
        assert!(matches!(quota.spent(&seen(10)), Some(Spent::Memory { .. })));
    }

    #[test]
    fn a_process_knows_its_size() {
        assert!(resident(std::process::id()).unwrap() > 1 << 20);
        assert_eq!(resident(u32::MAX), None);
    }
}
