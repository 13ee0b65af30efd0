//! Bytes that arrive in pieces with offsets, put in order: CRYPTO streams and DTLS messages.
//!
//! Knows coverage by ranges, never by counting bytes, and that the first copy of a byte wins. It
//! knows no frame and no message.

use std::borrow::Cow;

/// Pieces of one stream, kept in the order of arrival and indexed by offset.
///
/// Memory grows with the bytes received, never with an offset or a declared length.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    /// Every byte kept, in the order of arrival.
    bytes: Vec<u8>,
    /// Disjoint, sorted by offset.
    pieces: Vec<Piece>,
    /// How many pieces make up the run that starts at offset 0.
    run: usize,
    /// Where that run ends.
    contiguous: usize,
    /// How many bytes there were when neighbours were last joined.
    joined_at: usize,
}

/// What became of inserted bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inserted {
    /// Bytes that were there already and differ.
    pub(crate) conflict: bool,
    /// Bytes past [`MAX_BYTES`], or more separate pieces than [`MAX_PIECES`].
    pub(crate) refused: bool,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Offset in the stream.
    offset: usize,
    /// Index of its first byte in `bytes`.
    start: usize,
    length: usize,
}

impl Piece {
    const fn end(&self) -> usize {
        self.offset.saturating_add(self.length)
    }

    const fn stored_end(&self) -> usize {
        self.start.saturating_add(self.length)
    }
}

impl Assembly {
    /// Adds `bytes` at `offset`; what is there already stays. Costs a binary search.
    pub(crate) fn insert(&mut self, offset: u64, bytes: &[u8]) -> Inserted {
        let mut outcome = Inserted::default();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let room = MAX_BYTES.saturating_sub(offset);
        let bytes = bytes.split_at_checked(room).map_or(bytes, |(kept, refused)| {
            outcome.refused = !refused.is_empty();
            kept
        });
        let (mut at, mut rest) = (offset, bytes);
        let mut index = self.pieces.partition_point(|piece| piece.end() <= offset);
        while !rest.is_empty() {
            let taken = match self.pieces.get(index).copied() {
                Some(piece) if piece.offset <= at => {
                    index = index.saturating_add(1);
                    let inside = at.saturating_sub(piece.offset);
                    let (known, taken) = self.overlap(piece, inside, rest);
                    outcome.conflict |= !known;
                    taken
                }
                next => {
                    let gap = next.map_or(rest.len(), |piece| piece.offset.saturating_sub(at));
                    let new = rest.get(..gap).unwrap_or(rest);
                    let Some(after) = self.place(index, at, new) else {
                        outcome.refused = true;
                        break;
                    };
                    index = after;
                    new.len()
                }
            };
            at = at.saturating_add(taken);
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.extend_run();
        outcome
    }

    /// Whether `bytes` at `offset` differ from what is there; where nothing is, they do not.
    pub(crate) fn disagrees(&self, offset: u64, bytes: &[u8]) -> bool {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = offset.saturating_add(bytes.len());
        let first = self.pieces.partition_point(|piece| piece.end() <= offset);
        let touched = self.pieces.iter().skip(first).take_while(|piece| piece.offset < end);
        touched.into_iter().any(|piece| {
            let inside = offset.saturating_sub(piece.offset);
            let new = bytes.get(piece.offset.saturating_sub(offset)..).unwrap_or_default();
            let (agrees, _) = self.overlap(*piece, inside, new);
            !agrees
        })
    }

    /// Bytes from offset 0 on without a hole.
    pub(crate) const fn contiguous(&self) -> usize {
        self.contiguous
    }

    /// Whether nothing was inserted.
    pub(crate) const fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether bytes lie beyond a hole.
    pub(crate) const fn has_hole(&self) -> bool {
        self.run < self.pieces.len()
    }

    /// The bytes from `start` to `end`, if all are there; copied only if they came out of order.
    pub(crate) fn read(&self, start: usize, end: usize) -> Option<Cow<'_, [u8]>> {
        let length = end.checked_sub(start)?;
        if end > self.contiguous {
            return None;
        }
        let first = self.pieces.partition_point(|piece| piece.end() <= start);
        let Some(piece) = self.pieces.get(first) else {
            return (length == 0).then_some(Cow::Borrowed(&[]));
        };
        let stored = piece.start.saturating_add(start.saturating_sub(piece.offset));
        if end <= piece.end() {
            let stored_end = stored.saturating_add(length);
            return self.bytes.get(stored..stored_end).map(Cow::Borrowed);
        }
        let mut joined = Vec::with_capacity(length);
        joined.extend_from_slice(self.bytes.get(stored..piece.stored_end())?);
        for piece in self.pieces.iter().skip(first.saturating_add(1)) {
            let wanted = length.saturating_sub(joined.len());
            let stored = self.bytes.get(piece.start..piece.stored_end())?;
            joined.extend(stored.iter().take(wanted));
            if joined.len() >= length {
                break;
            }
        }
        Some(Cow::Owned(joined))
    }

