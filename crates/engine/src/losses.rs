//! What went wrong with the capture as a whole, and when: packets that the kernel dropped, steps of
//! its clock. A flow that was open meanwhile may lack packets or have a gap that is none.

use std::collections::VecDeque;

use dwell_packet::Timestamp;

/// Moments kept; when there are more, the oldest two become one, which may then count for a flow
/// that began between them.
const MAX_MOMENTS: usize = 4096;

/// Losses of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Packets that the kernel or the network card dropped, on all interfaces together.
    pub dropped_packets: u64,
    /// Steps ahead of the capture's clock by more than an hour.
    pub clock_steps: u64,
}

/// Losses by time.
#[derive(Debug, Default)]
pub(crate) struct LossLog {
    /// When there were losses, with how many there had been before.
    moments: VecDeque<(Timestamp, Losses)>,
    total: Losses,
}

impl LossLog {
    /// Notes packets that were dropped up to `now`.
    pub(crate) fn note_drops(&mut self, now: Timestamp, packets: u64) {
        if packets > 0 {
            self.begin(now);
            self.total.dropped_packets = self.total.dropped_packets.saturating_add(packets);
        }
    }

    /// Notes how many steps the clock made up to `now` since the start.
    pub(crate) fn note_clock(&mut self, now: Timestamp, steps: u64) {
        if steps > self.total.clock_steps {
            self.begin(now);
            self.total.clock_steps = steps;
        }
    }

    /// What was lost after `first`.
    pub(crate) fn since(&self, first: Timestamp) -> Losses {
        let after = self.moments.partition_point(|(at, _)| *at <= first);
        let Some((_, before)) = self.moments.get(after) else { return Losses::default() };
        Losses {
            dropped_packets: self.total.dropped_packets.saturating_sub(before.dropped_packets),
            clock_steps: self.total.clock_steps.saturating_sub(before.clock_steps),
        }
    }

    fn begin(&mut self, now: Timestamp) {
        if self.moments.back().is_some_and(|(at, _)| *at >= now) {
            return;
        }
        if self.moments.len() >= MAX_MOMENTS {
            // The second takes over what the first had before it.
            let first = self.moments.pop_front();
            if let (Some((_, before)), Some((_, second))) = (first, self.moments.front_mut()) {
                *second = before;
            }
        }
        self.moments.push_back((now, self.total));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_parts(second, 0)
    }

    #[test]
    fn a_flow_is_told_what_was_lost_since_it_began() {
        let mut log = LossLog::default();
        log.note_drops(at(10), 5);
        log.note_drops(at(20), 7);
        log.note_clock(at(20), 1);
        log.note_drops(at(30), 0);
        let since = |second| {
            let Losses { dropped_packets, clock_steps } = log.since(at(second));
            (dropped_packets, clock_steps)
        };
        assert_eq!(since(5), (12, 1));
        assert_eq!(since(10), (7, 1));
        assert_eq!(since(19), (7, 1));
        assert_eq!(since(20), (0, 0));
    }

    #[test]
    fn it_is_bounded_and_forgets_no_packet() {
        let mut log = LossLog::default();
        for second in 1..=10_000 {
            log.note_drops(at(second), 1);
        }
        assert_eq!(log.moments.len(), MAX_MOMENTS);
        assert_eq!(log.since(Timestamp::ZERO).dropped_packets, 10_000);
        assert_eq!(log.since(at(9_990)).dropped_packets, 10);
    }
}
