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
