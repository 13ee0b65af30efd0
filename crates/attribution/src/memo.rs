//! A bounded memory of answers. Knows nothing of what is asked.

use std::hash::Hash;

use foldhash::fast::RandomState;
use hashbrown::{Equivalent, HashMap};

/// Answers by question, in two generations: when the young one is full it becomes the old one, and
/// what nobody asked for since is forgotten.
///
/// At most twice `room` answers. What it gives is what the answer would be anyway, so that results
/// do not depend on what was forgotten.
#[derive(Debug)]
pub(crate) struct Memo<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
    room: usize,
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// An empty memory with room for `room` answers a generation.
    pub(crate) fn new(room: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), room }
    }

    /// The answer to `question`, worked out by `answer` if it is not remembered.
    pub(crate) fn recall<Q>(&mut self, question: &Q, answer: impl FnOnce() -> V) -> V
    where
        Q: Hash + Equivalent<K> + ToKey<K> + ?Sized,
    {
        if let Some(known) = self.young.get(question) {
            return known.clone();
        }
        let (key, value) =
            self.old.remove_entry(question).unwrap_or_else(|| (question.to_key(), answer()));
        if self.young.len() >= self.room {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value.clone());
        value
    }

    /// How many answers are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// A question that can be kept.
pub(crate) trait ToKey<K> {
    /// The question as it is kept.
    fn to_key(&self) -> K;
}

impl ToKey<Box<[u8]>> for [u8] {
    fn to_key(&self) -> Box<[u8]> {
        self.into()
    }
}

impl<T: Copy> ToKey<T> for T {
    fn to_key(&self) -> T {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_worked_out_once_while_it_is_asked_for() {
        let mut memo = Memo::new(4);
        let mut worked_out = 0;
        for round in 0..10_u32 {
            // Three fresh questions a round, and one that comes again and again.
            for question in [1_000, 3 * round, 3 * round + 1, 3 * round + 2] {
                let answer = memo.recall(&question, || {
                    worked_out += u32::from(question == 1_000);
                    question + 1
                });
                assert_eq!(answer, question + 1);
            }
            assert!(memo.len() <= 8);
        }
        assert_eq!(worked_out, 1);
    }
}
