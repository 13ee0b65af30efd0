//! What a restart must know besides sessions: open flows, so that one seen again without its hello
//! is still who it was. Stores nothing and judges nothing.

use std::collections::VecDeque;
use std::time::Duration;

use dwell_detect::{Saved, SavedFlow, SessionId};
use dwell_packet::{FiveTuple, Timestamp};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use crate::flow_state::{FlowState, Keeping};

/// Shorter flows are not stored: most are over before the next checkpoint.
const MIN_AGE: Duration = Duration::from_secs(10);

/// Flows of before a restart that are waited for.
const MAX_KNOWN: usize = 262_144;

/// Rows to store and to remove, in this order: what ended, then what is open.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Changes {
    /// Packet time up to which everything is in.
    pub at: Timestamp,
    /// Sessions that ended; their flows go with them.
    pub ended: Vec<SessionId>,
    /// Stored flows that ended.
    pub closed: Vec<FiveTuple>,
    /// What was learnt, is open or was told since the last call.
    pub rows: Saved,
}

/// The keeper's books.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// Flows of before the restart that have not been seen again, client first.
    known: HashMap<FiveTuple, Box<SavedFlow>, RandomState>,
    /// Flows that wait to be stored, with the time from which on that is worth it.
    waiting: VecDeque<(Timestamp, u64)>,
    closed: Vec<FiveTuple>,
}

impl Keeper {
    /// Flows as they were stored.
    pub(crate) fn new(flows: &[SavedFlow]) -> Self {
        let known = flows.iter().take(MAX_KNOWN);
        let known = known.map(|flow| (flow.tuple, Box::new(flow.clone()))).collect();
        Self { known, ..Self::default() }
    }

    /// Who a flow was before the restart, if it is one of those; tells each once.
    pub(crate) fn recognise(&mut self, tuple: &FiveTuple) -> Option<Box<SavedFlow>> {
        if self.known.is_empty() {
            return None;
        }
        self.known.remove(tuple).or_else(|| self.known.remove(&tuple.reversed()))
    }

    /// Takes note of a flow that was settled, now or anew.
    pub(crate) fn settled(&mut self, flow: u64, state: &mut FlowState) {
        state.keeping = match state.keeping {
            Keeping::No => Keeping::New,
            Keeping::Stored => Keeping::Changed,
            Keeping::New | Keeping::Changed => return,
        };
        self.waiting.push_back((state.opened().saturating_add(MIN_AGE), flow));
    }

    /// Takes note of a flow that ended.
    pub(crate) fn ended(&mut self, state: &FlowState) {
        if matches!(state.keeping, Keeping::Stored | Keeping::Changed) {
            self.closed.push(state.tuple());
        }
    }

    /// What is to be removed, and the flows that are to be stored and old enough at `now`.
    pub(crate) fn take(
        &mut self,
        (now, ended): (Timestamp, Vec<SessionId>),
        mut row_of: impl FnMut(u64) -> Option<SavedFlow>,
    ) -> Changes {
        if !self.known.is_empty() && !ended.is_empty() {
            let ended: HashSet<u64, RandomState> = ended.iter().map(|id| id.0).collect();
            self.known.retain(|_, flow| !ended.contains(&flow.session));
        }
        let mut changes = Changes {
            at: now,
            ended,
            closed: std::mem::take(&mut self.closed),
            rows: Saved::default(),
        };
        let mut rest = VecDeque::with_capacity(self.waiting.len());
        for (from, flow) in self.waiting.drain(..) {
            if from > now {
                rest.push_back((from, flow));
            } else {
                changes.rows.flows.extend(row_of(flow));
            }
        }
        self.waiting = rest;
        changes
    }
}
