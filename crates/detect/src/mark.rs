//! Short stand-ins for names and addresses in tables. Knows nothing of what they stand for.

use std::hash::{BuildHasher, RandomState};

/// A name or an address in 64 bits.
///
/// Keyed anew on each start, so that nobody can choose a name that counts as another's: marks are
/// never stored, compared by order, or shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark(u64);

impl Mark {
    /// The mark of no name at all: what a host's application does at rare destinations together.
    pub(crate) const NONE: Self = Self(0);

    /// Sixteen bits of it, to tell a few apart.
    pub(crate) const fn short(self) -> u16 {
        let [.., a, b] = self.0.to_be_bytes();
        u16::from_be_bytes([a, b])
    }
}

/// Makes marks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(RandomState);

impl Marks {
    /// The mark of a text; never [`Mark::NONE`].
    pub(crate) fn of(&self, text: &str) -> Mark {
        Mark(self.0.hash_one(text).max(1))
    }

    /// The mark of a host.
    pub(crate) fn host(&self, host: dwell_attribution::HostId) -> Mark {
        Mark(self.0.hash_one(host).max(1))
    }

    /// The mark of an address.
    pub(crate) fn address(&self, addr: std::net::IpAddr) -> Mark {
        Mark(self.0.hash_one(addr).max(1))
    }
}
