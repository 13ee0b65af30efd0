//! What was told of each session: its records by number, and the flow that stands for it. Judges
//! nothing, and keeps no statistics.

use std::sync::Arc;

use dwell_detect::{SessionEnd, SessionId, SessionSummary};
use dwell_packet::Timestamp;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::record::{FlowIdentity, SessionDelta, SessionRecord};

/// Sessions remembered: as many as the detector keeps by default, and half as many again. Records of
/// further ones all have number 1 and name no flow.
const MAX_SESSIONS: usize = 400_000;

/// Sessions that flows have joined and that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    known: HashMap<SessionId, Known, RandomState>,
}

#[derive(Debug, Default)]
struct Known {
    /// Flows that joined and did not leave.
    flows: u32,
    latest: Option<Arc<FlowIdentity>>,
    records: u32,
    /// Of the last record.
    told: Option<Told>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Timestamp,
    bytes_out: u64,
    bytes_in: u64,
    flows: u32,
}

impl Sessions {
    /// Takes note that a flow is now `identity`, which was in session `before`.
    pub(crate) fn settle(&mut self, before: Option<SessionId>, identity: &Arc<FlowIdentity>) {
        if let Some(before) = before.filter(|_| before != identity.session) {
            self.leave(before);
        }
        let Some(session) = identity.session else { return };
        let joins = u32::from(before != identity.session);
        if let Some(known) = self.known(session) {
            known.flows = known.flows.saturating_add(joins);
            known.latest = Some(Arc::clone(identity));
        }
    }

    /// What is known of a session; `None` where there is no room for another.
    fn known(&mut self, session: SessionId) -> Option<&mut Known> {
        if self.known.len() >= MAX_SESSIONS {
            return self.known.get_mut(&session);
        }
        Some(self.known.entry(session).or_default())
    }

    /// A session that all its flows left before anything was told of it ends without a word.
    fn leave(&mut self, session: SessionId) {
        let Some(known) = self.known.get_mut(&session) else { return };
        known.flows = known.flows.saturating_sub(1);
        if known.flows == 0 && known.records == 0 {
            self.known.remove(&session);
        }
    }

    /// Numbers the next record of a session, and says what came since the last. After its end a
    /// session is forgotten.
    pub(crate) fn record(
        &mut self,
        ts: Timestamp,
        summary: Box<SessionSummary>,
        end: Option<SessionEnd>,
    ) -> SessionRecord {
        let now = Told {
            at: ts,
            bytes_out: summary.up_bytes,
            bytes_in: summary.down_bytes,
            flows: summary.flows,
        };
        let nothing = Told { at: summary.first, bytes_out: 0, bytes_in: 0, flows: 0 };
        let (mut sequence, mut latest, mut last) = (1, None, nothing);
        if let Some(known) = self.known(summary.id) {
            last = known.told.replace(now).unwrap_or(nothing);
            known.records = known.records.saturating_add(1);
            sequence = known.records;
            latest.clone_from(&known.latest);
        }
        if end.is_some() {
            self.known.remove(&summary.id);
        }
        let delta = SessionDelta {
            bytes_out: now.bytes_out.saturating_sub(last.bytes_out),
            bytes_in: now.bytes_in.saturating_sub(last.bytes_in),
            parts: now.flows.saturating_sub(last.flows),
            seconds: ts.saturating_since(last.at).as_secs_f64(),
        };
        SessionRecord { ts, summary, end, sequence, delta, latest }
    }
}
