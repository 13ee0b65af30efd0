//! Finds ClientHellos and nothing else: the data path without analytics. Keeps no sessions.

use dwell_flow::FlowConfig;
use dwell_packet::{DecodeConfig, Decoder, Frame};

use crate::clock::Clock;
use crate::hellos::{HelloRow, HelloRows};
use crate::shard::Shard;

/// Frames in, ClientHello rows out.
#[derive(Debug)]
pub struct Hellos {
    decoder: Decoder,
    shard: Shard,
    clock: Clock,
    second: u64,
    ordinal: u64,
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
        Self {
            decoder: Decoder::new(DecodeConfig::default()),
            shard: Shard::new(FlowConfig::default(), 0),
            clock: Clock::default(),
            second: 0,
            ordinal: 0,
            rows: HelloRows::new(),
        }
    }

    /// Takes one frame in.
    pub fn handle(&mut self, frame: Frame<'_>) {
        let (waited, this) = self.clock.admit(frame);
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
        if let Some(waited) = self.clock.finish() {
            self.process(waited.frame());
        }
        self.shard.finish(self.clock.now(), self.ordinal);
        self.collect();
        self.rows.finish()
    }

    fn process(&mut self, frame: Frame<'_>) {
        self.ordinal += 1;
        let now = self.clock.now();
        let second = now.as_nanos() / 1_000_000_000;
        if second != self.second {
            self.second = second;
            self.shard.advance(now, self.ordinal);
            self.collect();
        }
        if let Ok(pdu) = self.decoder.decode(frame) {
            self.shard.handle(&pdu, self.ordinal);
            self.collect();
        }
    }

    fn collect(&mut self) {
        for event in self.shard.take_events() {
            self.rows.apply(event);
        }
    }
}
