//! A bounded queue of records that never makes the sender wait. Findings outlive other records.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A record in the form of one sink.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// EVE's `event_type`.
    pub kind: &'static str,
    /// The record, without a line end.
    pub bytes: Vec<u8>,
}

impl Item {
    /// Whether it outlives others when room is short.
    #[must_use]
    pub fn is_finding(&self) -> bool {
        self.kind == "alert"
    }
}

/// What the reader of a queue should do.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Write these.
    Items(Vec<Arc<Item>>),
    /// Nothing came in time.
    Idle,
    /// Open files again.
    Reopen,
    /// The queue was closed and is empty.
    Closed,
}

/// A queue between the thread of records and one sink.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    max_records: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    findings: VecDeque<(u64, Arc<Item>)>,
    others: VecDeque<(u64, Arc<Item>)>,
    bytes: usize,
    number: u64,
    reopen: bool,
    closed: bool,
}

impl Queue {
    /// An empty queue for at most so many records and bytes.
    #[must_use]
    pub fn new(max_records: usize, max_bytes: usize) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self { state, changed, max_records: max_records.max(1), max_bytes: max_bytes.max(1) }
    }

    /// Puts a record in; gives how many it had to drop for that: the oldest that is no finding,
    /// or the record itself, or, if there are only findings, the oldest of them. Never waits for
    /// the sink.
    pub fn push(&self, item: Arc<Item>) -> u64 {
        let mut state = self.lock();
        if state.closed {
            return 1;
        }
        let finding = item.is_finding();
        state.bytes += item.bytes.len();
        state.number += 1;
        let number = state.number;
        let line = if finding { &mut state.findings } else { &mut state.others };
        line.push_back((number, item));
        let mut dropped = 0;
        while state.len() > self.max_records || (state.bytes > self.max_bytes && state.len() > 1) {
            let oldest = state.others.pop_front().or_else(|| state.findings.pop_front());
            let Some((_, oldest)) = oldest else { break };
            state.bytes = state.bytes.saturating_sub(oldest.bytes.len());
            dropped += 1;
        }
        drop(state);
        self.changed.notify_one();
        dropped
    }

    /// Takes up to `max` records out, in the order in which they came; waits up to `limit`.
    pub fn next(&self, max: usize, limit: Duration) -> Next {
        let mut state = self.lock();
        if state.is_quiet() {
            let waited = self.changed.wait_timeout_while(state, limit, |state| state.is_quiet());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.reopen {
            state.reopen = false;
            return Next::Reopen;
        }
        let items = state.take(max);
        match (items.is_empty(), state.closed) {
            (false, _) => Next::Items(items),
            (true, true) => Next::Closed,
            (true, false) => Next::Idle,
        }
    }

    /// Waits up to `limit` for the queue to be closed; gives whether it is.
    pub fn closed_within(&self, limit: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, limit, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Asks the sink to open its files again.
    pub fn reopen(&self) {
        self.lock().reopen = true;
        self.changed.notify_one();
    }

    /// Lets nothing more in.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// How many records wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state; a thread that panicked with it in hand left it whole, since no step between two
    /// of its fields can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn len(&self) -> usize {
        self.findings.len() + self.others.len()
    }

    fn is_quiet(&self) -> bool {
        self.len() == 0 && !self.closed && !self.reopen
    }

    fn take(&mut self, max: usize) -> Vec<Arc<Item>> {
        let mut items = Vec::with_capacity(max.min(self.len()));
        while items.len() < max {
            let first = self.findings.front().map(|(number, _)| *number);
            let other = self.others.front().map(|(number, _)| *number);
            let line = match (first, other) {
                (Some(first), Some(other)) if first < other => &mut self.findings,
                (Some(_), None) => &mut self.findings,
                (_, Some(_)) => &mut self.others,
                (None, None) => break,
            };
            let Some((_, item)) = line.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(item.bytes.len());
            items.push(item);
        }
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: &'static str, text: &str) -> Arc<Item> {
        Arc::new(Item { kind, bytes: text.as_bytes().to_vec() })
    }

    fn texts(queue: &Queue) -> Vec<String> {
        match queue.next(100, Duration::ZERO) {
            Next::Items(items) => {
                items.iter().map(|item| String::from_utf8(item.bytes.clone()).unwrap()).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn records_come_out_in_the_order_in_which_they_went_in() {
        let queue = Queue::new(10, 1000);
        for (kind, text) in [("flow", "1"), ("alert", "2"), ("flow", "3"), ("alert", "4")] {
            assert_eq!(queue.push(item(kind, text)), 0);
        }
        assert_eq!(texts(&queue), ["1", "2", "3", "4"]);
    }

    #[test]
    fn findings_outlive_updates_and_new_findings_outlive_old_ones() {
        let queue = Queue::new(3, 1000);
        let dropped: u64 = [
            ("alert", "a"),
            ("flow", "1"),
            ("flow", "2"),
            ("flow", "3"),
            ("alert", "b"),
            ("alert", "c"),
            ("flow", "4"),
            ("alert", "d"),
        ]
        .into_iter()
        .map(|(kind, text)| queue.push(item(kind, text)))
        .sum();
        assert_eq!(dropped, 5);
        assert_eq!(texts(&queue), ["b", "c", "d"]);
    }

    #[test]
    fn bytes_are_bounded_as_well_as_records() {
        let queue = Queue::new(100, 10);
        assert_eq!(queue.push(item("flow", "12345678")), 0);
        assert_eq!(queue.push(item("flow", "1234")), 1);
        assert_eq!(queue.push(item("flow", "123456789012345")), 1);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_closed_queue_gives_what_it_holds_and_takes_no_more() {
        let queue = Queue::new(10, 100);
        queue.push(item("flow", "1"));
        queue.close();
        assert_eq!(queue.push(item("flow", "2")), 1);
        assert_eq!(texts(&queue), ["1"]);
        assert_eq!(queue.next(1, Duration::from_secs(100)), Next::Closed);
        assert!(queue.closed_within(Duration::from_secs(100)));
    }

    #[test]
    fn a_request_to_reopen_comes_before_records() {
        let queue = Queue::new(10, 100);
        queue.push(item("flow", "1"));
        queue.reopen();
        assert_eq!(queue.next(1, Duration::from_secs(100)), Next::Reopen);
        assert_eq!(texts(&queue), ["1"]);
    }
}
