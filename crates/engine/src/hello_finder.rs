//! Finds ClientHellos and nothing else: the data path without analytics. Keeps no sessions.

use std::time::Duration;

use dwell_flow::{FlowConfig, FlowHasher};
use dwell_packet::{DecodeConfig, Frame};

use crate::duplicates::Duplicates;
use crate::hellos::{HelloRow, HelloRows};
use crate::intake::{Intake, Second, Taken};
use crate::shard::Shard;

/// Frames in, ClientHello rows out.
#[derive(Debug)]
pub struct Hellos {
    intake: Intake,
    shard: Shard,
    rows: HelloRows,
}

impl Default for Hellos {
    fn default() -> Self {
        Self::new()
    }
}

impl Hellos {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        let (flow, hasher) = (FlowConfig::default(), FlowHasher::new(0));
        // A copy shows no other hello than the packet: there is nothing to be saved from.
        let duplicates = Duplicates::new(Duration::ZERO, 0);
        Self {
            intake: Intake::new(DecodeConfig::default(), &flow, hasher.clone(), duplicates),
            shard: Shard::new(flow, hasher),
            rows: HelloRows::new(),
        }
    }

    /// Takes one frame in.
    pub fn handle(&mut self, frame: Frame<'_>) {
        let (waited, this) = self.intake.admit(frame);
        if let Some(waited) = waited {
            self.process(waited.frame());
        }
        if let Some(frame) = this {
            self.process(frame);
        }
    }

    /// Takes the next row, in order of frames, if it and all before it are complete.
    pub fn next_row(&mut self) -> Option<HelloRow> {
        self.rows.next_row()
    }

    /// Ends every flow and takes the rows that are left.
    pub fn finish(&mut self) -> Vec<HelloRow> {
        if let Some(waited) = self.intake.last_frame() {
            self.process(waited.frame());
        }
        let Second { now, ordinal, .. } = self.intake.end();
        for (_, id) in self.shard.open_flows() {
            self.shard.end(id, now, ordinal);
            self.collect();
        }
        self.rows.finish()
    }

    fn process(&mut self, frame: Frame<'_>) {
        let Taken { second, packet, ordinal, .. } = self.intake.take(frame);
        if let Some(second) = second {
            self.shard.advance(second.now, second.ordinal);
        }
        if let Some((pdu, lookup)) = packet {
            self.shard.handle(&pdu, &lookup, ordinal);
        }
        self.collect();
    }

    fn collect(&mut self) {
        for event in self.shard.take_events() {
            self.rows.apply(event);
        }
    }
}
