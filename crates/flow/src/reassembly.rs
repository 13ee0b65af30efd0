//! One direction's bytes in order: holds what came early, gives each byte once, first copy wins.
//! Knows no protocol.

use std::collections::VecDeque;

/// The most bytes that one direction may hold out of order. A ClientHello is at most 64 KiB and a
/// few records; nobody looks at more than that.
pub const MAX_HELD_BYTES: usize = 128 << 10;

/// The most pieces that one direction may hold: 16 KiB in segments of one byte, reversed.
const MAX_PIECES: usize = 16 << 10;

/// How far before the assumed start a segment may be to move the start back, when no SYN told it.
const MAX_BACK: u32 = 64 << 10;

/// How many delivered bytes are kept for comparison with later copies and for a moved start.
const MAX_KEPT: usize = 64 << 10;

/// How many conflicts of one direction are kept as evidence.
const MAX_CONFLICTS: usize = 4;

/// How many bytes of each copy a conflict keeps.
const MAX_CONFLICT_BYTES: usize = 64;

/// Whose bytes win where two early segments overlap (Novak and Sturges 2007, "Target-based TCP
/// stream reassembly"). Bytes that were delivered stay delivered under any policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlapPolicy {
    /// The copy that came first: Linux, Windows, macOS for what they have queued.
    #[default]
    First,
    /// The copy that came last: Cisco IOS.
    Last,
    /// The copy that came last where it starts before the other, else the first: older BSDs.
    Bsd,
}

/// Two copies of the same bytes that differ: one of them was not the sender's, or the sender means
/// to confuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Sequence number of the first byte compared.
    pub seq: u32,
    /// The copy that was kept, at most 64 bytes from the first difference on.
    pub kept: Vec<u8>,
    /// The copy that was refused, as long.
    pub refused: Vec<u8>,
}

/// Bytes of one direction that are ready, or the news that some will not come.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The next bytes of the stream.
    Bytes(Vec<u8>),
    /// A hole of this many bytes that will not be filled.
    Gap(u32),
    /// The stream began earlier than was thought: everything delivered so far is void, and what
    /// follows starts anew.
    Restart,
}

/// What a [`Reassembler`] noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReassemblyCounters {
    /// Bytes refused because too many were held.
    pub refused_bytes: u64,
    /// Bytes that came again with another content; the first copy won.
    pub conflicting_bytes: u64,
    /// Holes given up.
    pub gaps: u64,
}

/// Puts the segments of one direction in order while somebody wants the bytes.
#[derive(Debug, Default)]
pub struct Reassembler {
    /// Sequence number of the next byte to deliver.
    next: Option<u32>,
    /// Whether `next` came from a SYN, so that nothing can precede it.
    anchored: bool,
    /// Early pieces, in order, without overlaps.
    held: VecDeque<(u32, Vec<u8>)>,
    held_bytes: usize,
    /// What was delivered, up to a bound, for comparison; its first byte is at `kept_from`.
    kept: Vec<u8>,
    kept_from: u32,
    kept_whole: bool,
    policy: OverlapPolicy,
    conflicts: Vec<Conflict>,
    counters: ReassemblyCounters,
}

impl Reassembler {
    /// A reassembler whose stream starts wherever the first segment says; the first copy wins.
    #[must_use]
    pub fn new() -> Self {
        Self::with_policy(OverlapPolicy::First)
    }

    /// A reassembler that settles overlaps by `policy`.
    #[must_use]
    pub fn with_policy(policy: OverlapPolicy) -> Self {
        Self { kept_whole: true, policy, ..Self::default() }
    }

    /// Takes the conflicts noticed since the last call.
    pub fn take_conflicts(&mut self) -> Vec<Conflict> {
        std::mem::take(&mut self.conflicts)
    }

    /// Says where the stream starts: the sequence number after the SYN. Ignored once bytes were
    /// delivered; another SYN before that replaces it.
    pub fn anchor(&mut self, first: u32) {
        if self.kept.is_empty() {
            (self.next, self.anchored, self.kept_from) = (Some(first), true, first);
            self.drop_old_pieces();
        }
    }

