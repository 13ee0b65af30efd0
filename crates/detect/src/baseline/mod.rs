//! What is normal here, learnt while the sensor runs: who has what, where it goes, how long that
//! lasts and what it looks like. Whoever is judged is left out. Knows no scores.

mod expect;
mod hosts;
mod longest;
mod saved;
mod sets;
mod shapes;
mod votes;

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::{Attribution, Category, HostId, Outcome};
use dwell_packet::Timestamp;
use hashbrown::HashMap;

pub(crate) use expect::{Arrival, DestinationClass, Expected, Peers, Query};
pub(crate) use shapes::{FIGURE_NAMES, figures};
pub(crate) use votes::bin_of;

use crate::mark::{Mark, Marks};
use hosts::HostTable;
use longest::Longest;
use sets::HostSet;
use shapes::ShapeVotes;
use votes::DayVotes;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What an application is, as far as baselines tell applications apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Browser,
    Library,
    Known,
    Unknown,
}

impl Kind {
    /// The kind of an application; `None` if it is not attributed: such sessions do not vote.
    pub(crate) fn of(attribution: &Attribution) -> Option<Self> {
        match (attribution.outcome, attribution.category) {
            (Outcome::Unattributed, _) => None,
            (Outcome::Unknown, _) => Some(Self::Unknown),
            (_, Category::Browser) => Some(Self::Browser),
            (_, Category::Library) => Some(Self::Library),
            (_, Category::Product | Category::System | Category::Unknown) => Some(Self::Known),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Library => "library",
            Self::Known => "known",
            Self::Unknown => "unknown",
        }
    }

    /// The kind of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Browser, Self::Library, Self::Known, Self::Unknown]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// Whose votes: an application's own, or those of all of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Voters {
    Application(Mark),
    Kind(Kind),
}

/// What a vote is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct VoteKey {
    pub(crate) voters: Voters,
    pub(crate) class: DestinationClass,
    pub(crate) fresh: bool,
}

/// Whose shapes: those of an application that several hosts have, or of all others together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ShapeKey {
    pub(crate) application: Option<Mark>,
    pub(crate) class: DestinationClass,
}

/// A flow as far as baselines go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contact<'a> {
    pub(crate) at: Timestamp,
    pub(crate) host: HostId,
    pub(crate) attribution: &'a Attribution,
    pub(crate) application: Mark,
    pub(crate) destination: Mark,
    pub(crate) group: &'a Arc<str>,
}

/// The learnt state.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    capacity: usize,
    pub(crate) marks: Marks,
    first: Option<Timestamp>,
    hosts: HostTable,
    /// Days of hosts that were known for long enough by then.
    mature: DayVotes,
    applications: Map<Mark, Application>,
    destinations: Map<Mark, Destination>,
    pairs: Map<(Mark, Mark), Pair>,
    arrivals: Map<(u32, Mark, Mark), Timestamp>,
    /// When a host first had an application.
    debuts: Map<(u32, Mark), Timestamp>,
    kinds: Map<Kind, DayVotes>,
    held: Map<VoteKey, DayVotes>,
    shapes: Map<ShapeKey, ShapeVotes>,
    held_here: Map<(u32, Mark), Longest<Arc<str>>>,
    newest_day: u16,
    changes: saved::Changes,
    refused: u64,
}

#[derive(Clone, Debug)]
struct Application {
    name: Arc<str>,
    kind: Option<Kind>,
    hosts: HostSet,
    mature: DayVotes,
    /// Host and destination pairs, and those of them whose destination only one host has.
    pairs: u32,
    lone: u32,
    own: Map<u32, (u32, u32)>,
    longest: Longest<u32>,
}

#[derive(Clone, Debug)]
struct Destination {
    name: Arc<str>,
    hosts: HostSet,
}

#[derive(Clone, Debug, Default)]
struct Pair {
    hosts: HostSet,
}

