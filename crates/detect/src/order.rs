//! Puts bursts and closes in order of time. Knows no sessions.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

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
/// several times as much. The few that come in when their second is being handed out already wait
/// in a heap of their own: put in their place among thousands, each would move half of those.
#[derive(Debug, Default)]
pub(crate) struct Reorder {
    /// Unsorted events of each second to come.
    seconds: BTreeMap<u64, Vec<Pending>>,
    /// Events whose turn it is, the next one last.
    due: Vec<Pending>,
    /// Events of that second and before it that came in later.
    late: BinaryHeap<Reverse<Late>>,
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
        let handing_out = !self.due.is_empty() || !self.late.is_empty();
        if handing_out && second <= self.due_second {
            self.late.push(Reverse(Late(pending)));
        } else {
            self.seconds.entry(second).or_default().push(pending);
        }
    }

    /// The earliest event, if it is not after `until`.
    pub(crate) fn pop(&mut self, until: Timestamp) -> Option<Pending> {
        if self.due.is_empty() && self.late.is_empty() {
            let &second = self.seconds.first_key_value()?.0;
            if second > second_of(until) {
                return None;
            }
            let (_, mut events) = self.seconds.pop_first()?;
            events.sort_unstable_by_key(|event| Reverse(event.key()));
            (self.due, self.due_second) = (events, second);
        }
        if self.next_due()?.at > until {
            return None;
        }
        self.waiting = self.waiting.saturating_sub(1);
        if self.late_is_next() { self.late.pop().map(|late| late.0.0) } else { self.due.pop() }
    }

    /// The next event of the second that is being handed out.
    fn next_due(&self) -> Option<&Pending> {
        if self.late_is_next() { self.late.peek().map(|late| &late.0.0) } else { self.due.last() }
    }

    fn late_is_next(&self) -> bool {
        match (self.late.peek(), self.due.last()) {
            (Some(Reverse(late)), Some(due)) => late.0.key() < due.key(),
            (late, _) => late.is_some(),
        }
    }

    /// Time of the earliest event.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        match self.next_due() {
            Some(next) => Some(next.at),
            None => self.seconds.first_key_value()?.1.iter().map(|event| event.at).min(),
        }
    }

    /// Everything that waits, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pending> {
        let late = self.late.iter().map(|late| &late.0.0);
        self.seconds.values().flatten().chain(&self.due).chain(late)
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

/// An event in the heap, by its key.
#[derive(Clone, Copy, Debug)]
struct Late(Pending);

impl Ord for Late {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.key().cmp(&other.0.key())
    }
}

impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Late {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for Late {}

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
