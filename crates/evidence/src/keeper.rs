//! Frames beside the engine: the first of every flow, the latest of all, and those of flows that a
//! finding asked for. Knows no sessions and no findings beyond a number for each.

use std::hash::BuildHasher as _;

use dwell_packet::{
    DecodeConfig, Decoder, FiveTuple, Frame, LinkType, Pdu, Scope, TcpFlags, Timestamp,
    TransportHeader,
};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::heads::{Head, HeadLimits};
use crate::recent::Recent;
use crate::shelf::{Shelf, ShelfCounters};

/// What is kept of a frame of a flow that is watched: link, IP and transport headers with options,
/// under tunnels too.
const HEADER_BYTES: usize = 192;

/// Flows that are watched at a time.
const MAX_WATCHED: usize = 65_536;

/// Bounds of a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeeperLimits {
    /// Memory for the latest frames of all flows, in bytes.
    pub recent_bytes: usize,
    /// What is kept of each of them, in bytes.
    pub recent_cut: usize,
    /// Memory for the first frames of flows, in bytes.
    pub heads_bytes: usize,
    /// What is kept of one flow's beginning.
    pub head: HeadLimits,
}

impl Default for KeeperLimits {
    fn default() -> Self {
        let (recent_bytes, heads_bytes) = (64 << 20, 64 << 20);
        Self { recent_bytes, recent_cut: 512, heads_bytes, head: HeadLimits::default() }
    }
}

/// What is wanted of a keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The frames of a flow that are there, in at most so many bytes; and from here on the headers
    /// of those that come.
    Slice {
        /// For whom.
        case: u64,
        /// The flow, either way round.
        tuple: FiveTuple,
        /// Most bytes.
        bytes: usize,
    },
    /// No more for this case.
    Stop {
        /// Which.
        case: u64,
    },
}

/// A frame that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFrame {
    /// For whom.
    pub case: u64,
    /// When it was seen.
    pub ts: Timestamp,
    /// Its length on the wire, in bytes.
    pub wire_len: u32,
    /// How its bytes start.
    pub link_type: LinkType,
    /// Whether it is of the flow's beginning, which finds room before others.
    pub head: bool,
    /// What was kept of it.
    pub bytes: Box<[u8]>,
}

/// What an order gave: frames by time, and what found no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The frames.
    pub frames: Vec<KeptFrame>,
    /// Frames that were there and found no room.
    pub refused: u64,
}

/// What a keeper holds and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeeperCounters {
    /// First frames of flows.
    pub heads: ShelfCounters,
    /// Latest frames of all flows, now.
    pub recent: u64,
    /// Flows that are watched, now.
    pub watched: u64,
    /// Flows that could not be watched.
    pub unwatched: u64,
}

/// A frame where it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept<'k> {
    pub(crate) number: u64,
    pub(crate) ts: Timestamp,
    pub(crate) wire_len: u32,
    pub(crate) link_type: LinkType,
    pub(crate) head: bool,
    pub(crate) bytes: &'k [u8],
}

impl Kept<'_> {
    fn to_frame(self, case: u64) -> KeptFrame {
        let Kept { ts, wire_len, link_type, head, bytes, .. } = self;
        KeptFrame { case, ts, wire_len, link_type, head, bytes: bytes.into() }
    }
}

/// Keeps frames within bounds, and gives those that are asked for.
#[derive(Debug)]
pub struct FrameKeeper {
    decoder: Decoder,
    hasher: RandomState,
    head_limits: HeadLimits,
    heads: Shelf<u64, Head>,
    recent: Recent,
    /// Cases by the flows that are watched for them.
    watched: HashMap<u64, Vec<u64>, RandomState>,
    /// Frames of watched flows since they were taken last.
    caught: Vec<KeptFrame>,
    number: u64,
    unwatched: u64,
}

impl FrameKeeper {
    /// A keeper that has seen nothing, whose tunnels are those of `decode`.
    #[must_use]
    pub fn new(decode: DecodeConfig, limits: KeeperLimits) -> Self {
        Self {
            decoder: Decoder::new(decode),
            hasher: RandomState::default(),
            head_limits: limits.head,
            heads: Shelf::new(limits.heads_bytes),
            recent: Recent::new(limits.recent_bytes, limits.recent_cut),
            watched: HashMap::default(),
            caught: Vec::new(),
            number: 0,
            unwatched: 0,
        }
    }

