//! Who else: how many hosts have an application, a destination, or both, and how long others held
//! theirs. The host in question is always left out. Knows no scores.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::HostId;
use hashbrown::{HashMap, HashSet};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Counts of hosts over everything seen so far.
#[derive(Debug, Default)]
pub(crate) struct Prevalence {
    capacity: usize,
    hosts: HashSet<HostId, foldhash::fast::RandomState>,
    applications: Map<Arc<str>, HostSet>,
    destinations: Map<Arc<str>, HostSet>,
    pairs: Map<(Arc<str>, Arc<str>), HostSet>,
    held_by_application: Map<Arc<str>, Longest<HostId>>,
    held_by_host: Map<(HostId, Arc<str>), Longest<Arc<str>>>,
    refused: u64,
}

/// What is known of everybody but the host in question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Peers {
    /// Other hosts.
    pub(crate) hosts: u32,
    /// Other hosts with the application.
    pub(crate) with_application: u32,
    /// Other hosts with the destination; `None` if it is not counted.
    pub(crate) with_destination: Option<u32>,
    /// Other hosts with both.
    pub(crate) with_pair: u32,
    /// The longest that the application held anything on another host.
    pub(crate) longest_elsewhere: Option<Duration>,
    /// The longest that it held another destination on this host, and which.
    pub(crate) longest_here: Option<(Duration, Arc<str>)>,
}

/// How many hosts share a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DestinationClass {
    /// One other host at most.
    Rare,
    /// Fewer than three other hosts, or than 5 % of them.
    Uncommon,
    Common,
}

impl Peers {
    /// The class of the destination; rare if it is not counted, so that a flood hides nothing.
    pub(crate) fn class(&self) -> DestinationClass {
        let others = self.with_destination.unwrap_or(0);
        let all = f64::from(self.hosts) + 1.0;
        if others <= 1 {
            DestinationClass::Rare
        } else if f64::from(others) < (COMMON_SHARE * all).max(COMMON_HOSTS) {
            DestinationClass::Uncommon
        } else {
            DestinationClass::Common
        }
    }
}

impl Prevalence {
    /// Nothing seen; each kind of entry is bounded by `capacity`.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Takes note that `host` uses `application` towards `destination`.
    pub(crate) fn note(&mut self, host: HostId, application: &Arc<str>, destination: &Arc<str>) {
        if self.hosts.len() < self.capacity {
            self.hosts.insert(host);
        }
        let capacity = self.capacity;
        let pair = (Arc::clone(application), Arc::clone(destination));
        let counted = [
            count(&mut self.applications, Arc::clone(application), host, capacity),
            count(&mut self.destinations, Arc::clone(destination), host, capacity),
            count(&mut self.pairs, pair, host, capacity),
        ];
        let refused = counted.iter().filter(|&&counted| !counted).count();
        self.refused = self.refused.saturating_add(u64::try_from(refused).unwrap_or(u64::MAX));
    }

    /// Takes note of how long `application` has held `destination` on `host` by now.
    pub(crate) fn note_held(
        &mut self,
        host: HostId,
        application: &Arc<str>,
        destination: &Arc<str>,
        held: Duration,
    ) {
        let capacity = self.capacity;
        if let Some(longest) = entry(&mut self.held_by_application, application.clone(), capacity) {
            longest.note(host, held);
        }
        let key = (host, Arc::clone(application));
        if let Some(longest) = entry(&mut self.held_by_host, key, capacity) {
            longest.note(Arc::clone(destination), held);
        }
    }

    /// What is known of everybody but `host`.
    pub(crate) fn peers(
        &self,
        host: HostId,
        application: &Arc<str>,
        destination: &Arc<str>,
    ) -> Peers {
        let pair = (Arc::clone(application), Arc::clone(destination));
        let others = |set: Option<&HostSet>| set.map_or(0, |set| set.others(host));
        let here = self.held_by_host.get(&(host, Arc::clone(application)));
        let hosts = self.hosts.len().saturating_sub(usize::from(self.hosts.contains(&host)));
        Peers {
            hosts: u32::try_from(hosts).unwrap_or(u32::MAX),
            with_application: others(self.applications.get(application)),
            with_destination: self.destinations.get(destination).map(|set| set.others(host)),
            with_pair: others(self.pairs.get(&pair)),
            longest_elsewhere: self
                .held_by_application
                .get(application)
                .and_then(|longest| longest.without(&host))
                .map(|(held, _)| held),
            longest_here: here.and_then(|longest| longest.without(destination)),
        }
    }

