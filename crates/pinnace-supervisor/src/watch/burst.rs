//! When a change is told: after a moment of quiet, so that a saved file or a checked-out branch is one change; and not
//! much later while there is no quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pinnace_types::ServiceName;
use tokio::time::Instant;

/// How long nothing may change until it is told.
pub(super) const QUIET: Duration = Duration::from_millis(150);
/// How long it waits for that.
pub(super) const LONGEST: Duration = Duration::from_secs(1);
/// Files that are named. Where more have changed none is: whoever looks for one among them must not miss it.
const MOST_FILES: usize = 16;

/// The changes that nobody was told of.
#[derive(Debug, Default)]
pub(super) struct Bursts(BTreeMap<ServiceName, Burst>);

#[derive(Debug)]
struct Burst {
    /// One more than are named says that there are too many.
    files: BTreeSet<PathBuf>,
    first: Instant,
    last: Instant,
}

impl Bursts {
    /// Something of a service has changed.
    pub(super) fn add(&mut self, service: &ServiceName, file: Option<&Path>, now: Instant) {
        let new = || Burst { files: BTreeSet::new(), first: now, last: now };
        let burst = self.0.entry(service.clone()).or_insert_with(new);
        burst.last = now;
        if burst.files.len() <= MOST_FILES {
            burst.files.extend(file.map(Path::to_owned));
        }
    }

    /// When the next is to be told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().map(Burst::due).min()
    }

    /// Those that are to be told now.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(ServiceName, Vec<PathBuf>)> {
        let due: Vec<ServiceName> =
            self.0.iter().filter(|(_, burst)| burst.due() <= now).map(|(service, _)| service.clone()).collect();
        let taken = due.into_iter().filter_map(|service| self.0.remove_entry(&service));
        taken.map(|(service, burst)| (service, burst.named())).collect()
    }
}

impl Burst {
    fn due(&self) -> Instant {
        (self.last + QUIET).min(self.first + LONGEST)
    }

    fn named(self) -> Vec<PathBuf> {
        if self.files.len() > MOST_FILES { Vec::new() } else { self.files.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{Bursts, LONGEST, MOST_FILES, QUIET};
    use pinnace_types::ServiceName;
    use tokio::time::Instant;

    #[test]
    fn a_burst_is_told_once_after_a_moment_of_quiet_and_names_its_files_unless_they_are_many() {
        let (orders, start) = (ServiceName::try_new("orders").unwrap(), Instant::now());
        let mut bursts = Bursts::default();
        assert_eq!(bursts.due(), None);
        for (files, named) in [(1, 1), (MOST_FILES, MOST_FILES), (MOST_FILES + 1, 0), (500, 0)] {
            for number in 0..files {
                let file = format!("{number}.py");
                bursts.add(&orders, Some(Path::new(&file)), start + Duration::from_millis(number as u64));
            }
            let quiet = start + Duration::from_millis(files as u64 - 1) + QUIET;
            assert_eq!(bursts.due(), Some(quiet));
            assert!(bursts.take(quiet - Duration::from_millis(1)).is_empty());
            let told = bursts.take(quiet);
            assert_eq!((told.len(), told[0].1.len()), (1, named));
            assert!(bursts.take(quiet).is_empty());
        }
    }

    #[test]
    fn what_never_rests_is_told_after_a_second() {
        let (orders, start) = (ServiceName::try_new("orders").unwrap(), Instant::now());
        let mut bursts = Bursts::default();
        for step in 0..20 {
            bursts.add(&orders, None, start + step * Duration::from_millis(100));
        }
        assert_eq!(bursts.due(), Some(start + LONGEST));
    }

    #[test]
    fn services_wait_for_their_own_quiet_alone() {
        let start = Instant::now();
        let mut bursts = Bursts::default();
        bursts.add(&ServiceName::try_new("a").unwrap(), None, start);
        bursts.add(&ServiceName::try_new("b").unwrap(), None, start + Duration::from_millis(100));
        let told = bursts.take(start + QUIET);
        assert_eq!(told.iter().map(|(service, _)| service.as_str()).collect::<Vec<_>>(), ["a"]);
        assert!(bursts.due().is_some());
    }
}
