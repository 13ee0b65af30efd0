//! Which process held which socket when, for a while. Knows no flows.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use dwell_packet::{Timestamp, Transport};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::machines::Machine;
use super::observation::SocketName;
use super::process::{ProcessFacts, TelemetrySource};

/// A process held a socket in this interval, by its source; without one, at some time.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) machine: Machine,
    pub(crate) source: TelemetrySource,
    pub(crate) interval: Option<(Timestamp, Timestamp)>,
    pub(crate) transport: Option<Transport>,
    /// The only addresses that its source may speak for.
    pub(crate) hosts: Option<Arc<[IpAddr]>>,
    pub(crate) process: ProcessFacts,
    pub(crate) expires: Timestamp,
}

/// What became of a sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is new.
    New,
    /// It was known; its interval grew.
    Again,
    /// There was no room, or none for its machine.
    Refused,
}

/// Sightings by socket, bounded in all, for each machine and for each socket.
#[derive(Debug)]
pub(crate) struct Sightings {
    sockets: HashMap<SocketName, Vec<Sighting>, RandomState>,
    /// Timed sightings in the order of their coming, with when they expire.
    order: VecDeque<(Timestamp, SocketName)>,
    untimed: VecDeque<SocketName>,
    of_machine: HashMap<Machine, usize, RandomState>,
    kept: usize,
    max_kept: usize,
    /// Sightings that name a socket by its Community ID.
    community_ids: usize,
}

impl Sightings {
    /// None; `max_kept` will be kept.
    pub(crate) fn new(max_kept: usize) -> Self {
        Self {
            sockets: HashMap::default(),
            order: VecDeque::new(),
            untimed: VecDeque::new(),
            of_machine: HashMap::default(),
            kept: 0,
            max_kept,
            community_ids: 0,
        }
    }

    /// How many are kept.
    pub(crate) const fn len(&self) -> usize {
        self.kept
    }

    /// Whether any names its socket by Community ID.
    pub(crate) const fn has_community_ids(&self) -> bool {
        self.community_ids > 0
    }

    /// The sightings of a socket.
    pub(crate) fn of(&self, name: &SocketName) -> &[Sighting] {
        self.sockets.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Takes a sighting in.
    pub(crate) fn keep(&mut self, now: Timestamp, name: &SocketName, sighting: Sighting) -> Kept {
        self.expire(now);
        if let Some(known) = self.sockets.get_mut(name).and_then(|known| same(known, &sighting)) {
            known.process.complete(&sighting.process);
            known.expires = known.expires.max(sighting.expires);
            if let (Some(mine), Some(theirs)) = (&mut known.interval, sighting.interval) {
                *mine = (mine.0.min(theirs.0), mine.1.max(theirs.1));
            }
            return Kept::Again;
        }
        let of_machine = self.of_machine.get(&sighting.machine).copied().unwrap_or(0);
        let share = (self.max_kept / SHARES).max(1);
        if sighting.interval.is_none() && self.untimed.len() >= share {
            if let Some(oldest) = self.untimed.pop_front() {
                self.remove(&oldest, |known| known.interval.is_none());
            }
        } else if of_machine >= share {
            return Kept::Refused;
        }
        let of_socket = self.sockets.get(name).map_or(0, Vec::len);
        if self.kept >= self.max_kept || of_socket >= MAX_OF_SOCKET {
            return Kept::Refused;
        }
        match sighting.interval {
            Some(_) => self.order.push_back((sighting.expires, name.clone())),
            None => self.untimed.push_back(name.clone()),
        }
        *self.of_machine.entry(sighting.machine.clone()).or_default() += 1;
        self.community_ids += usize::from(matches!(name, SocketName::CommunityId(_)));
        self.kept += 1;
        self.sockets.entry(name.clone()).or_default().push(sighting);
        Kept::New
    }

    /// Drops what is over.
    fn expire(&mut self, now: Timestamp) {
        while let Some((expires, _)) = self.order.front()
            && *expires <= now
        {
            let Some((expires, name)) = self.order.pop_front() else { break };
            let refreshed = self.of(&name).iter().find_map(|known| {
                (known.interval.is_some() && known.expires > now).then_some(known.expires)
            });
            let over = |known: &Sighting| known.interval.is_some() && known.expires <= now;
            if !self.remove(&name, over)
                && let Some(later) = refreshed.filter(|&later| later > expires)
            {
                self.order.push_back((later, name));
            }
        }
    }

    /// Removes the first sighting of a socket that fits; false if none does.
    fn remove(&mut self, name: &SocketName, fits: impl Fn(&Sighting) -> bool) -> bool {
        let Some(known) = self.sockets.get_mut(name) else { return false };
        let Some(place) = known.iter().position(fits) else { return false };
        let gone = known.remove(place);
        if known.is_empty() {
            self.sockets.remove(name);
        }
        self.kept = self.kept.saturating_sub(1);
        let community_id = matches!(name, SocketName::CommunityId(_));
        self.community_ids = self.community_ids.saturating_sub(usize::from(community_id));
        if let Some(count) = self.of_machine.get_mut(&gone.machine) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_machine.remove(&gone.machine);
            }
        }
        true
    }
}

