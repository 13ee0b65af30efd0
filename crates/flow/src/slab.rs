//! Numbered places for values, in chunks that never move. Knows nothing of what it holds.

use prefetch_index::prefetch_index;

/// Places in the first chunk; every further chunk has as many as all before it together. A vector
/// would copy everything each time it grows, and need thrice the room while it does.
const FIRST_CHUNK: u32 = 64;

/// log2 of [`FIRST_CHUNK`].
const FIRST_LOG2: u32 = FIRST_CHUNK.trailing_zeros();

/// Values by number; numbers of removed values are given out again, the latest first.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    places: u32,
}

impl<T: Default> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), places: 0 }
    }

    /// Puts `value` in a free place and gives its number; `None` when all 2^32 are taken.
    pub(crate) fn insert(&mut self, value: T) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            *self.get_mut(number)? = value;
            return Some(number);
        }
        let number = self.places;
        let (chunk, place) = position(number)?;
        if place == 0 {
            let capacity = usize::try_from(FIRST_CHUNK).ok()? << chunk;
            self.chunks.push(Vec::with_capacity(capacity));
        }
        self.chunks.get_mut(chunk)?.push(value);
        self.places += 1;
        Some(number)
    }

    /// The value at `number`; the default where one was removed.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let (chunk, place) = position(number)?;
        self.chunks.get(chunk)?.get(place)
    }

    /// The value at `number`, to change.
    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (chunk, place) = position(number)?;
        self.chunks.get_mut(chunk)?.get_mut(place)
    }

    /// Takes the value at `number` out and leaves the default. Once for each number given out.
    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let value = std::mem::take(self.get_mut(number)?);
        self.free.push(number);
        Some(value)
    }

    /// How many places there are, taken or free: numbers are below.
    pub(crate) const fn places(&self) -> u32 {
        self.places
    }

    /// Asks for the value at `number` ahead of its use.
    #[inline]
    pub(crate) fn prefetch(&self, number: u32) {
        if let Some((chunk, place)) = position(number)
            && let Some(chunk) = self.chunks.get(chunk)
        {
            prefetch_index(chunk, place);
        }
    }
}

/// The chunk of a number, and its place there.
#[inline]
fn position(number: u32) -> Option<(usize, usize)> {
    let shifted = number.checked_add(FIRST_CHUNK)?;
    let chunk = shifted.ilog2() - FIRST_LOG2;
    let place = shifted - (FIRST_CHUNK << chunk);
    Some((usize::try_from(chunk).ok()?, usize::try_from(place).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let mut slab = Slab::new();
        for value in 0..10_000u32 {
            assert_eq!(slab.insert(value), Some(value));
        }
        assert!((0..10_000).all(|number| slab.get(number) == Some(&number)));
        assert_eq!(slab.get(10_000), None);
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(steps in prop::collection::vec((any::<bool>(), 1u32..1000), 1..300)) {
            let mut slab = Slab::new();
            let mut model = std::collections::BTreeMap::new();
            for (insert, value) in steps {
                if insert || model.is_empty() {
                    let number = slab.insert(value).unwrap();
                    prop_assert_eq!(model.insert(number, value), None);
                } else {
                    let nth = usize::try_from(value).unwrap() % model.len();
                    let number = *model.keys().nth(nth).unwrap();
                    prop_assert_eq!(slab.remove(number), model.remove(&number));
                }
                for (&number, value) in &model {
                    prop_assert_eq!(slab.get(number), Some(value));
                }
            }
        }
    }
}