impl Baseline {
    /// Nothing learnt; each kind of entry is bounded by `capacity`.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// How many notes found their table full.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Since when anything is known.
    pub(crate) const fn first(&self) -> Option<Timestamp> {
        self.first
    }

    /// Takes note of a flow that carried its first payload. Gives whether no other host had its
    /// destination before.
    pub(crate) fn contact(&mut self, contact: &Contact<'_>) -> bool {
        self.first.get_or_insert(contact.at);
        let day = day_of(contact.at);
        self.turn(day);
        let before = self.hosts.len();
        let Some(host) = self.hosts.note(contact.host, contact.at) else {
            self.refuse();
            return false;
        };
        if self.hosts.len() > before {
            self.changes.host(host);
        }
        let (application, destination) = (contact.application, contact.destination);
        let rare = self.count_destination(destination, contact.group, host);
        self.count_application(contact, host, day);
        self.count_pair(application, destination, host);
        let key = (host, application, destination);
        if !self.arrivals.contains_key(&key) {
            if self.arrivals.len() < self.capacity.saturating_mul(4) {
                self.arrivals.insert(key, contact.at);
                self.note_debut((host, application), contact.at);
                self.changes.contact(key);
            } else {
                self.refuse();
            }
        }
        rare
    }

    /// Takes in how long a session has held by now, as its host's vote of the day.
    pub(crate) fn vote(&mut self, query: &Query<'_>) {
        let Some(host) = self.hosts.number(query.host) else { return };
        let (Some(kind), Some(bin)) = (query.kind, bin_of(query.held)) else { return };
        if !self.is_mature(host, query.at) {
            return;
        }
        let class = self.class(query, Some(host));
        let fresh = self.arrival(query, Some(host)).is_fresh();
        let day = day_of(query.at);
        for voters in [Voters::Application(query.application), Voters::Kind(kind)] {
            let key = VoteKey { voters, class, fresh };
            if let Some(votes) = entry(&mut self.held, key, self.capacity)
                && votes.vote(host, day, bin)
            {
                self.changes.vote(key, host, day);
            }
        }
    }

    /// Takes in a session that is over.
    pub(crate) fn learn_ended(&mut self, query: &Query<'_>) {
        let Some(host) = self.hosts.number(query.host) else { return };
        if query.kind.is_none() {
            return;
        }
        let key = self.shape_key(query, Some(host));
        if let Some(shapes) = entry(&mut self.shapes, key, self.capacity) {
            shapes.vote(host, &figures(query.shape));
            self.changes.shape(key, host);
        }
        if query.destination != Mark::NONE
            && let Some(row) = self.hosts.row_mut(host)
        {
            row.expectation.learn(query.held);
            self.changes.host(host);
        }
    }

    /// Takes note of how long `application` has held `destination` on `host` by now.
    pub(crate) fn note_held(
        &mut self,
        host: HostId,
        application: Mark,
        destination: &Arc<str>,
        held: Duration,
    ) {
        let Some(host) = self.hosts.number(host) else { return };
        if let Some(row) = self.applications.get_mut(&application) {
            row.longest.note(host, held);
        }
        if let Some(longest) = entry(&mut self.held_here, (host, application), self.capacity)
            && longest.note(Arc::clone(destination), held)
        {
            self.changes.longest(host, application);
        }
    }

    fn note_debut(&mut self, key: (u32, Mark), at: Timestamp) {
        if self.debuts.len() < self.capacity || self.debuts.contains_key(&key) {
            let first = self.debuts.entry(key).or_insert(at);
            *first = at.min(*first);
        } else {
            self.refuse();
        }
    }

    fn count_destination(&mut self, mark: Mark, name: &Arc<str>, host: u32) -> bool {
        if self.destinations.len() >= self.capacity && !self.destinations.contains_key(&mark) {
            self.refuse();
            return false;
        }
        let fresh = || Destination { name: Arc::clone(name), hosts: HostSet::default() };
        let row = self.destinations.entry(mark).or_insert_with(fresh);
        row.hosts.insert(host);
        row.hosts.others(Some(host)) == 0
    }

