//! The machine's clock: the one place where it is read. Everything below takes time as a value.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dwell_packet::Timestamp;

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "a live sensor lives in the machine's time")]
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::ZERO.saturating_add(since)
}

/// A moment that only serves to measure how long something took.
#[expect(clippy::disallowed_methods, reason = "how long work takes is measured, never judged")]
pub(crate) fn moment() -> Instant {
    Instant::now()
}