/// The same process on the same socket, by the same source.
fn same<'k>(known: &'k mut [Sighting], sighting: &Sighting) -> Option<&'k mut Sighting> {
    known.iter_mut().find(|known| {
        known.source == sighting.source
            && known.machine == sighting.machine
            && known.hosts == sighting.hosts
            && known.interval.is_some() == sighting.interval.is_some()
            && known.process.pid == sighting.process.pid
            && known.process.may_be(&sighting.process)
    })
}

/// One machine may hold one of so many parts of the table, and untimed snapshots as much.
const SHARES: usize = 4;

/// Sightings kept of one socket: sources times processes that share it.
const MAX_OF_SOCKET: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_parts(second, 0)
    }

    fn sighting(machine: &str, pid: u32, second: u64) -> Sighting {
        Sighting {
            machine: Some(machine.into()),
            source: TelemetrySource::Santa,
            interval: Some((at(second), at(second))),
            transport: None,
            hosts: None,
            process: ProcessFacts::of_pid(pid),
            expires: at(second + 60),
        }
    }

    fn ports(local: u16) -> SocketName {
        SocketName::Ports { local, remote: 443 }
    }

    #[test]
    fn a_flood_of_one_machine_leaves_room_for_the_others() {
        let mut sightings = Sightings::new(400);
        for port in 0..1000 {
            sightings.keep(at(1), &ports(port), sighting("loud", 1, 1));
        }
        assert_eq!(sightings.len(), 100);
        assert_eq!(sightings.keep(at(1), &ports(9), sighting("quiet", 2, 1)), Kept::New);
    }

    #[test]
    fn what_is_over_makes_room_and_what_was_seen_again_stays() {
        let mut sightings = Sightings::new(400);
        sightings.keep(at(1), &ports(1), sighting("a", 1, 1));
        sightings.keep(at(1), &ports(2), sighting("a", 2, 1));
        assert_eq!(sightings.keep(at(50), &ports(2), sighting("a", 2, 50)), Kept::Again);
        sightings.keep(at(70), &ports(3), sighting("a", 3, 70));
        assert!(sightings.of(&ports(1)).is_empty());
        assert_eq!(sightings.of(&ports(2)).len(), 1);
        sightings.keep(at(200), &ports(4), sighting("a", 4, 200));
        assert_eq!(sightings.len(), 1, "all others are over");
        assert_eq!(sightings.order.len(), 1);
    }

    #[test]
    fn duplicates_take_no_room() {
        let mut sightings = Sightings::new(400);
        for _ in 0..1000 {
            sightings.keep(at(1), &ports(1), sighting("a", 1, 1));
        }
        assert_eq!((sightings.len(), sightings.order.len()), (1, 1));
        for pid in 0..1000 {
            sightings.keep(at(1), &ports(1), sighting("a", pid, 1));
        }
        assert_eq!(sightings.len(), MAX_OF_SOCKET);
    }
}
