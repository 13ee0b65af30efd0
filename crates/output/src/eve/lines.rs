//! Lines of many records, with what lines of one flow share written once. Knows no record beyond
//! whose it is.

use std::io;
use std::sync::Arc;

use dwell_engine::{FlowIdentity, Record};

use super::common::{Addresses, Known, Who};
use super::{EveContext, append};
use crate::json::{self, JsonError};

/// A writer of lines that remembers what recent flows' lines have in common: addresses, host,
/// application, destination. The lines are those of [`super::append_record`].
///
/// Remembers at most 4,096 flows, about 4 MB.
#[derive(Debug, Default)]
pub struct EveLines {
    /// By the flow's number; empty before the first line.
    kept: Vec<Option<Kept>>,
}

/// A flow's members as text.
#[derive(Debug)]
struct Kept {
    /// Kept alive, so that no other identity is taken for it.
    identity: Arc<FlowIdentity>,
    text: Vec<u8>,
    /// Where the addresses end.
    split: usize,
}

impl EveLines {
    /// Appends `record` as one line to `lines`.
    ///
    /// # Errors
    /// When a record has no JSON text, which none of ours does; `lines` is as before then.
    pub fn append(
        &mut self,
        lines: &mut Vec<u8>,
        context: &EveContext,
        record: &Record,
    ) -> io::Result<()> {
        let identity = match record {
            Record::Handshake(handshake) => Some(&handshake.identity),
            Record::Http(http) => Some(&http.identity),
            Record::Flow(flow) => Some(&flow.identity),
            _ => None,
        };
        let known = match identity {
            Some(identity) => self.known(identity)?,
            None => None,
        };
        append(lines, context, record, known)
    }

    fn known(&mut self, identity: &Arc<FlowIdentity>) -> Result<Option<Known<'_>>, JsonError> {
        if self.kept.is_empty() {
            self.kept.resize_with(FLOWS, || None);
        }
        // Numbers of flows are those of their first packets: spread them (Fibonacci hashing).
        let spread = identity.flow.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FLOWS_LOG2);
        let place = usize::try_from(spread).unwrap_or(0);
        let Some(slot) = self.kept.get_mut(place) else { return Ok(None) };
        let kept = match slot.take() {
            Some(kept) if Arc::ptr_eq(&kept.identity, identity) => kept,
            other => Kept::of(identity, other.map(|other| other.text).unwrap_or_default())?,
        };
        let kept = slot.insert(kept);
        let (addresses, who) = kept.text.split_at_checked(kept.split).unwrap_or_default();
        Ok(Some(Known { addresses, who }))
    }
}

impl Kept {
    /// Writes the members into `text`, whose room is used again.
    fn of(identity: &Arc<FlowIdentity>, mut text: Vec<u8>) -> Result<Self, JsonError> {
        text.clear();
        json::append_members(&mut text, &Addresses::new(&identity.tuple, identity.community))?;
        let split = text.len();
        json::append_members(&mut text, &Who::new(identity))?;
        Ok(Self { identity: Arc::clone(identity), text, split })
    }
}

/// Places for flows.
const FLOWS: usize = 1 << FLOWS_LOG2;

/// The lines of a flow's opening come together, and its end within the half minute that a closed
/// connection lingers: a thousand new connections a second share little, and lose little.
const FLOWS_LOG2: u32 = 12;