    /// Bytes of memory held.
    pub(crate) const fn held_bytes(&self) -> usize {
        let index = self.pieces.capacity().saturating_mul(size_of::<Piece>());
        self.bytes.capacity().saturating_add(index)
    }

    /// Whether `rest` agrees with `piece` from `inside` on, and how much of it lies there.
    fn overlap(&self, piece: Piece, inside: usize, rest: &[u8]) -> (bool, usize) {
        let start = piece.start.saturating_add(inside);
        let known = self.bytes.get(start..piece.stored_end()).unwrap_or_default();
        let taken = known.len().min(rest.len());
        (known.iter().zip(rest).all(|(kept, new)| kept == new), taken)
    }

    /// Stores bytes that fill a hole; yields the index after them, `None` at [`MAX_PIECES`].
    fn place(&mut self, mut index: usize, offset: usize, bytes: &[u8]) -> Option<usize> {
        if self.pieces.len() >= MAX_PIECES {
            self.join_neighbours();
            index = self.pieces.partition_point(|piece| piece.end() <= offset);
        }
        let start = self.bytes.len();
        if let Some(before) = index.checked_sub(1).and_then(|place| self.pieces.get_mut(place))
            && before.end() == offset
            && before.stored_end() == start
        {
            before.length = before.length.saturating_add(bytes.len());
            self.bytes.extend_from_slice(bytes);
            return Some(index);
        }
        if self.pieces.len() >= MAX_PIECES {
            return None;
        }
        self.bytes.extend_from_slice(bytes);
        self.pieces.insert(index, Piece { offset, start, length: bytes.len() });
        Some(index.saturating_add(1))
    }

    /// Puts the bytes in order, so that pieces without a hole between them become one. Copies all, so
    /// it waits until [`JOIN_AFTER`] bytes have come since the last time.
    fn join_neighbours(&mut self) {
        if self.bytes.len() < self.joined_at.saturating_add(JOIN_AFTER) {
            return;
        }
        let mut joined = Self { contiguous: self.contiguous, ..Self::default() };
        joined.bytes.reserve_exact(self.bytes.len());
        for piece in &self.pieces {
            let start = joined.bytes.len();
            let stored = self.bytes.get(piece.start..piece.stored_end()).unwrap_or_default();
            joined.bytes.extend_from_slice(stored);
            match joined.pieces.last_mut() {
                Some(last) if last.end() == piece.offset => {
                    last.length = last.length.saturating_add(piece.length);
                }
                _ => joined.pieces.push(Piece { start, ..*piece }),
            }
        }
        joined.joined_at = joined.bytes.len();
        joined.run = usize::from(joined.contiguous > 0);
        *self = joined;
    }

    fn extend_run(&mut self) {
        if let Some(last) = self.run.checked_sub(1).and_then(|place| self.pieces.get(place)) {
            self.contiguous = last.end();
        }
        while let Some(piece) = self.pieces.get(self.run)
            && piece.offset == self.contiguous
        {
            self.contiguous = piece.end();
            self.run = self.run.saturating_add(1);
        }
    }
}

