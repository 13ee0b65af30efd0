//! Byte strings by key within a bound on all of them: what is over goes first, then what is short and
//! silent. Knows not what they are.

use std::collections::VecDeque;
use std::hash::Hash;
use std::time::Duration;

use dwell_packet::Timestamp;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Something older than this that went on within this is what long sessions are made of.
const LASTING: Duration = Duration::from_secs(600);

/// Places looked at for something to remove before the first one goes all the same.
const TRIES: usize = 64;

/// Stale keys that are not worth sweeping out.
const MIN_STALE: usize = 1024;

/// What an entry costs besides its bytes.
const ENTRY_BYTES: usize = 96;

/// Values by key, in at most so many bytes.
#[derive(Debug)]
pub struct Shelf<K, V> {
    entries: HashMap<K, Entry<V>, RandomState>,
    /// Keys whose entries are over, the first to end first; stale ones are skipped.
    over: VecDeque<K>,
    /// Keys by age, the oldest first; stale ones are skipped.
    by_age: VecDeque<K>,
    bytes: usize,
    max_bytes: usize,
    counters: ShelfCounters,
}

/// What a shelf holds and what its bound removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShelfCounters {
    /// Bytes now.
    pub bytes: u64,
    /// Entries now.
    pub entries: u64,
    /// Entries removed to make room.
    pub evicted: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    first: Timestamp,
    last: Timestamp,
    over: bool,
}

impl<K: Copy + Eq + Hash, V: Default> Shelf<K, V> {
    /// An empty shelf.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            entries: HashMap::default(),
            over: VecDeque::new(),
            by_age: VecDeque::new(),
            bytes: 0,
            max_bytes,
            counters: ShelfCounters::default(),
        }
    }

    /// The value of `key` at `now`, made if there is none.
    pub fn touch(&mut self, key: K, now: Timestamp) -> &mut V {
        let (bytes, by_age) = (&mut self.bytes, &mut self.by_age);
        let entry = self.entries.entry(key).or_insert_with(|| {
            *bytes += ENTRY_BYTES;
            by_age.push_back(key);
            Entry { value: V::default(), bytes: ENTRY_BYTES, first: now, last: now, over: false }
        });
        entry.last = entry.last.max(now);
        &mut entry.value
    }

    /// The value of `key`, if it is there.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Every value with its key, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// Takes note that the value of `key` grew; makes room for it.
    pub fn grew(&mut self, key: &K, bytes: usize, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.bytes += bytes;
            self.bytes += bytes;
        }
        while self.bytes > self.max_bytes && self.make_room(now) {}
    }

    /// Takes note that nothing more will come for `key`: it goes before others.
    pub fn note_over(&mut self, key: K) {
        if let Some(entry) = self.entries.get_mut(&key).filter(|entry| !entry.over) {
            entry.over = true;
            self.over.push_back(key);
        }
    }

    /// Takes the value of `key` out.
    pub fn take(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        self.forget_stale();
        Some(entry.value)
    }

    /// Keys of entries that are gone are skipped when their turn comes; too many are swept out.
    fn forget_stale(&mut self) {
        let most = self.entries.len().saturating_mul(2).saturating_add(MIN_STALE);
        let entries = &self.entries;
        for keys in [&mut self.by_age, &mut self.over] {
            if keys.len() > most {
                keys.retain(|key| entries.contains_key(key));
            }
        }
    }

    /// What it holds and what its bound removed.
    #[must_use]
    pub fn counters(&self) -> ShelfCounters {
        ShelfCounters {
            bytes: u64::try_from(self.bytes).unwrap_or(u64::MAX),
            entries: u64::try_from(self.entries.len()).unwrap_or(u64::MAX),
            ..self.counters
        }
    }

    fn make_room(&mut self, now: Timestamp) -> bool {
        while let Some(key) = self.over.pop_front() {
            if self.entries.get(&key).is_some_and(|entry| entry.over) {
                return self.evict(&key);
            }
        }
        let mut tries = 0;
        while let Some(key) = self.by_age.pop_front() {
            let Some(entry) = self.entries.get(&key) else { continue };
            let lasting = now.saturating_since(entry.first) > LASTING
                && now.saturating_since(entry.last) < LASTING;
            if lasting && tries < TRIES {
                tries += 1;
                self.by_age.push_back(key);
                continue;
            }
            return self.evict(&key);
        }
        false
    }

    fn evict(&mut self, key: &K) -> bool {
        self.counters.evicted += 1;
        self.take(key).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    fn put(shelf: &mut Shelf<u32, Vec<u8>>, key: u32, seconds: u64) {
        shelf.touch(key, at(seconds)).extend([0; 904]);
        shelf.grew(&key, 904, at(seconds));
    }

    fn keys(shelf: &Shelf<u32, Vec<u8>>) -> Vec<u32> {
        (0..100).filter(|key| shelf.get(key).is_some()).collect()
    }

    #[test]
    fn what_is_over_goes_before_what_is_old() {
        let mut shelf = Shelf::new(3000);
        for key in 0..3 {
            put(&mut shelf, key, u64::from(key));
        }
        shelf.note_over(1);
        put(&mut shelf, 3, 3);
        assert_eq!(keys(&shelf), [0, 2, 3]);
        put(&mut shelf, 4, 4);
        assert_eq!(keys(&shelf), [2, 3, 4]);
        assert_eq!(shelf.counters(), ShelfCounters { bytes: 3000, entries: 3, evicted: 2 });
    }

    #[test]
    fn what_lasts_and_goes_on_outlives_a_flood() {
        let mut shelf = Shelf::new(10_000);
        put(&mut shelf, 0, 0);
        shelf.touch(0, at(900));
        for key in 1..100 {
            put(&mut shelf, key, 1000);
        }
        assert!(shelf.get(&0).is_some());
        assert!(shelf.counters().bytes <= 10_000);
    }

    #[test]
    fn one_value_larger_than_the_shelf_is_not_kept() {
        let mut shelf = Shelf::new(500);
        put(&mut shelf, 7, 0);
        assert_eq!(shelf.counters(), ShelfCounters { bytes: 0, entries: 0, evicted: 1 });
    }
}
