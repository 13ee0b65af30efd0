//! The longest of each owner. Knows not of what.

use std::time::Duration;

/// The longest of each owner, as far as the longest without any one owner needs it.
#[derive(Clone, Debug)]
pub(crate) struct Longest<K> {
    best: Option<(Duration, K)>,
    second: Option<(Duration, K)>,
}

impl<K> Default for Longest<K> {
    fn default() -> Self {
        Self { best: None, second: None }
    }
}

impl<K: PartialEq + Clone> Longest<K> {
    /// Durations of one owner only grow, or start anew: the longest counts. Gives whether anything
    /// changed.
    pub(crate) fn note(&mut self, owner: K, held: Duration) -> bool {
        match &mut self.best {
            Some((longest, best)) if *best == owner => {
                let longer = held > *longest;
                *longest = held.max(*longest);
                longer
            }
            Some((longest, _)) if held > *longest => {
                self.second = self.best.replace((held, owner));
                true
            }
            Some(_) => {
                let longer = self.second.as_ref().is_none_or(|(second, _)| held > *second);
                if longer {
                    self.second = Some((held, owner));
                }
                longer
            }
            None => {
                self.best = Some((held, owner));
                true
            }
        }
    }

    pub(crate) fn without(&self, owner: &K) -> Option<(Duration, K)> {
        [&self.best, &self.second].into_iter().flatten().find(|(_, other)| other != owner).cloned()
    }

    /// What is kept: two at most.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Duration, K)> {
        [&self.best, &self.second].into_iter().flatten()
    }
}
