//! Finds a flow's place by its hash: buckets of one cache line, which can be asked for ahead of
//! their use. Knows no flows.
//!
//! hashbrown's table reads a control line and then a slot's line, and offers no way to ask for
//! either: at a million flows in random order that was a third of a look-up's time.

use prefetch_index::prefetch_index;

/// Slots of a bucket: with the count beside them they fill one cache line.
const SLOTS: usize = 7;

/// The table doubles when this many slots of a bucket are taken on average.
const MAX_LOAD: usize = 5;

/// A flow's hash and its place.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u32,
    /// The flow's place plus one; zero for a free slot.
    place: u32,
}

/// One cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    slots: [Slot; SLOTS],
    /// How many flows had to go past this full bucket to a later one.
    passed: u32,
}

/// Places by hash.
#[derive(Debug)]
pub(crate) struct Index {
    /// A power of two.
    buckets: Vec<Bucket>,
    len: usize,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![Bucket::default(); 8], len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The first place with this hash of which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut number = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = self.buckets.get(number)?;
            for slot in &bucket.slots {
                if slot.hash == hash && slot.place > 0 && is_it(slot.place - 1) {
                    return Some(slot.place - 1);
                }
            }
            if bucket.passed == 0 {
                return None;
            }
            number = self.after(number);
        }
        None
    }

    /// Puts a place in, which must not be there yet.
    pub(crate) fn insert(&mut self, hash: u32, place: u32) {
        if self.len >= self.buckets.len() * MAX_LOAD {
            self.grow();
        }
        self.put(Slot { hash, place: place.saturating_add(1) });
        self.len += 1;
    }

    /// Takes a place out, if it is there.
    pub(crate) fn remove(&mut self, hash: u32, place: u32) {
        let wanted = place.saturating_add(1);
        let home = self.home(hash);
        let mut number = home;
        loop {
            let Some(bucket) = self.buckets.get_mut(number) else { return };
            if let Some(slot) = bucket.slots.iter_mut().find(|slot| slot.place == wanted) {
                *slot = Slot::default();
                self.len -= 1;
                break;
            }
            if bucket.passed == 0 {
                return;
            }
            number = self.after(number);
        }
        let mut passed = home;
        while passed != number {
            if let Some(bucket) = self.buckets.get_mut(passed) {
                bucket.passed = bucket.passed.saturating_sub(1);
            }
            passed = self.after(passed);
        }
    }

    /// Asks for the bucket of `hash`.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32) {
        prefetch_index(&self.buckets, self.home(hash));
    }

    fn put(&mut self, slot: Slot) {
        let mut number = self.home(slot.hash);
        // A slot is free somewhere: the load is below one.
        for _ in 0..self.buckets.len() {
            let Some(bucket) = self.buckets.get_mut(number) else { return };
            if let Some(free) = bucket.slots.iter_mut().find(|slot| slot.place == 0) {
                *free = slot;
                return;
            }
            bucket.passed = bucket.passed.saturating_add(1);
            number = self.after(number);
        }
    }

    fn grow(&mut self) {
        let twice = vec![Bucket::default(); self.buckets.len() * 2];
        let buckets = std::mem::replace(&mut self.buckets, twice);
        for slot in buckets.iter().flat_map(|bucket| &bucket.slots).filter(|slot| slot.place > 0) {
            self.put(*slot);
        }
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        usize::try_from(hash).unwrap_or(0) & (self.buckets.len() - 1)
    }

    #[inline]
    fn after(&self, number: usize) -> usize {
        (number + 1) & (self.buckets.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bucket_is_a_cache_line() {
        assert_eq!(size_of::<Bucket>(), 64);
    }

    proptest! {
        /// Few hashes, so that buckets overflow into each other and around the end.
        #[test]
        fn it_finds_what_a_map_would(steps in prop::collection::vec((any::<bool>(), 0u32..12, 0u32..200), 1..400)) {
            let mut index = Index::new();
            let mut model = std::collections::BTreeMap::new();
            for (insert, hash, place) in steps {
                let hash = hash.wrapping_mul(0x4000_0007);
                if insert {
                    if let std::collections::btree_map::Entry::Vacant(free) = model.entry(place) {
                        free.insert(hash);
                        index.insert(hash, place);
                    }
                } else if let Some(hash) = model.remove(&place) {
                    index.remove(hash, place);
                }
                prop_assert_eq!(index.len(), model.len());
                for place in 0..200 {
                    let hash = model.get(&place).copied();
                    let found = hash.and_then(|hash| index.find(hash, |other| other == place));
                    prop_assert_eq!(found, hash.map(|_| place));
                }
                prop_assert!(index.find(1, |_| true).is_none());
            }
            for (place, hash) in std::mem::take(&mut model) {
                index.remove(hash, place);
            }
            prop_assert_eq!(index.len(), 0);
            prop_assert!(index.buckets.iter().all(|bucket| bucket.passed == 0));
        }
    }
}
