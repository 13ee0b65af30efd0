//! What is kept of a flow once it carried payload, or met trouble: most of a flood has neither.

use dwell_packet::{Direction, PerDirection, Timestamp};

use crate::burst::Burst;
use crate::tcp::{Arrival, Trouble};
use crate::timing::Timing;

/// Arrivals that are kept as they are, before statistics take their place: a hello and its answer.
const FEW: usize = 7;

/// Payload counters, bursts and timing of one flow. Two cache lines.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Payload {
    /// New payload bytes.
    bytes: PerDirection<u64>,
    pub(crate) trouble: Option<Box<Trouble>>,
    pub(crate) burst: Option<Burst>,
    arrivals: Arrivals,
}

/// When payload arrived.
#[derive(Debug)]
enum Arrivals {
    /// Nanoseconds since the flow's first packet, twice, plus one for the reverse direction.
    Few { count: u8, times: [u64; FEW] },
    /// Statistics.
    Many(Box<Timing>),
}

impl Default for Arrivals {
    fn default() -> Self {
        Self::Few { count: 0, times: [0; FEW] }
    }
}

impl Payload {
    /// New payload bytes of `direction`.
    #[must_use]
    pub const fn bytes(&self, direction: Direction) -> u64 {
        *self.bytes.of(direction)
    }

    /// Inter-arrival times of a flow that began at `first`; `None` before the first arrival.
    #[must_use]
    pub fn timing(&self, first: Timestamp) -> Option<Box<Timing>> {
        match &self.arrivals {
            Arrivals::Few { count: 0, .. } => None,
            Arrivals::Few { count, times } => {
                Some(Box::new(replay(first, times.iter().take(usize::from(*count)))))
            }
            Arrivals::Many(timing) => Some(timing.clone()),
        }
    }

    /// Counts what a packet at `ts` brought to a flow that began at `first`.
    #[inline]
    pub(crate) fn count(
        &mut self,
        first: Timestamp,
        ts: Timestamp,
        direction: Direction,
        arrival: Arrival,
    ) {
        let bytes = self.bytes.of_mut(direction);
        *bytes = bytes.saturating_add(u64::from(arrival.new_bytes()));
        if let Arrival::New { .. } = arrival {
            self.arrivals.add(first, ts, direction);
        }
    }

    /// Extends or begins a burst; gives the one that ended, and whether one was begun in a flow
    /// that had none open.
    #[inline]
    pub(crate) fn extend_burst(
        &mut self,
        ts: Timestamp,
        direction: Direction,
        bytes: u64,
    ) -> (Option<Burst>, bool) {
        if let Some(open) = &mut self.burst
            && open.extend(ts, direction, bytes)
        {
            return (None, false);
        }
        let ended = self.burst.replace(Burst::starting(ts, direction, bytes));
        (ended, ended.is_none())
    }
}

impl Arrivals {
    #[inline]
    fn add(&mut self, first: Timestamp, ts: Timestamp, direction: Direction) {
        match self {
            Self::Many(timing) => timing.payload(direction, ts),
            Self::Few { count, times } => {
                if let Some(free) = times.get_mut(usize::from(*count)) {
                    *free = packed(first, ts, direction);
                    *count += 1;
                    return;
                }
                let mut timing = Box::new(replay(first, times.iter()));
                let (direction, ts) = unpacked(first, packed(first, ts, direction));
                timing.payload(direction, ts);
                *self = Self::Many(timing);
            }
        }
    }
}

fn replay<'t>(first: Timestamp, times: impl Iterator<Item = &'t u64>) -> Timing {
    let mut timing = Timing::default();
    for &packed in times {
        let (direction, ts) = unpacked(first, packed);
        timing.payload(direction, ts);
    }
    timing
}

/// An arrival as one number. A clock that steps back behind the flow's first packet counts as
/// standing still, and 292 years are the longest flow.
fn packed(first: Timestamp, ts: Timestamp, direction: Direction) -> u64 {
    let nanos = u64::try_from(ts.saturating_since(first).as_nanos()).unwrap_or(u64::MAX);
    let reverse = u64::from(direction == Direction::Reverse);
    nanos.min(u64::MAX >> 1) << 1 | reverse
}

fn unpacked(first: Timestamp, packed: u64) -> (Direction, Timestamp) {
    let direction = if packed & 1 == 0 { Direction::Forward } else { Direction::Reverse };
    (direction, first.saturating_add(std::time::Duration::from_nanos(packed >> 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_cache_lines_hold_it() {
        assert_eq!(size_of::<Payload>(), 128);
    }

    proptest! {
        #[test]
        fn a_list_and_statistics_say_the_same(gaps in prop::collection::vec((any::<bool>(), 0u64..1 << 40), 1..20)) {
            let first = Timestamp::from_parts(1_000_000, 0);
            let (mut payload, mut timing, mut ts) = (Payload::default(), Timing::default(), first);
            for (reverse, gap) in gaps {
                let direction = if reverse { Direction::Reverse } else { Direction::Forward };
                ts = ts.saturating_add(std::time::Duration::from_nanos(gap));
                payload.count(first, ts, direction, Arrival::New { bytes: 1 });
                timing.payload(direction, ts);
                prop_assert_eq!(*payload.timing(first).unwrap(), timing);
            }
        }
    }
}
