//! Names for addresses: what a host asked the resolver before it connected. Parses no DNS.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dwell_packet::Timestamp;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// The most (host, address) pairs kept; about 60 MB. The oldest goes first.
const MAX_NAMES: usize = 1 << 18;

/// Programs connect a little after they asked, and resolvers on the host answer from their own
/// caches: an answer is believed this long beyond its TTL.
const SLACK: Duration = Duration::from_secs(60);

/// TTLs above a day are cut (RFC 8767, section 4 advises caps of days; addresses move sooner).
const MAX_TTL: Duration = Duration::from_secs(86_400);

/// What a host asked for before it used an address.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: HashMap<(IpAddr, IpAddr), Name, RandomState>,
    /// Insertions in order, each with the generation it made; stale ones are passed over.
    order: VecDeque<((IpAddr, IpAddr), u64)>,
    generation: u64,
    /// Names dropped for want of room.
    pub(crate) evicted: u64,
    /// Whether any answer of a resolver was seen: only then does a missing name mean something.
    pub(crate) resolver_watched: bool,
}

#[derive(Debug)]
struct Name {
    name: Arc<[u8]>,
    expires: Timestamp,
    generation: u64,
}

impl Names {
    /// Takes an answer in: `host` was told that `name` is at `addr` for `ttl`.
    pub(crate) fn learn(
        &mut self,
        now: Timestamp,
        pair: (IpAddr, IpAddr),
        name: &[u8],
        ttl: Duration,
    ) {
        self.resolver_watched = true;
        self.generation += 1;
        let expires = now.saturating_add(ttl.min(MAX_TTL).saturating_add(SLACK));
        let generation = self.generation;
        self.names.insert(pair, Name { name: name.into(), expires, generation });
        self.order.push_back((pair, generation));
        while self.names.len() > MAX_NAMES || self.order.len() > 2 * MAX_NAMES {
            let Some((oldest, generation)) = self.order.pop_front() else { break };
            if self.names.get(&oldest).is_some_and(|name| name.generation == generation) {
                self.names.remove(&oldest);
                self.evicted += 1;
            }
        }
    }

    /// The name under which `host` last learnt `addr`, if that answer still holds at `at`.
    pub(crate) fn lookup(&self, at: Timestamp, host: IpAddr, addr: IpAddr) -> Option<Arc<[u8]>> {
        let known = self.names.get(&(host, addr))?;
        (at <= known.expires).then(|| Arc::clone(&known.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_parts(second, 0)
    }

    fn addr(last: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + last).into())
    }

    #[test]
    fn an_answer_names_the_address_for_its_host_and_time_only() {
        let mut names = Names::default();
        names.learn(at(100), (addr(1), addr(9)), b"a.example", Duration::from_secs(300));
        let name = |second, host| names.lookup(at(second), addr(host), addr(9));
        assert_eq!(name(200, 1).as_deref(), Some(&b"a.example"[..]));
        assert_eq!(name(460, 1).as_deref(), Some(&b"a.example"[..]));
        assert_eq!(name(461, 1), None);
        assert_eq!(name(200, 2), None);
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_goes() {
        let mut names = Names::default();
        let ttl = Duration::from_secs(60);
        let many = u32::try_from(MAX_NAMES).unwrap() + 10;
        for host in 0..many {
            names.learn(at(1), (addr(host), addr(0)), b"n", ttl);
        }
        assert_eq!(names.names.len(), MAX_NAMES);
        assert_eq!(names.evicted, 10);
        assert_eq!(names.lookup(at(1), addr(0), addr(0)), None);
        assert!(names.lookup(at(1), addr(many - 1), addr(0)).is_some());
    }

    #[test]
    fn one_pair_asked_over_and_over_does_not_grow_the_table() {
        let mut names = Names::default();
        for _ in 0..3 * MAX_NAMES {
            names.learn(at(1), (addr(1), addr(2)), b"n", Duration::ZERO);
        }
        assert_eq!(names.names.len(), 1);
        assert!(names.order.len() <= 2 * MAX_NAMES);
        assert!(names.lookup(at(1), addr(1), addr(2)).is_some());
    }
}
