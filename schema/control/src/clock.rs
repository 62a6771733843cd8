//! The node's clock, which tests can mock (Core's `GetTime` and `SetMockTime`).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

static MOCK: AtomicI64 = AtomicI64::new(0);

/// Seconds since 1970: the mocked time if one is set, else the system's.
#[must_use]
pub fn now() -> i64 {
    match mock_time() {
        0 => system_micros() / 1_000_000,
        mocked => mocked,
    }
}

/// Microseconds since 1970, mocked like [`now`].
#[must_use]
pub fn now_micros() -> i64 {
    match mock_time() {
        0 => system_micros(),
        mocked => mocked.saturating_mul(1_000_000),
    }
}

/// Microseconds since 1970 by the system's clock, never mocked: for log lines and cookies, not for rules.
#[must_use]
pub fn system_micros() -> i64 {
    // A clock before 1970 counts as 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
}

/// The mocked time in seconds, 0 if none.
#[must_use]
pub fn mock_time() -> i64 {
    MOCK.load(Ordering::Relaxed)
}

/// Mocks the time (seconds since 1970); 0 returns to the system's clock.
pub fn set_mock_time(seconds: i64) {
    MOCK.store(seconds, Ordering::Relaxed);
}

/// Year, month and day of the Gregorian calendar from days since 1970 (Howard Hinnant, `civil_from_days`). It does not allocate.
#[must_use]
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    // Count from 1 March of year 0, so that leap days come last in their year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
