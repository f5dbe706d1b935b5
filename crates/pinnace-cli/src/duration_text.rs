//! Durations as people read them in a table: two units at most, no more digits than matter.

use std::time::Duration;

/// How long something took: `240 ms`, `1.2 s`, `12 s`, `1m12s`.
pub(crate) fn took(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ ..1000 => format!("{millis} ms"),
        // Half a step up, as tenths are rounded.
        millis @ ..9950 => format!("{}.{} s", (millis + 50) / 1000, (millis + 50) % 1000 / 100),
        millis @ ..59_500 => format!("{} s", (millis + 500) / 1000),
        _ => lasted(duration),
    }
}

/// How long something has lasted: `42s`, `3m12s`, `2h05m`, `3d04h`.
pub(crate) fn lasted(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds @ ..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        seconds => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{lasted, took};

    #[test]
    fn what_took_long_has_fewer_digits() {
        let cases = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1.0 s"),
            (1249, "1.2 s"),
            (1250, "1.3 s"),
            (9949, "9.9 s"),
            (9950, "10 s"),
            (59_499, "59 s"),
            (59_500, "59s"),
            (72_000, "1m12s"),
        ];
        for (millis, text) in cases {
            assert_eq!(took(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn what_lasts_has_two_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m00s"), (3600, "1h00m"), (90_061, "1d01h"), (8_640_000, "100d00h")]
        {
            assert_eq!(lasted(Duration::from_secs(seconds)), text);
        }
    }
}
