//! The `Date` of responses, made once a second.

use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// As IMF-fixdate (RFC 9110 section 5.6.7).
const LENGTH: usize = 29;

/// A date and the second for which it stands.
struct Cached {
    second: u64,
    text: [u8; LENGTH],
}

/// Appends the date of now.
pub(crate) fn append(output: &mut Vec<u8>) {
    thread_local! {
        static CACHED: RefCell<Cached> = const { RefCell::new(Cached { second: 0, text: [b' '; LENGTH] }) };
    }
    let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    CACHED.with_borrow_mut(|cached| {
        if cached.second != second {
            let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
            // It has exactly this length.
            let _ = write!(&mut cached.text[..], "{date}");
            cached.second = second;
        }
        output.extend_from_slice(&cached.text);
    });
}
