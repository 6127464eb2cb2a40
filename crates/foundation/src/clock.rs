//! Timestamps in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the present time as `2026-11-21T20:23:48.095360+00:00`. The first ten characters are the date.
#[must_use]
pub fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    iso(since.as_secs(), since.subsec_micros())
}

/// Formats a time in UTC, to the microsecond, in the one form that every version of Python's `fromisoformat`
/// reads.
fn iso(seconds: u64, micros: u32) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+00:00")
}

/// Converts days since 1970-01-01 to year, month and day, by Howard Hinnant's algorithm `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::iso;

    #[test]
    fn known_instants() {
        assert_eq!(iso(0, 0), "1970-01-01T00:00:00.000000+00:00");
        assert_eq!(iso(951_782_400, 5), "2000-02-29T00:00:00.000005+00:00");
        assert_eq!(iso(1_795_292_628, 95_360), "2026-11-21T20:23:48.095360+00:00");
        assert_eq!(iso(4_102_444_799, 999_999), "2099-12-31T23:59:59.999999+00:00");
    }
}