    /// Keeps a frame if it carries TCP or UDP. Allocates for the first frames of a flow only, and
    /// for flows that are watched.
    pub fn keep(&mut self, frame: Frame<'_>) {
        let Ok(pdu) = self.decoder.decode(frame) else { return };
        let flow = flow_number(&self.hasher, &pdu.tuple);
        let (opens, ends) = edges(&pdu);
        self.number += 1;
        let numbered = Frame { number: self.number, ..frame };
        self.recent.push(flow, &numbered);
        if opens {
            // Another connection with the same ports.
            self.heads.take(&flow);
        }
        let head = self.heads.touch(flow, frame.ts);
        let grown = head.push(self.number, &frame, self.head_limits);
        if grown > 0 {
            self.heads.grew(&flow, grown, frame.ts);
        }
        if ends {
            self.heads.note_over(flow);
        }
        if !self.watched.is_empty() {
            self.catch(flow, frame);
        }
    }

    /// Does what is wanted. Costs a look at each of the latest frames.
    pub fn obey(&mut self, order: &Order) -> Option<Slice> {
        match order {
            Order::Slice { case, tuple, bytes } => {
                let flow = flow_number(&self.hasher, tuple);
                self.watch(flow, *case);
                Some(self.slice(flow, *case, *bytes))
            }
            Order::Stop { case } => {
                self.watched.retain(|_, cases| {
                    cases.retain(|known| known != case);
                    !cases.is_empty()
                });
                None
            }
        }
    }

    /// Frames of watched flows since the last call.
    pub fn take_caught(&mut self) -> Vec<KeptFrame> {
        std::mem::take(&mut self.caught)
    }

    /// What it holds and refused.
    #[must_use]
    pub fn counters(&self) -> KeeperCounters {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        KeeperCounters {
            heads: self.heads.counters(),
            recent: count(self.recent.len()),
            watched: count(self.watched.len()),
            unwatched: self.unwatched,
        }
    }

    fn watch(&mut self, flow: u64, case: u64) {
        if self.watched.len() >= MAX_WATCHED && !self.watched.contains_key(&flow) {
            self.unwatched += 1;
            return;
        }
        let cases = self.watched.entry(flow).or_default();
        if !cases.contains(&case) {
            cases.push(case);
        }
    }

    fn catch(&mut self, flow: u64, frame: Frame<'_>) {
        let Some(cases) = self.watched.get(&flow) else { return };
        for &case in cases {
            self.caught.push(KeptFrame {
                case,
                ts: frame.ts,
                wire_len: frame.wire_len,
                link_type: frame.link_type,
                head: false,
                bytes: frame.bytes.get(..HEADER_BYTES).unwrap_or(frame.bytes).into(),
            });
        }
    }

    /// The first frames of a flow, then the latest as far as there is room, by time.
    fn slice(&self, flow: u64, case: u64, bytes: usize) -> Slice {
        let mut slice = Slice::default();
        let mut left = bytes;
        let mut last_of_head = 0;
        let mut put = |kept: Kept<'_>| {
            let room = kept.bytes.len() <= left;
            if room {
                left -= kept.bytes.len();
                slice.frames.push(kept.to_frame(case));
            } else {
                slice.refused += 1;
            }
        };
        for kept in self.heads.get(&flow).iter().flat_map(|head| head.frames()) {
            last_of_head = kept.number;
            put(kept);
        }
        self.recent.of(flow).filter(|kept| kept.number > last_of_head).for_each(put);
        slice.frames.sort_by_key(|frame| frame.ts);
        slice
    }
}

/// Whether a packet opens a connection, and whether it ends one.
fn edges(pdu: &Pdu<'_>) -> (bool, bool) {
    match pdu.header {
        TransportHeader::Tcp(header) => {
            let has = |flag| header.flags.contains(flag);
            (has(TcpFlags::SYN) && !has(TcpFlags::ACK), has(TcpFlags::FIN) || has(TcpFlags::RST))
        }
        TransportHeader::Udp { .. } => (false, false),
    }
}

/// A number for both directions of a five-tuple, which nobody outside can foresee.
fn flow_number(hasher: &RandomState, tuple: &FiveTuple) -> u64 {
    hasher.hash_one(tuple.flow_key(Scope::default()).0)
}

#[cfg(test)]
mod tests;