    fn count_application(&mut self, contact: &Contact<'_>, host: u32, day: u16) {
        let mature = self.is_mature(host, contact.at);
        let kind = Kind::of(contact.attribution);
        if mature {
            self.mature.vote(host, day, 0);
            if let Some(kind) = kind {
                self.kinds.entry(kind).or_default().vote(host, day, 0);
            }
        }
        let mark = contact.application;
        if self.applications.len() >= self.capacity && !self.applications.contains_key(&mark) {
            self.refuse();
            return;
        }
        let row = self
            .applications
            .entry(mark)
            .or_insert_with(|| Application::new(&contact.attribution.application, kind));
        row.hosts.insert(host);
        if mature && row.mature.vote(host, day, 0) {
            self.changes.day(host, mark, day);
        }
    }

    /// Counts how often an application goes where no other host's copy goes.
    fn count_pair(&mut self, application: Mark, destination: Mark, host: u32) {
        let Some(pair) = entry(&mut self.pairs, (application, destination), self.capacity) else {
            self.refuse();
            return;
        };
        let before = pair.hosts.len();
        let only = pair.hosts.iter().next();
        if !pair.hosts.insert(host) {
            return;
        }
        let Some(row) = self.applications.get_mut(&application) else { return };
        row.pairs = row.pairs.saturating_add(1);
        let own = row.own.entry(host).or_default();
        own.0 = own.0.saturating_add(1);
        if before == 0 {
            own.1 = own.1.saturating_add(1);
            row.lone = row.lone.saturating_add(1);
        } else if before == 1 {
            row.lone = row.lone.saturating_sub(1);
            if let Some(first) = only.and_then(|only| row.own.get_mut(&only)) {
                first.1 = first.1.saturating_sub(1);
            }
        }
    }

    /// Forgets, on the first flow of a day, what is too old to count.
    fn turn(&mut self, day: u16) {
        if day <= self.newest_day {
            return;
        }
        self.newest_day = day;
        let first = day.saturating_sub(MEMORY_DAYS);
        self.mature.forget_before(first);
        self.kinds.values_mut().for_each(|votes| votes.forget_before(first));
        self.held.values_mut().for_each(|votes| votes.forget_before(first));
        self.applications.values_mut().for_each(|row| row.mature.forget_before(first));
    }

    fn is_mature(&self, host: u32, at: Timestamp) -> bool {
        self.hosts.row(host).is_some_and(|row| row.known_for(at) > MATURE_AFTER)
    }

    const fn refuse(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }
}

impl Application {
    fn new(name: &Arc<str>, kind: Option<Kind>) -> Self {
        Self {
            name: Arc::clone(name),
            kind,
            hosts: HostSet::default(),
            mature: DayVotes::default(),
            pairs: 0,
            lone: 0,
            own: Map::default(),
            longest: Longest::default(),
        }
    }
}

fn entry<K: Eq + Hash, V: Default>(map: &mut Map<K, V>, key: K, capacity: usize) -> Option<&mut V> {
    if map.len() >= capacity && !map.contains_key(&key) {
        return None;
    }
    Some(map.entry(key).or_default())
}

/// The day of a time, since 1970.
pub(crate) fn day_of(at: Timestamp) -> u16 {
    u16::try_from(at.as_nanos() / 86_400_000_000_000).unwrap_or(u16::MAX)
}

/// Votes older than this are forgotten: two working weeks, so that a change of habit is normal
/// after one.
const MEMORY_DAYS: u16 = 14;

/// Shorter sessions do not vote.
pub(crate) const VOTES_FROM: Duration = Duration::from_secs(15 * 60);

/// What a host does on its first day is new to the sensor, not to the host.
pub(crate) const MATURE_AFTER: Duration = Duration::from_secs(20 * 3600);