    /// How many notes found their table full.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }
}

/// The longest of each owner, as far as the longest without any one owner needs it.
#[derive(Debug)]
struct Longest<K> {
    best: Option<(Duration, K)>,
    second: Option<(Duration, K)>,
}

impl<K> Default for Longest<K> {
    fn default() -> Self {
        Self { best: None, second: None }
    }
}

impl<K: PartialEq + Clone> Longest<K> {
    /// Durations of one owner only grow, or start anew: the longest counts.
    fn note(&mut self, owner: K, held: Duration) {
        match &mut self.best {
            Some((longest, best)) if *best == owner => *longest = held.max(*longest),
            Some((longest, _)) if held > *longest => {
                self.second = self.best.replace((held, owner));
            }
            Some(_) => {
                if self.second.as_ref().is_none_or(|(second, _)| held > *second) {
                    self.second = Some((held, owner));
                }
            }
            None => self.best = Some((held, owner)),
        }
    }

    fn without(&self, owner: &K) -> Option<(Duration, K)> {
        [&self.best, &self.second].into_iter().flatten().find(|(_, other)| other != owner).cloned()
    }
}

/// A set of hosts: exact up to 16, an estimate beyond (HyperLogLog, Flajolet et al. 2007).
#[derive(Clone, Debug)]
enum HostSet {
    Exact(Vec<HostId>),
    Estimated(Box<[u8; REGISTERS]>),
}

impl Default for HostSet {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl HostSet {
    fn insert(&mut self, host: HostId) {
        match self {
            Self::Exact(hosts) if hosts.contains(&host) => {}
            Self::Exact(hosts) if hosts.len() < EXACT_HOSTS => hosts.push(host),
            Self::Exact(hosts) => {
                let mut registers = Box::new([0; REGISTERS]);
                hosts.iter().chain([&host]).for_each(|host| register(&mut registers, *host));
                *self = Self::Estimated(registers);
            }
            Self::Estimated(registers) => register(registers, host),
        }
    }

