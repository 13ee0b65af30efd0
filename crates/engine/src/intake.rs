//! The first stage of the data path: trusted time, decoding, numbering, and where a packet's flow is
//! to be found. Keeps no flows.

use dwell_flow::{FlowConfig, FlowHasher, Lookup};
use dwell_packet::{DecodeConfig, DecodeCounters, Decoder, Frame, Neighbour, Pdu, Timestamp};

use crate::batch::Batch;
use crate::clock::{Clock, WaitingFrame};
use crate::duplicates::Duplicates;
use crate::scopes::Scopes;

/// Takes frames in, in the order of the capture.
#[derive(Debug)]
pub struct Intake {
    decoder: Decoder,
    clock: Clock,
    scopes: Scopes,
    hasher: FlowHasher,
    duplicates: Duplicates,
    /// When the second that is running ends.
    next_second_ns: u64,
    ordinal: u64,
}

/// Nanoseconds in a second.
const NANOS: u64 = 1_000_000_000;

/// A second of packet time that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Second {
    /// The capture's clock.
    pub now: Timestamp,
    /// Number of the packet that ended it, in the whole capture.
    pub ordinal: u64,
    /// Which machines said in it where they are.
    pub neighbours: Vec<Neighbour>,
    /// Steps ahead that the clock made so far.
    pub clock_steps: u64,
}

/// What one frame brought.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    /// The second that was over before it.
    pub(crate) second: Option<Second>,
    /// Its PDU and where its flow is; what is discarded is counted, by reason.
    pub(crate) packet: Option<(Pdu<'a>, Lookup)>,
    /// Whether it is a copy of a packet that was taken: to be counted, not to be looked at.
    pub(crate) copy: bool,
    /// Its number in the whole capture.
    pub(crate) ordinal: u64,
}

impl Intake {
    /// Nothing seen yet. `hasher` finds flows, here and in the shards.
    pub(crate) fn new(
        decode: DecodeConfig,
        flow: &FlowConfig,
        hasher: FlowHasher,
        duplicates: Duplicates,
    ) -> Self {
        Self {
            duplicates,
            decoder: Decoder::new(decode),
            clock: Clock::default(),
            scopes: Scopes::new(flow.scope),
            hasher,
            next_second_ns: NANOS,
            ordinal: 0,
        }
    }

    /// Takes frames that stand in `bytes` into `batch`, which forgets what it held.
    pub fn fill<'f>(
        &mut self,
        batch: &mut Batch,
        frames: impl Iterator<Item = Frame<'f>>,
        bytes: &[u8],
    ) {
        batch.clear(bytes.len());
        for frame in frames {
            if self.clock.admit_ordinary(frame.ts) {
                batch.put(&self.take(frame), bytes);
                continue;
            }
            let (waited, this) = self.admit(frame);
            if let Some(waited) = waited {
                batch.put(&self.take(waited.frame()), bytes);
            }
            if let Some(frame) = this {
                batch.put(&self.take(frame), bytes);
            }
        }
    }

    /// Lets the clock see a frame: gives one that waited, if its time is settled now, and this one
    /// unless it has to wait.
    pub(crate) fn admit<'f>(
        &mut self,
        frame: Frame<'f>,
    ) -> (Option<WaitingFrame>, Option<Frame<'f>>) {
        self.clock.admit(frame)
    }

    /// Takes one admitted frame in. Frames that are no fragments cost no allocation.
    ///
    /// Inlined, so that a PDU is not moved about by way of memory.
    #[inline(always)]
    pub(crate) fn take<'a>(&'a mut self, frame: Frame<'a>) -> Taken<'a> {
        self.ordinal += 1;
        let second = self.tick();
        let packet = self.decoder.decode(frame).ok().map(|pdu| {
            let scope = self.scopes.of(&pdu.encapsulation);
            let lookup = self.hasher.lookup(&pdu.tuple, scope);
            (pdu, lookup)
        });
        let copy =
            packet.as_ref().is_some_and(|(pdu, lookup)| self.duplicates.is_copy(pdu, lookup));
        Taken { second, packet, copy, ordinal: self.ordinal }
    }

    /// Moves the clock on by what another clock says; gives a frame that waited, if its time has
    /// come.
    pub(crate) fn advance(&mut self, now: Timestamp) -> Option<WaitingFrame> {
        self.clock.advance(now)
    }

    /// The second that is over, if one is.
    #[inline]
    pub(crate) fn tick(&mut self) -> Option<Second> {
        // Time does not go back, so that the end of the second is all there is to look at.
        let nanos = self.clock.now().as_nanos();
        if nanos < self.next_second_ns {
            return None;
        }
        self.next_second_ns = (nanos / NANOS + 1).saturating_mul(NANOS);
        Some(self.moment())
    }

    /// The frame that still waits when the capture ends.
    pub(crate) fn last_frame(&mut self) -> Option<WaitingFrame> {
        self.clock.finish()
    }

    /// The end of the capture: after the last packet.
    pub(crate) fn end(&mut self) -> Second {
        self.ordinal += 1;
        self.moment()
    }

    /// This moment, as the end of a second.
    pub(crate) fn moment(&mut self) -> Second {
        Second {
            now: self.clock.now(),
            ordinal: self.ordinal,
            neighbours: self.decoder.take_neighbours(),
            clock_steps: self.clock.steps_ahead,
        }
    }

    /// The capture's clock.
    pub(crate) const fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Steps ahead of the capture's clock by more than an hour that were confirmed.
    pub(crate) const fn clock_steps(&self) -> u64 {
        self.clock.steps_ahead
    }

    /// Packets that were copies of others.
    pub(crate) const fn copies(&self) -> u64 {
        self.duplicates.count
    }

    /// What decoding counted so far.
    pub(crate) fn decode_counters(&self) -> DecodeCounters {
        self.decoder.counters()
    }
}
