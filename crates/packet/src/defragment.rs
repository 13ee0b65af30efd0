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
    /// Fragments that came again after it was complete: a mirror port's second copy, or another
    /// datagram of the same number that begins alike.
    again: Option<Box<Datagram>>,
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
        self.expire(fragment.context.ts);
        let outcome = if self.repeats(fragment) {
            Err(Discard::FragmentRefused(FragmentRefusal::Duplicate))
        } else {
            self.add(fragment)
        };
        self.make_room();
        outcome
    }

    /// Whether the fragment only repeats a part of a datagram that is complete.
    fn repeats(&mut self, fragment: &Fragment<'_>) -> bool {
        let Some(datagram) = self.datagrams.get_mut(&fragment.key) else { return false };
        if !datagram.is_complete() {
            return false;
        }
        let before = datagram.cost();
        let repeats = datagram.repeat(fragment);
        self.held_bytes = (self.held_bytes + datagram.cost()).saturating_sub(before);
        repeats
    }

    fn add(&mut self, fragment: &Fragment<'_>) -> Result<Whole, Discard> {
        let (key, now) = (fragment.key, fragment.context.ts);
        let is_open = self.datagrams.get(&key).is_some_and(|datagram| {
            let age = now.saturating_since(datagram.first_seen);
            !datagram.is_complete() && age <= self.config.timeout
        });
        if !is_open {
            self.open(key, now);
        }
        let Some(datagram) = self.datagrams.get_mut(&key) else {
            return Err(Discard::FragmentHeld);
        };
        let before = datagram.cost();
        let added = datagram.add(fragment, self.config.overlap, &mut self.counters);
        self.held_bytes = (self.held_bytes + datagram.cost()).saturating_sub(before);
        let birth = datagram.birth;
        let whole = if datagram.is_complete() { datagram.whole(fragment) } else { None };
        match (added, whole) {
            (Ok(()), Some(whole)) => {
                self.counters.reassembled += 1;
                self.incomplete.remove(&birth);
                self.complete.push_back((now, birth, key));
                if self.complete.len() > MAX_COMPLETE {
                    self.drop_oldest_complete();
                }
                Ok(whole)
            }
            (Ok(()), None) => Err(Discard::FragmentHeld),
            (Err(refusal), _) => {
                let drops = self.config.overlap == OverlapPolicy::DropDatagram;
                if refusal == FragmentRefusal::Overlap && drops {
                    self.counters.dropped += 1;
                    self.remove(key);
                }
                Err(Discard::FragmentRefused(refusal))
            }
        }
    }

    /// Begins a datagram in the place of one that is complete or too old, if there is one.
    fn open(&mut self, key: FragmentKey, now: Timestamp) {
        let old = self.remove(key);
        let too_old = old.as_ref().is_some_and(|old| !old.is_complete());
        self.counters.timed_out += u64::from(too_old);
        let birth = self.births;
        self.births += 1;
        // The new one may have begun like the old.
        let begun = match old.and_then(|old| old.again) {
            Some(again) => Datagram { birth, ..*again },
            None => Datagram::new(birth, now),
        };
        self.held_bytes += begun.cost();
        self.incomplete.insert(birth, key);
        self.datagrams.insert(key, begun);
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

    fn remove(&mut self, key: FragmentKey) -> Option<Datagram> {
        let datagram = self.datagrams.remove(&key)?;
        self.held_bytes = self.held_bytes.saturating_sub(datagram.cost());
        self.incomplete.remove(&datagram.birth);
        Some(datagram)
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
            again: None,
        }
    }

    /// Memory that it takes, in bytes, roughly.
    fn cost(&self) -> usize {
        let again = self.again.as_ref().map_or(0, |again| again.cost());
        DATAGRAM_COST + self.arrived.len() + self.pieces.len() * PIECE_COST + again
    }

    fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.covered == end)
    }

    /// Whether the fragment repeats a part of this complete datagram; notes it as the start of
    /// another until all parts were repeated.
    fn repeat(&mut self, fragment: &Fragment<'_>) -> bool {
        let addition = self.addition(fragment);
        if !addition.gaps.is_empty() || addition.conflicts {
            return false;
        }
        let now = fragment.context.ts;
        let again = self.again.get_or_insert_with(|| Box::new(Datagram::new(0, now)));
        let mut uncounted = FragmentCounters::default();
        let _ = again.add(fragment, OverlapPolicy::FirstWins, &mut uncounted);
        if again.is_complete() {
            self.again = None;
        }
        true
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

/// How many complete datagrams are remembered: a second copy follows its first closely, and where
/// packet time stands still nothing else would make them go.
const MAX_COMPLETE: usize = 4096;

/// Memory for an incomplete datagram besides its bytes: its place in three tables.
const DATAGRAM_COST: usize = 768;

/// Memory for a piece besides its bytes.
const PIECE_COST: usize = 48;
