//! Sets of hosts. Knows hosts by number only.

/// A set of hosts by number: a short list up to 16, a bitmap beyond; exact either way.
#[derive(Clone, Debug)]
pub(crate) enum HostSet {
    Few(Vec<u32>),
    Many { words: Vec<u64>, len: u32 },
}

impl Default for HostSet {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl HostSet {
    /// Takes a host in; `true` if it was not in yet.
    pub(crate) fn insert(&mut self, host: u32) -> bool {
        if self.contains(host) {
            return false;
        }
        match self {
            Self::Few(hosts) if hosts.len() < FEW => hosts.push(host),
            Self::Few(hosts) => {
                let mut words = Vec::new();
                hosts.iter().chain([&host]).for_each(|&host| set(&mut words, host));
                let len = u32::try_from(hosts.len()).unwrap_or(u32::MAX).saturating_add(1);
                *self = Self::Many { words, len };
            }
            Self::Many { words, len } => {
                set(words, host);
                *len = len.saturating_add(1);
            }
        }
        true
    }

    pub(crate) fn contains(&self, host: u32) -> bool {
        match self {
            Self::Few(hosts) => hosts.contains(&host),
            Self::Many { words, .. } => {
                let (word, bit) = place(host);
                words.get(word).is_some_and(|word| word & bit != 0)
            }
        }
    }

    pub(crate) fn len(&self) -> u32 {
        match self {
            Self::Few(hosts) => u32::try_from(hosts.len()).unwrap_or(u32::MAX),
            Self::Many { len, .. } => *len,
        }
    }

    /// How many hosts besides `host`.
    pub(crate) fn others(&self, host: Option<u32>) -> u32 {
        let inside = host.is_some_and(|host| self.contains(host));
        self.len().saturating_sub(u32::from(inside))
    }

    /// All hosts, in no order that means anything.
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Self::Few(hosts) => Box::new(hosts.iter().copied()),
            Self::Many { words, .. } => {
                Box::new((0_u32..).zip(words).flat_map(|(index, &word)| {
                    (0..64_u32)
                        .filter(move |bit| word & (1 << bit) != 0)
                        .map(move |bit| index.saturating_mul(64).saturating_add(bit))
                }))
            }
        }
    }
}

fn place(host: u32) -> (usize, u64) {
    (usize::try_from(host / 64).unwrap_or(usize::MAX), 1 << (host % 64))
}

fn set(words: &mut Vec<u64>, host: u32) {
    let (word, bit) = place(host);
    if word >= words.len() {
        words.resize(word.saturating_add(1), 0);
    }
    if let Some(word) = words.get_mut(word) {
        *word |= bit;
    }
}

/// Above, a bitmap is smaller than the list.
const FEW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_counts_each_host_once(hosts in prop::collection::vec(0_u32..500, 0..200), who in 0_u32..500) {
            let mut set = HostSet::default();
            let mut expected = std::collections::BTreeSet::new();
            for host in hosts {
                prop_assert_eq!(set.insert(host), expected.insert(host));
            }
            let mut listed: Vec<u32> = set.iter().collect();
            listed.sort_unstable();
            prop_assert_eq!(listed, expected.iter().copied().collect::<Vec<_>>());
            expected.remove(&who);
            prop_assert_eq!(usize::try_from(set.others(Some(who))).unwrap(), expected.len());
        }
    }
}
