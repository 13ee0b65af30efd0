//! How flows are found: the keyed hash of a flow key. Keeps no flows.

use std::hash::BuildHasher;

use dwell_packet::{Direction, FiveTuple, FlowKey, Scope};
use foldhash::fast::FixedState;

/// Keys the hash of every table of one sensor: random for live traffic, so that nobody outside can
/// fill one share or one bucket, fixed for a replay.
#[derive(Clone, Debug)]
pub struct FlowHasher {
    state: FixedState,
}

/// Where a packet's flow is to be found.
#[derive(Clone, Copy, Debug)]
pub struct Lookup {
    /// The flow's key.
    pub key: FlowKey,
    /// Which way the packet goes.
    pub direction: Direction,
    /// For the share of the flows.
    share: u32,
    /// For the place in a share's table.
    pub(crate) hash: u32,
}

impl FlowHasher {
    /// A hasher keyed by `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: FixedState::with_seed(seed) }
    }

    /// Where the flow of a packet is to be found. Never allocates.
    #[must_use]
    #[inline]
    pub fn lookup(&self, tuple: &FiveTuple, scope: Scope) -> Lookup {
        let (key, direction) = tuple.flow_key(scope);
        let (share, hash) = self.halves(&key);
        Lookup { key, direction, share, hash }
    }

    /// The hash of a key.
    pub(crate) fn hash(&self, key: &FlowKey) -> u32 {
        self.halves(key).1
    }

    #[inline]
    fn halves(&self, key: &FlowKey) -> (u32, u32) {
        let [a, b, c, d, e, f, g, h] = self.state.hash_one(key).to_be_bytes();
        (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
    }
}

impl Lookup {
    /// The whole keyed hash of the flow's key.
    #[must_use]
    #[inline]
    pub fn keyed(&self) -> u64 {
        u64::from(self.share) << 32 | u64::from(self.hash)
    }

    /// The flow's share of `shares`: the same for both directions.
    #[must_use]
    #[inline]
    pub fn share(&self, shares: usize) -> usize {
        usize::try_from(self.share).unwrap_or(0) % shares.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dwell_packet::{Endpoint, Transport};

    #[test]
    fn neighbouring_ports_spread_evenly_over_shares() {
        let hasher = FlowHasher::new(7);
        let mut shares = [0u32; 16];
        for port in 0..16_000u16 {
            let src = Endpoint { addr: [10, 0, 0, 1].into(), port: 40_000 + port };
            let dst = Endpoint { addr: [192, 0, 2, 1].into(), port: 443 };
            let tuple = FiveTuple { src, dst, transport: Transport::Tcp };
            let there = hasher.lookup(&tuple, Scope::default());
            let back = hasher.lookup(&tuple.reversed(), Scope::default());
            assert_eq!(there.share(16), back.share(16));
            shares[there.share(16)] += 1;
        }
        assert!(shares.iter().all(|&share| (800..1200).contains(&share)), "{shares:?}");
    }
}
