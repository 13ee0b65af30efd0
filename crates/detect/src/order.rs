//! Puts bursts and closes in order of time. Knows no sessions.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

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
/// The order does not depend on the order in which different flows' events come in.
#[derive(Debug, Default)]
pub(crate) struct Reorder {
    heap: BinaryHeap<Reverse<Pending>>,
    arrivals: u64,
}

impl Reorder {
    /// Takes an event in.
    pub(crate) fn push(&mut self, at: Timestamp, flow: u64, what: What) {
        self.arrivals = self.arrivals.wrapping_add(1);
        self.heap.push(Reverse(Pending { at, flow, what, arrival: self.arrivals }));
    }

    /// The earliest event, if it is not after `until`.
    pub(crate) fn pop(&mut self, until: Timestamp) -> Option<Pending> {
        if self.next_at()? > until {
            return None;
        }
        self.heap.pop().map(|Reverse(pending)| pending)
    }

    /// Time of the earliest event.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse(pending)| pending.at)
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl Pending {
    /// A close counts after the bursts of its time.
    fn key(&self) -> (Timestamp, bool, u64, u64) {
        (self.at, matches!(self.what, What::Closed), self.flow, self.arrival)
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}
