//! Puts IP fragments together, within a fixed amount of memory. Knows offsets and bytes, not what
//! they mean.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use crate::Timestamp;
use crate::config::{DefragmentConfig, OverlapPolicy};
use crate::discard::{Discard, FragmentRefusal};
use crate::fragment::{Fragment, FragmentKey};
use crate::span::Span;
use crate::walk::Context;

/// What defragmentation counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentCounters {
    /// Fragments seen.
    pub fragments: u64,
    /// Datagrams put together.
    pub reassembled: u64,
    /// Datagrams given up because parts did not come in time.
    pub timed_out: u64,
    /// Datagrams given up because memory was full.
    pub evicted: u64,
    /// Datagrams dropped because fragments overlap, where the policy says so.
    pub dropped: u64,
    /// Fragments that overlap others.
    pub overlaps: u64,
    /// Fragments that overlap others with different bytes.
    pub conflicts: u64,
    /// Memory in use now, in bytes.
    pub held_bytes: u64,
}

/// Incomplete datagrams.
#[derive(Debug)]
pub(crate) struct Defragmenter {
    config: DefragmentConfig,
    datagrams: HashMap<FragmentKey, Datagram>,
    /// Incomplete datagrams, oldest first.
    incomplete: BTreeMap<u64, FragmentKey>,
    /// Complete ones, kept for a moment to know duplicates by.
    complete: VecDeque<(Timestamp, u64, FragmentKey)>,
    births: u64,
    held_bytes: usize,
    counters: FragmentCounters,
}

/// A datagram put together, and what its headers said.
#[derive(Debug)]
pub(crate) struct Whole {
    bytes: Vec<u8>,
    pub(crate) context: Context,
    /// Protocol number of its payload.
    pub(crate) next: u8,
}

/// The fragments of one datagram that have come.
#[derive(Debug)]
struct Datagram {
    birth: u64,
    first_seen: Timestamp,
    /// Bytes in the order in which they came.
    arrived: Vec<u8>,
    /// Pieces of `arrived` by their place in the datagram; they do not overlap.
    pieces: BTreeMap<usize, Piece>,
    covered: usize,
    /// Where the datagram ends, once the last fragment has come.
    end: Option<usize>,
    /// Headers of the fragment at the start.
    head: Option<(Context, u8)>,
    wire_len: u32,
    checksum_ok: bool,
}

/// Bytes of `arrived`.
#[derive(Clone, Copy, Debug)]
struct Piece {
    at: usize,
    len: usize,
}

/// What a fragment would add to a datagram.
struct Addition {
    /// Parts of the datagram that are not there yet.
    gaps: Vec<(usize, usize)>,
    overlaps: bool,
    conflicts: bool,
}

impl Whole {
    /// Its bytes.
    pub(crate) fn span(&self) -> Span<'_> {
        Span::new(&self.bytes, self.bytes.len())
    }
}

impl Defragmenter {
    /// No datagrams yet.
    pub(crate) fn new(config: DefragmentConfig) -> Self {
        Self {
            config,
            datagrams: HashMap::new(),
            incomplete: BTreeMap::new(),
            complete: VecDeque::new(),
            births: 0,
            held_bytes: 0,
            counters: FragmentCounters::default(),
        }
    }

    /// What was counted.
    pub(crate) fn counters(&self) -> FragmentCounters {
        FragmentCounters { held_bytes: self.held_bytes as u64, ..self.counters }
    }

