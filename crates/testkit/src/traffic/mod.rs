//! As much traffic of one kind as is wanted, frame by frame from a seed: the files of the benches.
//! Knows no sensor.
//!
//! A stream is endless (but for the SYN flood) and never held in memory: a short file is the
//! beginning of a longer one, so that cost by size can be compared.

mod actor;
mod crowd;
mod flood;
mod small;
mod web;
mod world;

use std::io::{self, Write};

use crate::capture::{CapturedFrame, PcapWriter};
use crowd::Crowd;
use flood::{RandomOrder, SynFlood};

/// Kinds of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mix {
    /// The access network of an office: TLS, QUIC, HTTP, DNS and calls, a quarter of it IPv6, about
    /// 48,000 flows and 1.15 million packets of 850 bytes in a gigabyte, ten minutes of it.
    Internet,
    /// Chat, games, telephony and names: about 300,000 flows a gigabyte, in packets of 60 to 250
    /// bytes.
    Small,
    /// Frames of 60 bytes, the shortest there are, each of a flow drawn at random: no cache helps.
    Worst {
        /// How many flows.
        flows: u32,
    },
    /// TCP connections that are opened from invented addresses and never established.
    SynFlood {
        /// How many; the stream ends after them.
        flows: u32,
    },
}

/// The frames of a [`Mix`], in time order, captured whole.
#[derive(Debug)]
pub struct Traffic {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Crowd(Box<Crowd>),
    Worst(RandomOrder),
    SynFlood(SynFlood),
}

impl Traffic {
    /// The stream of `mix` for a seed.
    #[must_use]
    pub fn new(mix: Mix, seed: u64) -> Self {
        let source = match mix {
            Mix::Internet => Source::Crowd(Box::new(Crowd::internet(seed))),
            Mix::Small => Source::Crowd(Box::new(Crowd::small(seed))),
            Mix::Worst { flows } => Source::Worst(RandomOrder::new(flows, seed)),
            Mix::SynFlood { flows } => Source::SynFlood(SynFlood::new(flows, seed)),
        };
        Self { source }
    }

    /// Writes a pcap file of at most this size and tells what is in it.
    ///
    /// # Errors
    /// When `out` refuses the bytes.
    pub fn write_pcap(&mut self, limit: Limit, out: impl Write) -> io::Result<Written> {
        let mut writer = PcapWriter::new(out)?;
        let mut written = Written { packets: 0, bytes: PCAP_FILE_HEADER };
        while written.packets < limit.packets {
            let Some(frame) = self.next() else { break };
            let record = u64::try_from(frame.bytes.len()).unwrap_or(u64::MAX);
            let record = record.saturating_add(PCAP_RECORD_HEADER);
            if written.bytes.saturating_add(record) > limit.bytes {
                break;
            }
            writer.write(&frame)?;
            written.packets += 1;
            written.bytes += record;
        }
        Ok(written)
    }
}

impl Iterator for Traffic {
    type Item = CapturedFrame;

    fn next(&mut self) -> Option<CapturedFrame> {
        match &mut self.source {
            Source::Crowd(crowd) => crowd.next_frame(),
            Source::Worst(random) => random.next_frame(),
            Source::SynFlood(flood) => flood.next_frame(),
        }
    }
}

/// How much to write; whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes of the file, headers included.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
}

impl Limit {
    /// No limit.
    pub const NONE: Self = Self { bytes: u64::MAX, packets: u64::MAX };
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Packets.
    pub packets: u64,
    /// Bytes of the file, headers included.
    pub bytes: u64,
}

const PCAP_FILE_HEADER: u64 = PcapWriter::<io::Empty>::FILE_HEADER;
const PCAP_RECORD_HEADER: u64 = PcapWriter::<io::Empty>::RECORD_HEADER;
