//! Packet time. Knows nothing of the machine's clock.

use std::fmt;
use std::time::Duration;

/// A packet's time stamp: nanoseconds since 1970-01-01 UTC.
///
/// Two packets can arrive out of order, so differences saturate at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The epoch, and the earliest time that can be said.
    pub const ZERO: Self = Self(0);
    /// The latest time that can be said (year 2554).
    pub const MAX: Self = Self(u64::MAX);

    /// A time stamp from nanoseconds since the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A time stamp from whole seconds and nanoseconds, saturating at [`Timestamp::MAX`].
    #[must_use]
    pub const fn from_parts(seconds: u64, nanos: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the epoch, as a float (exact to about 0.2 µs today).
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time plus `duration`, saturating at [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// This time minus `duration`, saturating at [`Timestamp::ZERO`].
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

impl fmt::Display for Timestamp {
    /// Writes seconds with nine decimals, as tcpdump's `-tt --nano` does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_saturate_when_packets_are_out_of_order() {
        let early = Timestamp::from_parts(10, 5);
        let late = Timestamp::from_parts(12, 0);
        assert_eq!(late.saturating_since(early), Duration::from_nanos(1_999_999_995));
        assert_eq!(early.saturating_since(late), Duration::ZERO);
    }

    #[test]
    fn absurd_seconds_saturate() {
        assert_eq!(Timestamp::from_parts(u64::MAX, 1), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO.saturating_sub(Duration::MAX), Timestamp::ZERO);
    }

    #[test]
    fn prints_seconds_and_nanoseconds() {
        assert_eq!(Timestamp::from_parts(7, 42).to_string(), "7.000000042");
    }
}
