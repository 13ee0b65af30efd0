//! Packet time of the whole capture: the latest time seen, guarded against a lone liar. Reads no
//! clock of the machine.

use std::time::Duration;

use dwell_packet::Timestamp;

/// A step ahead larger than this needs a second packet to confirm it: one frame with a damaged
/// time stamp must not expire every flow.
const MAX_STEP: Duration = Duration::from_secs(3600);

/// A step back larger than this is counted.
const MAX_BACK: Duration = Duration::from_secs(3600);

/// The capture's clock: never goes back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    now: Timestamp,
    pending: Option<Timestamp>,
    /// Steps ahead of more than an hour that were confirmed.
    pub(crate) steps_ahead: u64,
    /// Packets more than an hour behind the clock.
    pub(crate) packets_behind: u64,
}

impl Clock {
    /// Takes a packet's time stamp in; returns the clock's time.
    pub(crate) fn observe(&mut self, ts: Timestamp) -> Timestamp {
        let step = ts.saturating_since(self.now);
        if self.now == Timestamp::ZERO || step <= MAX_STEP {
            self.packets_behind += u64::from(self.now.saturating_since(ts) > MAX_BACK);
            self.now = self.now.max(ts);
            // An ordinary packet in between shows that the far one lied.
            self.pending = None;
            return self.now;
        }
        match self.pending {
            Some(pending) if distance(pending, ts) <= MAX_STEP => {
                self.steps_ahead += 1;
                self.now = ts.max(pending);
                self.pending = None;
            }
            Some(_) | None => self.pending = Some(ts),
        }
        self.now
    }

    /// The clock's time.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }
}

fn distance(a: Timestamp, b: Timestamp) -> Duration {
    a.saturating_since(b).max(b.saturating_since(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: &[u64], expected: u64) -> Clock {
        let mut clock = Clock::default();
        for &second in seconds {
            clock.observe(Timestamp::from_parts(second, 0));
        }
        assert_eq!(clock.now(), Timestamp::from_parts(expected, 0));
        clock
    }

    #[test]
    fn a_lone_packet_from_the_future_does_not_move_the_clock() {
        check(&[1000, 9_000_000, 1001, 1002], 1002);
    }

    #[test]
    fn two_packets_after_a_real_gap_do() {
        assert_eq!(check(&[1000, 90_000, 90_001, 90_002], 90_002).steps_ahead, 1);
    }

    #[test]
    fn the_clock_never_goes_back() {
        assert_eq!(check(&[10_000, 9_000, 100, 9_999], 10_000).packets_behind, 1);
    }
}
