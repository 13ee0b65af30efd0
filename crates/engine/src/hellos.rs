//! One row a ClientHello, joined with the ServerHello that answers it. Attributes nothing.

use std::collections::{BTreeMap, HashMap};

use dwell_packet::FiveTuple;
use dwell_proto::{ClientHello, Fact, Observed, Sender};

use crate::event::{Event, EventKind};

/// The most rows that wait for their ServerHello; beyond it the oldest go without.
const MAX_WAITING: usize = 1 << 16;

/// A ClientHello with where it was and what answered it.
#[derive(Clone, Debug)]
pub struct HelloRow {
    /// Number of the frame that completed it, within its capture file, from 1.
    pub frame: u64,
    /// Five-tuple, TLS client first.
    pub tuple: FiveTuple,
    /// The hello; its `number` counts within the flow, from 1.
    pub hello: Box<ClientHello>,
    /// JA3S of the ServerHello that answers it.
    pub ja3s: Option<String>,
}

/// Rows in the order of their frames.
#[derive(Debug, Default)]
pub struct HelloRows {
    /// Rows by frame and order within it, with their flow and whether they are complete.
    rows: BTreeMap<(u64, u32), (u64, bool, HelloRow)>,
    /// Where a flow's rows are.
    open: HashMap<u64, Vec<(u64, u32)>, foldhash::fast::FixedState>,
    order: u32,
}

impl HelloRows {
    /// No rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event in; facts other than hellos are passed over.
    pub fn apply(&mut self, event: Event) {
        match event.kind {
            EventKind::Fact { tuple, frame, observed } => {
                self.fact(event.flow, tuple, frame, observed);
            }
            EventKind::Ended { .. } => {
                for key in self.open.remove(&event.flow).unwrap_or_default() {
                    if let Some((_, complete, _)) = self.rows.get_mut(&key) {
                        *complete = true;
                    }
                }
            }
            EventKind::Opened(_)
            | EventKind::Process(_)
            | EventKind::QuicIds(_)
            | EventKind::Conflict(_)
            | EventKind::Burst { .. }
            | EventKind::Updated(_) => {}
        }
    }

    /// Takes the next row in order of frames, if no row before it still waits for its answer.
    pub fn next_row(&mut self) -> Option<HelloRow> {
        let entry = self.rows.first_entry()?;
        let complete = entry.get().1;
        if complete || self.rows.len() > MAX_WAITING {
            return self.rows.pop_first().map(|(_, (_, _, row))| row);
        }
        None
    }

    /// Takes all rows that are left, in order of frames.
    pub fn finish(&mut self) -> Vec<HelloRow> {
        self.open.clear();
        std::mem::take(&mut self.rows).into_values().map(|(_, _, row)| row).collect()
    }

    fn fact(&mut self, flow: u64, tuple: FiveTuple, frame: u64, observed: Observed) {
        match observed.fact {
            Fact::ClientHello(hello) => {
                let tuple = match observed.from {
                    Sender::Originator => tuple,
                    Sender::Responder => tuple.reversed(),
                };
                self.order = self.order.wrapping_add(1);
                let key = (frame, self.order);
                let row = HelloRow { frame, tuple, hello, ja3s: None };
                self.rows.insert(key, (flow, false, row));
                self.open.entry(flow).or_default().push(key);
            }
            Fact::ServerHello(answer) => {
                for key in self.open.get(&flow).into_iter().flatten() {
                    let Some((_, complete, row)) = self.rows.get_mut(key) else { continue };
                    if row.hello.number == answer.answers && row.ja3s.is_none() {
                        row.ja3s = Some(answer.ja3s.clone());
                        *complete = true;
                    }
                }
            }
            _ => {}
        }
    }
}