    /// Takes a fragment in; gives the datagram that it completes.
    ///
    /// # Errors
    /// `FragmentHeld` while others are missing, `FragmentRefused` when the fragment is unusable.
    pub(crate) fn insert(&mut self, fragment: &Fragment<'_>) -> Result<Whole, Discard> {
        self.counters.fragments += 1;
        check(fragment).map_err(Discard::FragmentRefused)?;
        let now = fragment.context.ts;
        self.expire(now);
        let birth = self.births;
        let datagram =
            self.datagrams.entry(fragment.key).or_insert_with(|| Datagram::new(birth, now));
        if datagram.is_complete() {
            if datagram.holds(fragment) {
                return Err(Discard::FragmentRefused(FragmentRefusal::Duplicate));
            }
            // Another datagram of the same number.
            self.held_bytes = self.held_bytes.saturating_sub(datagram.cost());
            *datagram = Datagram::new(birth, now);
        }
        if datagram.birth == birth {
            self.births += 1;
            self.incomplete.insert(birth, fragment.key);
            self.held_bytes += datagram.cost();
        }
        let before = datagram.cost();
        let added = datagram.add(fragment, self.config.overlap, &mut self.counters);
        self.held_bytes += datagram.cost() - before;
        let complete = datagram.is_complete().then(|| (datagram.birth, datagram.whole(fragment)));
        match (added, complete) {
            (Err(FragmentRefusal::Overlap), _)
                if self.config.overlap == OverlapPolicy::DropDatagram =>
            {
                self.counters.dropped += 1;
                self.remove(fragment.key);
                Err(Discard::FragmentRefused(FragmentRefusal::Overlap))
            }
            (Err(refusal), _) => Err(Discard::FragmentRefused(refusal)),
            (Ok(()), Some((birth, Some(whole)))) => {
                self.counters.reassembled += 1;
                self.incomplete.remove(&birth);
                self.complete.push_back((now, birth, fragment.key));
                self.make_room();
                Ok(whole)
            }
            (Ok(()), _) => {
                self.make_room();
                Err(Discard::FragmentHeld)
            }
        }
    }

    /// Drops what is too old at `now`.
    fn expire(&mut self, now: Timestamp) {
        while let Some(&(done, _, _)) = self.complete.front() {
            if now.saturating_since(done) <= DUPLICATE_WINDOW {
                break;
            }
            self.drop_oldest_complete();
        }
        while let Some((_, key)) = self.incomplete.first_key_value() {
            let Some(datagram) = self.datagrams.get(key) else { break };
            if now.saturating_since(datagram.first_seen) <= self.config.timeout {
                break;
            }
            let key = *key;
            self.counters.timed_out += 1;
            self.remove(key);
        }
    }

    /// Drops the oldest until the rest fits: complete ones first.
    fn make_room(&mut self) {
        while self.held_bytes > self.config.max_bytes {
            if self.drop_oldest_complete() {
                continue;
            }
            let Some((_, &key)) = self.incomplete.first_key_value() else { break };
            self.counters.evicted += 1;
            self.remove(key);
        }
    }

    fn drop_oldest_complete(&mut self) -> bool {
        let Some((_, birth, key)) = self.complete.pop_front() else { return false };
        // The number may have been used again since.
        if self.datagrams.get(&key).is_some_and(|datagram| datagram.birth == birth) {
            self.remove(key);
        }
        true
    }

    fn remove(&mut self, key: FragmentKey) {
        if let Some(datagram) = self.datagrams.remove(&key) {
            self.held_bytes = self.held_bytes.saturating_sub(datagram.cost());
            self.incomplete.remove(&datagram.birth);
        }
    }
}

impl Datagram {
    fn new(birth: u64, first_seen: Timestamp) -> Self {
        Self {
            birth,
            first_seen,
            arrived: Vec::new(),
            pieces: BTreeMap::new(),
            covered: 0,
            end: None,
            head: None,
            wire_len: 0,
            checksum_ok: true,
        }
    }

    /// Memory that it takes, in bytes, roughly.
    fn cost(&self) -> usize {
        DATAGRAM_COST + self.arrived.len() + self.pieces.len() * PIECE_COST
    }

    fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.covered == end)
    }

    /// Whether the fragment brings nothing but bytes that are there.
    fn holds(&self, fragment: &Fragment<'_>) -> bool {
        let addition = self.addition(fragment);
        addition.gaps.is_empty() && !addition.conflicts
    }

    fn add(
        &mut self,
        fragment: &Fragment<'_>,
        policy: OverlapPolicy,
        counters: &mut FragmentCounters,
    ) -> Result<(), FragmentRefusal> {
        let end = fragment.offset + fragment.payload.wire_len();
        let furthest = self.pieces.last_key_value().map_or(0, |(start, piece)| start + piece.len);
        let contradicts = match self.end {
            Some(known) => end > known || (!fragment.more && end != known),
            None => !fragment.more && end < furthest,
        };
        if contradicts {
            return Err(FragmentRefusal::BeyondEnd);
        }
        let addition = self.addition(fragment);
        counters.overlaps += u64::from(addition.overlaps);
        counters.conflicts += u64::from(addition.conflicts);
        if addition.gaps.is_empty() && (fragment.more || self.end.is_some()) {
            let refusal = if addition.conflicts {
                FragmentRefusal::Overlap
            } else {
                FragmentRefusal::Duplicate
            };
            return Err(refusal);
        }
        if addition.overlaps && policy == OverlapPolicy::DropDatagram {
            return Err(FragmentRefusal::Overlap);
        }
        if !fragment.more {
            self.end = Some(end);
        }
        if fragment.offset == 0 && self.head.is_none() {
            self.head = Some((fragment.context, fragment.next));
        }
        self.wire_len = self.wire_len.saturating_add(fragment.context.wire_len);
        self.checksum_ok &= fragment.context.ip.is_some_and(|ip| ip.facts.checksum_ok);
        for (start, end) in addition.gaps {
            let part = fragment.payload.bytes().get(start - fragment.offset..end - fragment.offset);
            let part = part.unwrap_or_default();
            self.pieces.insert(start, Piece { at: self.arrived.len(), len: part.len() });
            self.arrived.extend_from_slice(part);
            self.covered += part.len();
        }
        Ok(())
    }

    fn addition(&self, fragment: &Fragment<'_>) -> Addition {
        let bytes = fragment.payload.bytes();
        let (start, end) = (fragment.offset, fragment.offset + bytes.len());
        let mut addition = Addition { gaps: Vec::new(), overlaps: false, conflicts: false };
        let from = self.pieces.range(..=start).next_back().map_or(start, |(from, _)| *from);
        let mut at = start;
        for (&piece_start, piece) in self.pieces.range(from..end) {
            let piece_end = piece_start + piece.len;
            if piece_end <= at {
                continue;
            }
            if at < piece_start {
                addition.gaps.push((at, piece_start));
            }
            let (low, high) = (at.max(piece_start), end.min(piece_end));
            let held =
                self.arrived.get(piece.at + low - piece_start..piece.at + high - piece_start);
            addition.overlaps = true;
            addition.conflicts |= held != bytes.get(low - start..high - start);
            at = high;
        }
        if at < end {
            addition.gaps.push((at, end));
        }
        addition
    }

    /// The datagram as its receiver has it; `last` is the fragment that completed it.
    fn whole(&self, last: &Fragment<'_>) -> Option<Whole> {
        let (mut context, next) = self.head?;
        context.ts = last.context.ts;
        context.frame = last.context.frame;
        context.wire_len = self.wire_len;
        if let Some(ip) = &mut context.ip {
            ip.facts.reassembled = true;
            ip.facts.checksum_ok = self.checksum_ok;
        }
        let mut bytes = Vec::with_capacity(self.covered);
        for piece in self.pieces.values() {
            bytes.extend_from_slice(self.arrived.get(piece.at..piece.at + piece.len)?);
        }
        Some(Whole { bytes, context, next })
    }
}

/// Whether a fragment can be part of any datagram.
fn check(fragment: &Fragment<'_>) -> Result<(), FragmentRefusal> {
    let len = fragment.payload.wire_len();
    if fragment.bad_checksum {
        Err(FragmentRefusal::BadChecksum)
    } else if !fragment.payload.is_whole() {
        Err(FragmentRefusal::Cut)
    } else if len == 0 {
        Err(FragmentRefusal::Empty)
    } else if fragment.more && !len.is_multiple_of(8) {
        Err(FragmentRefusal::Misaligned)
    } else if fragment.header_len + fragment.offset + len > MAX_DATAGRAM {
        Err(FragmentRefusal::TooLong)
    } else {
        Ok(())
    }
}

/// The longest IP datagram, in bytes (RFC 791, section 3.1).
const MAX_DATAGRAM: usize = 65_535;

/// How long a complete datagram is remembered, so that a mirror port's second copy of its
/// fragments does not start another.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// Memory for an incomplete datagram besides its bytes: its place in three tables.
const DATAGRAM_COST: usize = 768;

/// Memory for a piece besides its bytes.
const PIECE_COST: usize = 48;
