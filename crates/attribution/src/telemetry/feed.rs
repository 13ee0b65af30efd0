//! Observations in the order of their times, from a source that is only nearly sorted. Reads
//! nothing itself.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::sync::Arc;

use dwell_packet::Timestamp;

use super::clock;
use super::observation::{Observation, When};

/// Observations that wait for packet time to reach them. Bounded: while it is full it asks for no
/// more.
#[derive(Debug, Default)]
pub struct TelemetryFeed {
    waiting: BinaryHeap<Waiting>,
    sequence: u64,
    counters: FeedCounters,
}

/// Takes an observation, with the addresses that its teller is bound to, if it is.
pub type Give<'g> = dyn FnMut(Observation, Option<&Arc<[IpAddr]>>) + 'g;

/// Whom to ask for telemetry as packet time goes on: files beside a replay.
pub trait TelemetryInput: std::fmt::Debug + Send {
    /// Gives every observation that is not after `until`; `now` is packet time.
    fn take_due(&mut self, now: Timestamp, until: Timestamp, give: &mut Give<'_>);

    /// What was read so far.
    fn counters(&self) -> FeedCounters;
}

/// What a feed counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedCounters {
    /// Lines taken.
    pub lines: u64,
    /// Lines refused, wholly or in part.
    pub malformed: u64,
    /// Observations handed on.
    pub observations: u64,
    /// Observations dropped because the receiver was behind.
    pub dropped: u64,
}

impl FeedCounters {
    /// Adds another feed's counts.
    pub fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.malformed += other.malformed;
        self.observations += other.observations;
        self.dropped += other.dropped;
    }
}

#[derive(Debug)]
struct Waiting {
    at: Timestamp,
    sequence: u64,
    observation: Observation,
}

impl TelemetryFeed {
    /// Takes an observation in; times of day are taken as of the day nearest to `now`.
    pub fn push(&mut self, now: Timestamp, mut observation: Observation) {
        if let When::TimeOfDay(of_day) = observation.at {
            observation.at = clock::nearest(of_day, now).map_or(When::Unknown, When::At);
        }
        let at = match observation.at {
            When::At(at) => at,
            When::TimeOfDay(_) | When::Unknown => Timestamp::ZERO,
        };
        self.sequence += 1;
        self.waiting.push(Waiting { at, sequence: self.sequence, observation });
    }

    /// The earliest observation, if it is not after `until`.
    pub fn pop(&mut self, until: Timestamp) -> Option<Observation> {
        let due = self.waiting.peek().is_some_and(|next| next.at <= until);
        let next = if due { self.waiting.pop() } else { None }?;
        self.counters.observations += 1;
        Some(next.observation)
    }

    /// Whether there is room for more.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.waiting.len() < MAX_WAITING
    }

    /// When the earliest observation is due.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.waiting.peek().map(|next| next.at)
    }

    /// What was counted, for the reader of lines to add to.
    pub const fn counters_mut(&mut self) -> &mut FeedCounters {
        &mut self.counters
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> FeedCounters {
        self.counters
    }
}

impl Ord for Waiting {
    /// The earliest is the greatest: a heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

/// Observations that wait; a file less sorted than this loses what comes too late. About 20 MB.
const MAX_WAITING: usize = 32_768;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{ProcessFacts, Seen, TelemetrySource};

    #[test]
    fn observations_come_in_the_order_of_their_times_and_not_early() {
        let mut feed = TelemetryFeed::default();
        for (pid, second) in [(1, 30), (2, 10), (3, 20)] {
            let at = When::At(Timestamp::from_parts(second, 0));
            let seen = Seen::Process(Box::new(ProcessFacts::of_pid(pid)));
            let source = TelemetrySource::Json;
            feed.push(Timestamp::ZERO, Observation { machine: None, at, source, seen });
        }
        let mut order = Vec::new();
        while let Some(observation) = feed.pop(Timestamp::from_parts(25, 0)) {
            let Seen::Process(process) = observation.seen else { panic!() };
            order.push(process.pid);
        }
        assert_eq!(order, [2, 3]);
        assert_eq!(feed.next_at(), Some(Timestamp::from_parts(30, 0)));
    }
}
