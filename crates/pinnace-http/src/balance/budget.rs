//! How much may be sent twice: a share of what is sent at all, so that a service in trouble is not drowned by its callers'
//! second attempts.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What one second attempt costs; all else is in thousandths of it.
const ATTEMPT: u32 = 1_000;
/// What each request adds: a fifth of them may be sent again.
const SHARE: u32 = ATTEMPT / 5;
/// What each millisecond adds, for callers that ask seldom: ten attempts a second.
const PER_MILLISECOND: u32 = ATTEMPT * 10 / 1_000;
/// What can be saved up.
const MOST: u32 = ATTEMPT * 100;

/// A budget of second attempts; one for each service. Begins full.
#[derive(Debug)]
pub struct RetryBudget(Mutex<Account>);

#[derive(Debug)]
struct Account {
    saved: u32,
    filled: Instant,
}

impl RetryBudget {
    /// A full one.
    pub fn new() -> Self {
        Self(Mutex::new(Account { saved: MOST, filled: Instant::now() }))
    }

    /// Counts a request that is sent for the first time.
    pub fn deposit(&self) {
        let mut account = self.0.lock();
        account.saved = (account.saved + SHARE).min(MOST);
    }

    /// Whether a request may be sent again; counts it if so.
    pub fn withdraw(&self) -> bool {
        let mut account = self.0.lock();
        let now = Instant::now();
        let millis = now.duration_since(account.filled).as_millis();
        let grown = u32::try_from(millis).unwrap_or(u32::MAX).saturating_mul(PER_MILLISECOND);
        account.saved = account.saved.saturating_add(grown).min(MOST);
        account.filled += Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        let Some(rest) = account.saved.checked_sub(ATTEMPT) else { return false };
        account.saved = rest;
        true
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RetryBudget;

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_the_requests_and_ten_a_second_may_be_sent_again() {
        let budget = RetryBudget::new();
        let spend = || (0..1_000).take_while(|_| budget.withdraw()).count();
        assert_eq!(spend(), 100, "it begins full");
        (0..50).for_each(|_| budget.deposit());
        assert_eq!(spend(), 10);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(spend(), 5);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(spend(), 100, "it is never more than full");
    }
}