/// Longest stream or message kept. Real hellos reach 16 KiB; hostile ones may try more, and nothing
/// is learnt from them.
pub(crate) const MAX_BYTES: usize = 64 * 1024;
/// Most separate pieces kept: a hello of 4 KiB sent byte by byte in a random order leaves as many
/// at most between two holes.
const MAX_PIECES: usize = 1024;
/// Bytes between two times of joining neighbours, so that its cost is a few bytes copied for each.
const JOIN_AFTER: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(assembly: &Assembly) -> Vec<u8> {
        assembly.read(0, assembly.contiguous()).unwrap().into_owned()
    }

    #[test]
    fn pieces_in_order_are_one_borrowed_run() {
        let mut assembly = Assembly::default();
        assembly.insert(0, b"abc");
        assembly.insert(3, b"def");
        assert!(matches!(assembly.read(1, 5), Some(Cow::Borrowed(b"bcde"))));
        assert!(!assembly.has_hole());
    }

    #[test]
    fn a_duplicate_does_not_fill_a_hole() {
        let mut assembly = Assembly::default();
        assembly.insert(0, b"abcd");
        assembly.insert(0, b"abcd");
        assembly.insert(8, b"ijkl");
        assert_eq!(assembly.contiguous(), 4);
        assert!(assembly.has_hole());
        assert_eq!(assembly.read(0, 8), None);
    }

    #[test]
    fn the_first_copy_wins_and_the_difference_shows() {
        let mut assembly = Assembly::default();
        assert!(!assembly.insert(2, b"cd").conflict);
        assert!(assembly.insert(0, b"abXd").conflict);
        assert_eq!(all(&assembly), b"abcd");
    }

    #[test]
    fn bytes_past_the_bound_are_refused() {
        let mut assembly = Assembly::default();
        assert!(assembly.insert(u64::MAX, b"a").refused);
        assert!(assembly.insert(MAX_BYTES as u64, b"a").refused);
        assert!(assembly.insert(MAX_BYTES as u64 - 1, b"ab").refused);
        assert!(!assembly.insert(MAX_BYTES as u64 - 1, b"a").refused);
        assert!(assembly.held_bytes() < 1024, "an offset reserves nothing");
    }

    #[test]
    fn a_hello_byte_by_byte_in_a_scattered_order_fits() {
        let mut assembly = Assembly::default();
        let hello: Vec<u8> = (0..2048_u32).map(|place| place.to_le_bytes()[0]).collect();
        // A linear congruential generator of full period (Knuth, volume 2, section 3.2.1.2).
        let order = std::iter::successors(Some(0_usize), |place| Some((place * 1229 + 351) % 2048));
        for place in order.take(2048) {
            assert!(!assembly.insert(place as u64, &hello[place..=place]).refused);
        }
        assert_eq!(all(&assembly), hello);
    }

    #[test]
    fn pieces_past_the_bound_are_refused() {
        let mut assembly = Assembly::default();
        for place in 0..MAX_PIECES as u64 {
            assert!(!assembly.insert(2 * place + 1, b"x").refused);
        }
        assert!(assembly.insert(2 * MAX_PIECES as u64 + 1, b"x").refused);
    }

    proptest! {
        /// The model is an array of optional bytes where the first write of each place counts.
        #[test]
        fn any_inserts_read_back_as_a_naive_model_does(
            writes in proptest::collection::vec(
                (0_usize..200, proptest::collection::vec(any::<u8>(), 0..40)), 0..60),
        ) {
            let mut assembly = Assembly::default();
            let mut model = vec![None; 300];
            for (offset, bytes) in &writes {
                let mut conflict = false;
                for (place, byte) in bytes.iter().enumerate() {
                    let kept = model[offset + place].get_or_insert(*byte);
                    conflict |= *kept != *byte;
                }
                prop_assert_eq!(assembly.disagrees(*offset as u64, bytes), conflict);
                let outcome = assembly.insert(*offset as u64, bytes);
                prop_assert_eq!(outcome, Inserted { conflict, refused: false });
            }
            let run: Vec<u8> = model.iter().map_while(|byte| *byte).collect();
            prop_assert_eq!(all(&assembly), &run[..]);
            prop_assert_eq!(assembly.has_hole(), model[run.len()..].iter().any(Option::is_some));
            for start in 0..=run.len() {
                let middle = (start + run.len()).div_ceil(2);
                let part = assembly.read(start, middle).unwrap();
                prop_assert_eq!(&part[..], &run[start..middle]);
            }
        }
    }
}