    /// Hosts without `host`, which counts as a member of an estimated set.
    fn others(&self, host: HostId) -> u32 {
        match self {
            Self::Exact(hosts) => {
                let others = hosts.iter().filter(|&&other| other != host).count();
                u32::try_from(others).unwrap_or(u32::MAX)
            }
            Self::Estimated(registers) => estimate(registers).saturating_sub(1),
        }
    }
}

fn register(registers: &mut [u8; REGISTERS], host: HostId) {
    let hash = hash_of(host);
    let index = usize::try_from(hash >> 58).unwrap_or(0);
    let rank = u8::try_from((hash << 6).leading_zeros().min(58).saturating_add(1)).unwrap_or(59);
    if let Some(register) = registers.get_mut(index) {
        *register = rank.max(*register);
    }
}

fn estimate(registers: &[u8; REGISTERS]) -> u32 {
    let sum: f64 = registers.iter().map(|&rank| (-f64::from(rank)).exp2()).sum();
    let count = f64::from(u8::try_from(REGISTERS).unwrap_or(u8::MAX));
    let raw = 0.709 * count * count / sum;
    let empty = registers.iter().filter(|&&rank| rank == 0).count();
    let few = f64::from(u8::try_from(empty).unwrap_or(u8::MAX));
    let hosts = if empty > 0 && raw < 2.5 * count { count * (count / few).ln() } else { raw };
    whole(hosts)
}

/// A count nearest to `value`, by halving: there is no conversion that cannot cut silently.
fn whole(value: f64) -> u32 {
    let (mut low, mut high) = (0_u32, u32::MAX);
    while low < high {
        let middle = low.midpoint(high);
        if f64::from(middle) + 0.5 < value {
            low = middle.saturating_add(1);
        } else {
            high = middle;
        }
    }
    low
}

/// FNV-1a with a final mix (Steele et al. 2014): the same everywhere, so that estimates repeat.
fn hash_of(host: HostId) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let offset = 0xcbf2_9ce4_8422_2325;
    let hash = match host.0 {
        IpAddr::V4(addr) => addr.octets().into_iter().fold(offset, fnv),
        IpAddr::V6(addr) => addr.octets().into_iter().fold(offset, fnv),
    };
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Counts `host` under `key`; `false` if the table is full.
fn count<K: Eq + Hash>(map: &mut Map<K, HostSet>, key: K, host: HostId, capacity: usize) -> bool {
    entry(map, key, capacity).map(|set| set.insert(host)).is_some()
}

fn entry<K: Eq + Hash, V: Default>(map: &mut Map<K, V>, key: K, capacity: usize) -> Option<&mut V> {
    if map.len() >= capacity && !map.contains_key(&key) {
        return None;
    }
    Some(map.entry(key).or_default())
}

/// Beyond this many hosts only their order of magnitude matters.
const EXACT_HOSTS: usize = 16;

/// Standard error 13 %.
const REGISTERS: usize = 64;

/// A destination that this share of hosts, and this many of them, have is common.
const COMMON_SHARE: f64 = 0.05;
const COMMON_HOSTS: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u32) -> HostId {
        HostId(IpAddr::V4(number.into()))
    }

    fn texts() -> (Arc<str>, Arc<str>) {
        (Arc::from("app"), Arc::from("dest"))
    }

    #[test]
    fn the_host_in_question_is_left_out() {
        let (app, dest) = texts();
        let mut seen = Prevalence::new(100);
        for number in 0..3 {
            seen.note(host(number), &app, &dest);
        }
        let inside = seen.peers(host(0), &app, &dest);
        let outside = seen.peers(host(9), &app, &dest);
        assert_eq!((inside.hosts, inside.with_destination), (2, Some(2)));
        assert_eq!((outside.hosts, outside.with_destination), (3, Some(3)));
    }

    #[test]
    fn classes_follow_the_number_of_other_hosts() {
        let class = |hosts, with| {
            Peers {
                hosts,
                with_application: 0,
                with_destination: Some(with),
                with_pair: 0,
                longest_elsewhere: None,
                longest_here: None,
            }
            .class()
        };
        assert_eq!(class(11, 1), DestinationClass::Rare);
        assert_eq!(class(11, 2), DestinationClass::Uncommon);
        assert_eq!(class(11, 3), DestinationClass::Common);
        assert_eq!(class(199, 9), DestinationClass::Uncommon);
        assert_eq!(class(199, 10), DestinationClass::Common);
    }

    #[test]
    fn many_hosts_are_estimated_within_three_standard_errors() {
        let (app, dest) = texts();
        let mut seen = Prevalence::new(100_000);
        for number in 0..5000 {
            seen.note(host(number), &app, &dest);
        }
        let others = seen.peers(host(1), &app, &dest).with_destination.unwrap();
        assert!((3000..7000).contains(&others), "{others}");
    }

    #[test]
    fn the_longest_elsewhere_and_of_other_destinations_leave_the_session_out() {
        let (app, dest) = texts();
        let other: Arc<str> = Arc::from("other");
        let mut seen = Prevalence::new(100);
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        seen.note_held(host(1), &app, &dest, minutes(400));
        seen.note_held(host(2), &app, &other, minutes(5));
        seen.note_held(host(2), &app, &dest, minutes(12));
        seen.note_held(host(1), &app, &other, minutes(3));
        let peers = seen.peers(host(1), &app, &dest);
        assert_eq!(peers.longest_elsewhere, Some(minutes(12)));
        assert_eq!(peers.longest_here, Some((minutes(3), other)));
    }

    #[test]
    fn a_full_table_counts_what_it_refuses() {
        let (app, dest) = texts();
        let mut seen = Prevalence::new(1);
        seen.note(host(1), &app, &dest);
        seen.note(host(2), &app, &Arc::from("another"));
        assert_eq!(seen.refused(), 2);
        assert_eq!(seen.peers(host(2), &app, &Arc::from("another")).with_destination, None);
    }
}