    /// Takes a segment's payload; deliveries are then taken with [`Reassembler::pop`].
    ///
    /// In-order payload with nothing held is given straight back, uncopied by the caller's loop:
    /// the returned slice is to be consumed before calling `pop`.
    pub fn push<'p>(&mut self, seq: u32, payload: &'p [u8]) -> Option<&'p [u8]> {
        if payload.is_empty() {
            return None;
        }
        let next = *self.next.get_or_insert_with(|| {
            self.kept_from = seq;
            seq
        });
        let ahead = seq.wrapping_sub(next).cast_signed();
        if ahead > 0 {
            self.hold(seq, payload);
            return None;
        }
        let old = usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX);
        let (seen, new) = payload.split_at(old.min(payload.len()));
        if self.compare(seq, seen) {
            self.restart(seq, payload);
            return None;
        }
        if new.is_empty() {
            return None;
        }
        let fresh = self.before_first_held(next, new);
        self.deliver(fresh);
        if fresh.len() < new.len() {
            // The rest overlaps what is held: keep only what fills holes between.
            let rest = next.wrapping_add(len_u32(fresh));
            self.hold(rest, new.get(fresh.len()..).unwrap_or_default());
        }
        Some(fresh)
    }

    /// The next ready delivery, if any.
    pub fn pop(&mut self) -> Option<Delivery> {
        if self.next.is_none() {
            let (seq, _) = self.held.front()?;
            (self.next, self.kept_from) = (Some(*seq), *seq);
            return Some(Delivery::Restart);
        }
        let (seq, _) = self.held.front()?;
        if Some(*seq) != self.next {
            return None;
        }
        let (_, bytes) = self.held.pop_front()?;
        self.held_bytes = self.held_bytes.saturating_sub(bytes.len());
        self.deliver(&bytes);
        Some(Delivery::Bytes(bytes))
    }

    /// Gives up the hole in front of what is held: its bytes were acknowledged or too long in
    /// coming. Deliveries follow from [`Reassembler::pop`].
    pub fn skip_hole(&mut self) -> Option<Delivery> {
        let next = self.next?;
        let (seq, _) = self.held.front()?;
        let hole = seq.wrapping_sub(next);
        if hole == 0 {
            return None;
        }
        self.next = Some(*seq);
        self.kept_whole = false;
        self.counters.gaps += 1;
        Some(Delivery::Gap(hole))
    }

    /// Whether the peer's acknowledgement covers the hole in front of what is held, so that the
    /// missing bytes did arrive and only we did not see them.
    #[must_use]
    pub fn hole_acknowledged(&self, ack: u32) -> bool {
        self.held.front().is_some_and(|(seq, bytes)| {
            let end = seq.wrapping_add(len_u32(bytes));
            ack.wrapping_sub(end).cast_signed() >= 0
        })
    }

    /// How many pieces are held behind a hole.
    #[must_use]
    pub fn held_pieces(&self) -> usize {
        self.held.len()
    }

    /// Bytes held in all.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes + self.kept.len()
    }

    /// What was noticed so far.
    #[must_use]
    pub const fn counters(&self) -> ReassemblyCounters {
        self.counters
    }

    /// The part of `new`, which starts at `next`, that comes before the first held piece.
    fn before_first_held<'p>(&self, next: u32, new: &'p [u8]) -> &'p [u8] {
        let Some((seq, _)) = self.held.front() else { return new };
        let room = usize::try_from(seq.wrapping_sub(next)).unwrap_or(usize::MAX);
        new.get(..room).unwrap_or(new)
    }

    fn deliver(&mut self, bytes: &[u8]) {
        if let Some(next) = &mut self.next {
            *next = next.wrapping_add(len_u32(bytes));
        }
        if self.kept_whole {
            let room = MAX_KEPT.saturating_sub(self.kept.len());
            self.kept_whole = bytes.len() <= room;
            self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    /// Compares bytes that were delivered before with the copy kept of them. True when they lie
    /// before the start and the start may move.
    fn compare(&mut self, seq: u32, seen: &[u8]) -> bool {
        if seen.is_empty() {
            return false;
        }
        let offset = seq.wrapping_sub(self.kept_from).cast_signed();
        if offset < 0 {
            return !self.anchored && offset.unsigned_abs() <= MAX_BACK && self.kept_whole;
        }
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let kept = self.kept.get(offset..).unwrap_or_default();
        let conflict = conflict(seq, kept, seen);
        self.note(conflict);
        false
    }

    /// Moves the start back to `seq` and puts what was delivered behind the new bytes.
    fn restart(&mut self, seq: u32, payload: &[u8]) {
        let delivered = std::mem::take(&mut self.kept);
        let from = self.kept_from;
        self.next = None;
        self.hold(from, &delivered);
        self.hold(seq, payload);
    }

    /// Keeps an early piece: only the bytes not already held, so that the first copy wins.
    fn hold(&mut self, seq: u32, payload: &[u8]) {
        let mut at = self.held.partition_point(|(start, bytes)| {
            start.wrapping_add(len_u32(bytes)).wrapping_sub(seq).cast_signed() <= 0
        });
        let (first_seq, mut seq, mut rest) = (seq, seq, payload);
        while !rest.is_empty() {
            let Some((start, bytes)) = self.held.get(at) else {
                self.insert(at, seq, rest);
                return;
            };
            let (start, held_len) = (*start, bytes.len());
            let room = start.wrapping_sub(seq).cast_signed();
            if room > 0 {
                let room = usize::try_from(room).unwrap_or(usize::MAX).min(rest.len());
                let (fresh, after) = rest.split_at(room);
                if !self.insert(at, seq, fresh) {
                    return;
                }
                at += 1;
                (seq, rest) = (seq.wrapping_add(len_u32(fresh)), after);
                continue;
            }
            let inside = usize::try_from(room.unsigned_abs()).unwrap_or(usize::MAX);
            let overlap = held_len.saturating_sub(inside).min(rest.len());
            let copy = rest.get(..overlap).unwrap_or_default();
            self.settle(at, inside, copy, first_seq.wrapping_sub(start).cast_signed() < 0);
            seq = seq.wrapping_add(u32::try_from(overlap).unwrap_or(u32::MAX));
            rest = rest.get(overlap..).unwrap_or_default();
            at += 1;
        }
    }

    /// Settles an overlap of `copy` with the held piece `at`, `inside` bytes into it.
    fn settle(&mut self, at: usize, inside: usize, copy: &[u8], starts_before: bool) {
        let Some((start, bytes)) = self.held.get_mut(at) else { return };
        let seq = start.wrapping_add(u32::try_from(inside).unwrap_or(u32::MAX));
        let Some(held) = bytes.get_mut(inside..inside + copy.len()) else { return };
        let overwrite = match self.policy {
            OverlapPolicy::First => false,
            OverlapPolicy::Last => true,
            OverlapPolicy::Bsd => starts_before,
        };
        let conflict = if overwrite {
            let conflict = conflict(seq, copy, held);
            held.copy_from_slice(copy);
            conflict
        } else {
            conflict(seq, held, copy)
        };
        self.note(conflict);
    }

    fn note(&mut self, found: Option<(u64, Conflict)>) {
        let Some((bytes, conflict)) = found else { return };
        self.counters.conflicting_bytes = self.counters.conflicting_bytes.saturating_add(bytes);
        if self.conflicts.len() < MAX_CONFLICTS {
            self.conflicts.push(conflict);
        }
    }

    fn insert(&mut self, at: usize, seq: u32, bytes: &[u8]) -> bool {
        if self.held_bytes + bytes.len() > MAX_HELD_BYTES || self.held.len() >= MAX_PIECES {
            let refused = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.counters.refused_bytes = self.counters.refused_bytes.saturating_add(refused);
            return false;
        }
        self.held_bytes += bytes.len();
        self.held.insert(at, (seq, bytes.to_vec()));
        true
    }

    /// Forgets held bytes before a start that a SYN has set.
    fn drop_old_pieces(&mut self) {
        let Some(next) = self.next else { return };
        while let Some((seq, bytes)) = self.held.front() {
            if seq.wrapping_sub(next).cast_signed() >= 0 {
                break;
            }
            self.held_bytes = self.held_bytes.saturating_sub(bytes.len());
            self.held.pop_front();
        }
    }
}

/// How many bytes of two copies differ, and the two from the first difference on.
fn conflict(seq: u32, kept: &[u8], refused: &[u8]) -> Option<(u64, Conflict)> {
    let pairs = || kept.iter().zip(refused);
    let first = pairs().position(|(a, b)| a != b)?;
    let differ = pairs().filter(|(a, b)| a != b).count();
    let part = |copy: &[u8]| {
        let end = copy.len().min(first + MAX_CONFLICT_BYTES);
        copy.get(first..end).unwrap_or_default().to_vec()
    };
    let seq = seq.wrapping_add(u32::try_from(first).unwrap_or(u32::MAX));
    let conflict = Conflict { seq, kept: part(kept), refused: part(refused) };
    Some((u64::try_from(differ).unwrap_or(u64::MAX), conflict))
}

fn len_u32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything delivered, a restart voiding what came before.
    fn stream(segments: &[(u32, &[u8])], anchor: Option<u32>) -> (Vec<u8>, ReassemblyCounters) {
        let mut reassembler = Reassembler::new();
        if let Some(first) = anchor {
            reassembler.anchor(first);
        }
        let mut all = Vec::new();
        for &(seq, payload) in segments {
            all.extend_from_slice(reassembler.push(seq, payload).unwrap_or_default());
            while let Some(delivery) = reassembler.pop() {
                match delivery {
                    Delivery::Bytes(bytes) => all.extend(bytes),
                    Delivery::Restart => all.clear(),
                    Delivery::Gap(_) => panic!("gap without skip"),
                }
            }
        }
        (all, reassembler.counters())
    }

    #[test]
    fn reversed_segments_come_out_in_order() {
        let (all, _) = stream(&[(14, b"e"), (12, b"cd"), (10, b"ab")], Some(10));
        assert_eq!(all, b"abcde");
    }

    #[test]
    fn the_first_copy_wins_and_the_second_is_counted() {
        let (all, counters) = stream(&[(10, b"abc"), (10, b"xyz"), (13, b"d")], Some(10));
        assert_eq!(all, b"abcd");
        assert_eq!(counters.conflicting_bytes, 3);
        let (all, counters) = stream(&[(12, b"cd"), (10, b"abXYe")], Some(10));
        assert_eq!(all, b"abcde");
        assert_eq!(counters.conflicting_bytes, 2);
    }

    fn overlap(policy: OverlapPolicy, segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut reassembler = Reassembler::with_policy(policy);
        reassembler.anchor(10);
        for &(seq, payload) in segments {
            assert_eq!(reassembler.push(seq, payload), None, "all of them early");
        }
        let mut all = reassembler.push(10, b"_").unwrap().to_vec();
        while let Some(Delivery::Bytes(bytes)) = reassembler.pop() {
            all.extend(bytes);
        }
        all
    }

    /// The three policies as Novak and Sturges 2007 define them.
    #[test]
    fn early_overlaps_are_settled_by_the_target_s_policy() {
        let ahead: &[(u32, &[u8])] = &[(13, b"ccc"), (11, b"ABCD")];
        assert_eq!(overlap(OverlapPolicy::First, ahead), b"_ABccc");
        assert_eq!(overlap(OverlapPolicy::Last, ahead), b"_ABCDc");
        assert_eq!(overlap(OverlapPolicy::Bsd, ahead), b"_ABCDc");
        let inside: &[(u32, &[u8])] = &[(11, b"aaaa"), (13, b"BBB")];
        assert_eq!(overlap(OverlapPolicy::First, inside), b"_aaaaB");
        assert_eq!(overlap(OverlapPolicy::Last, inside), b"_aaBBB");
        assert_eq!(overlap(OverlapPolicy::Bsd, inside), b"_aaaaB");
    }

    #[test]
    fn both_copies_of_a_conflict_are_kept_as_evidence() {
        let mut reassembler = Reassembler::new();
        reassembler.anchor(10);
        reassembler.push(10, b"host: good.example");
        reassembler.push(10, b"host: evil.example");
        let conflicts = reassembler.take_conflicts();
        assert_eq!(conflicts.len(), 1);
        assert_eq!(conflicts[0].seq, 16);
        assert_eq!(conflicts[0].kept, b"good.example");
        assert_eq!(conflicts[0].refused, b"evil.example");
    }

    #[test]
    fn without_a_syn_an_earlier_segment_moves_the_start() {
        let (all, _) = stream(&[(14, b"efg"), (10, b"abcd"), (17, b"h")], None);
        assert_eq!(all, b"abcdefgh");
        let (all, _) = stream(&[(14, b"efg"), (10, b"abcd")], Some(14));
        assert_eq!(all, b"efg", "a SYN told where the stream starts");
    }

    #[test]
    fn another_syn_before_any_data_replaces_the_start() {
        let mut reassembler = Reassembler::new();
        reassembler.anchor(100);
        assert_eq!(reassembler.push(5000, b"data"), None);
        reassembler.anchor(5000);
        assert_eq!(reassembler.pop(), Some(Delivery::Bytes(b"data".to_vec())));
    }

    #[test]
    fn a_hole_that_the_peer_acknowledged_is_given_up() {
        let mut reassembler = Reassembler::new();
        reassembler.anchor(10);
        reassembler.push(15, b"later");
        assert!(!reassembler.hole_acknowledged(19));
        assert!(reassembler.hole_acknowledged(20));
        assert_eq!(reassembler.skip_hole(), Some(Delivery::Gap(5)));
        assert_eq!(reassembler.pop(), Some(Delivery::Bytes(b"later".to_vec())));
    }

    #[test]
    fn what_is_held_is_bounded_and_the_rest_counted() {
        let mut reassembler = Reassembler::new();
        reassembler.anchor(0);
        let piece = vec![7; 60_000];
        for i in 0..10u32 {
            reassembler.push(1 + i * 60_000, &piece);
        }
        assert!(reassembler.held_bytes() <= MAX_HELD_BYTES);
        assert_eq!(reassembler.counters().refused_bytes, 480_000);
    }

    proptest! {
        /// The oracle is the stream itself: cut anywhere, shuffled, repeated, it comes out whole.
        #[test]
        fn any_order_and_overlap_gives_the_stream(
            len in 1usize..400,
            start in any::<u32>(),
            cuts in prop::collection::vec((0usize..400, 1usize..100), 0..40),
            order in any::<u64>(),
        ) {
            let whole: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let mut pieces: Vec<(usize, usize)> =
                cuts.into_iter().map(|(at, n)| (at % len, n)).map(|(at, n)| (at, (at + n).min(len))).collect();
            // Cover the stream once, so that nothing is missing.
            pieces.extend((0..len).step_by(37).map(|at| (at, (at + 37).min(len))));
            let mut state = order | 1;
            for i in (1..pieces.len()).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                pieces.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
            }
            let segments: Vec<(u32, &[u8])> = pieces
                .iter()
                .map(|&(from, to)| (start.wrapping_add(u32::try_from(from).unwrap()), &whole[from..to]))
                .collect();
            let (all, counters) = stream(&segments, Some(start));
            prop_assert_eq!(&all, &whole);
            prop_assert_eq!(counters.conflicting_bytes, 0);
            let (all, _) = stream(&segments, None);
            prop_assert_eq!(&all, &whole);
        }
    }
}
