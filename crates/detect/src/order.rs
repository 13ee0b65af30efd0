//! Puts bursts and closes in order of time. Knows no sessions.

use std::collections::BTreeMap;

use dwell_packet::Timestamp;

use crate::Burst;

/// Something that happened to a flow and waits for its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) at: Timestamp,
    pub(crate) flow: u64,
    pub(crate) what: What,
    /// Tells events of one flow and time apart by arrival.
    arrival: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Burst(Burst),
    Closed,
}

/// Events of all flows, handed out by time, then flow, then arrival.
///
/// The order does not depend on the order in which different flows' events come in. Events are
/// gathered by second and sorted when their second's turn comes: a heap of all of them costs
/// several times as much.
#[derive(Debug, Default)]
pub(crate) struct Reorder {
    /// Unsorted events of each second to come.
    seconds: BTreeMap<u64, Vec<Pending>>,
    /// Events whose turn it is, the next one last.
    due: Vec<Pending>,
    due_second: u64,
    waiting: usize,
    arrivals: u64,
}

impl Reorder {
    /// Takes an event in.
    pub(crate) fn push(&mut self, at: Timestamp, flow: u64, what: What) {
        self.arrivals = self.arrivals.wrapping_add(1);
        let pending = Pending { at, flow, what, arrival: self.arrivals };
        self.waiting = self.waiting.saturating_add(1);
        let second = second_of(at);
        if !self.due.is_empty() && second <= self.due_second {
            let place = self.due.partition_point(|other| other.key() > pending.key());
            self.due.insert(place, pending);
        } else {
            self.seconds.entry(second).or_default().push(pending);
        }
    }

    /// The earliest event, if it is not after `until`.
    pub(crate) fn pop(&mut self, until: Timestamp) -> Option<Pending> {
        if self.due.is_empty() {
            let &second = self.seconds.first_key_value()?.0;
            if second > second_of(until) {
                return None;
            }
            let (_, mut events) = self.seconds.pop_first()?;
            events.sort_unstable_by_key(|event| std::cmp::Reverse(event.key()));
            (self.due, self.due_second) = (events, second);
        }
        if self.due.last()?.at > until {
            return None;
        }
        self.waiting = self.waiting.saturating_sub(1);
        self.due.pop()
    }

    /// Time of the earliest event.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        match self.due.last() {
            Some(next) => Some(next.at),
            None => self.seconds.first_key_value()?.1.iter().map(|event| event.at).min(),
        }
    }

    /// Everything that waits, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.seconds.values().flatten().chain(&self.due)
    }

    /// How many events wait.
    pub(crate) const fn len(&self) -> usize {
        self.waiting
    }
}

impl Pending {
    /// A close counts after the bursts of its time.
    fn key(&self) -> (Timestamp, bool, u64, u64) {
        (self.at, matches!(self.what, What::Closed), self.flow, self.arrival)
    }
}

fn second_of(at: Timestamp) -> u64 {
    at.as_nanos() / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn events_come_out_by_time_however_they_came_in(
            times in prop::collection::vec(0_u64..20_000, 1..300), window in 0_u64..5000,
        ) {
            let mut order = Reorder::default();
            let mut out = Vec::new();
            let mut now = 0;
            for (flow, &at) in times.iter().enumerate() {
                let at = at.max(now);
                let flow = u64::try_from(flow).unwrap();
                order.push(Timestamp::from_nanos(at * 1_000_000), flow, What::Closed);
                now = now.max(at.saturating_sub(window));
                let until = Timestamp::from_nanos(now * 1_000_000);
                out.extend(std::iter::from_fn(|| order.pop(until)).map(|event| event.at));
            }
            out.extend(std::iter::from_fn(|| order.pop(Timestamp::MAX)).map(|event| event.at));
            prop_assert_eq!(out.len(), times.len());
            prop_assert_eq!(order.len(), 0);
            prop_assert!(out.is_sorted());
        }
    }
}
