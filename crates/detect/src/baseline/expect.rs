//! What a baseline expects of one session: counts over everybody else. Weighs nothing.

use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::HostId;
use dwell_packet::Timestamp;

use super::hosts::Expectation;
use super::shapes::Deviation;
use super::votes::bin_from;
use super::{Baseline, Kind, MATURE_AFTER, ShapeKey, VOTES_FROM, VoteKey, Voters, bin_of, figures};
use crate::Shape;
use crate::mark::Mark;

/// A session as far as baselines go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) at: Timestamp,
    pub(crate) host: HostId,
    pub(crate) kind: Option<Kind>,
    pub(crate) application: Mark,
    /// [`Mark::NONE`] for what an application does at rare destinations together.
    pub(crate) destination: Mark,
    pub(crate) group: &'a Arc<str>,
    pub(crate) held: Duration,
    /// When the session began.
    pub(crate) began: Timestamp,
    pub(crate) shape: &'a Shape,
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
    pub(crate) class: DestinationClass,
    /// The longest that the application held anything on another host.
    pub(crate) longest_elsewhere: Option<Duration>,
    /// The longest that it held another destination on this host, and which.
    pub(crate) longest_here: Option<(Duration, Arc<str>)>,
    /// Share of bytes that the application's sessions send on other hosts, where they send most;
    /// `None` if that was not asked for or too few hosts know.
    pub(crate) usual_up_share: Option<f64>,
    /// How long the host has had the application, if it is new to a host that was known before.
    pub(crate) debut: Option<Duration>,
    /// What is expected; `None` while the sensor, or the host, is known for too short a time.
    pub(crate) expected: Option<Expected>,
}

/// What a baseline that has learnt for long enough expects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Expected {
    pub(crate) kind: Kind,
    pub(crate) arrival: Arrival,
    /// Time since the host first went there with this application.
    pub(crate) age: Duration,
    /// Days of other hosts, and those of them with such a session of the same application.
    pub(crate) host_days: u32,
    pub(crate) such: u32,
    /// The same for all applications of the kind.
    pub(crate) kind_host_days: u32,
    pub(crate) kind_such: u32,
    /// The least duration that counts as such.
    pub(crate) such_from: Duration,
    /// Destinations of the application over other hosts, and those that only one host has.
    pub(crate) pairs: u32,
    pub(crate) lone_pairs: u32,
    /// This user's sessions.
    pub(crate) user: Expectation,
    pub(crate) deviation: Option<Deviation>,
}

/// How many hosts share a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum DestinationClass {
    /// One other host at most.
    Rare,
    /// Fewer than three other hosts, or than 5 % of them.
    Uncommon,
    Common,
    /// Several rare ones together.
    Several,
}

/// When a host first went to a destination with an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Arrival {
    /// Less than a day ago, and the host was known before.
    New,
    /// Less than three days ago, and the host was known before.
    Recent,
    /// Longer ago, or when the host was new to the sensor.
    Established,
}

impl Arrival {
    /// Whether the sensor saw it begin, lately.
    pub(crate) const fn is_fresh(self) -> bool {
        matches!(self, Self::New | Self::Recent)
    }
}

impl DestinationClass {
    const ALL: [Self; 4] = [Self::Rare, Self::Uncommon, Self::Common, Self::Several];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rare => "rare",
            Self::Uncommon => "uncommon",
            Self::Common => "common",
            Self::Several => "several_rare",
        }
    }

    /// The class of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    fn of(others: u32, hosts: u32) -> Self {
        let all = f64::from(hosts) + 1.0;
        if others <= 1 {
            Self::Rare
        } else if f64::from(others) < (COMMON_SHARE * all).max(COMMON_HOSTS) {
            Self::Uncommon
        } else {
            Self::Common
        }
    }
}

impl Baseline {
    /// What is known of everybody but the host in question.
    pub(crate) fn peers(&self, query: &Query<'_>) -> Peers {
        let host = self.hosts.number(query.host);
        let application = self.applications.get(&query.application);
        let pair = self.pairs.get(&(query.application, query.destination));
        let destination = self.destinations.get(&query.destination);
        let here = host.and_then(|host| self.held_here.get(&(host, query.application)));
        Peers {
            hosts: self.other_hosts(host),
            with_application: application.map_or(0, |row| row.hosts.others(host)),
            with_destination: destination.map(|row| row.hosts.others(host)),
            with_pair: pair.map_or(0, |row| row.hosts.others(host)),
            class: self.class(query, host),
            longest_elsewhere: application
                .and_then(|row| row.longest.without(&host.unwrap_or(u32::MAX)))
                .map(|(held, _)| held),
            longest_here: here.and_then(|longest| longest.without(query.group)),
            usual_up_share: None,
            debut: None,
            expected: self.expected(query, host),
        }
    }

    /// The same, with what the application usually sends and since when the host has it.
    ///
    /// A minute is enough to send much: lengths are those of the shortest sessions that vote.
    pub(crate) fn peers_of_sender(&self, query: &Query<'_>) -> Peers {
        let query = &Query { held: query.held.max(VOTES_FROM), ..*query };
        let host = self.hosts.number(query.host);
        let shares = DestinationClass::ALL.into_iter().filter_map(|class| {
            let key = ShapeKey { application: Some(query.application), class };
            self.shapes.get(&key)?.mean_up_share(host)
        });
        Peers {
            usual_up_share: shares.reduce(f64::max),
            debut: host.and_then(|host| self.debut(query, host)),
            ..self.peers(query)
        }
    }

    fn debut(&self, query: &Query<'_>, host: u32) -> Option<Duration> {
        let first = *self.debuts.get(&(host, query.application))?;
        let age = query.at.saturating_since(first);
        (age < NEW_FOR && self.was_mature(host, query.at, age)).then_some(age)
    }

    /// Whether a host was known for long enough when something began, `age` before `at`.
    fn was_mature(&self, host: u32, at: Timestamp, age: Duration) -> bool {
        let row = self.hosts.row(host);
        row.is_some_and(|row| row.known_for(at).saturating_sub(age) > MATURE_AFTER)
    }

    /// The kind of an application that was seen here.
    pub(crate) fn kind_of(&self, application: Mark) -> Option<Kind> {
        self.applications.get(&application)?.kind
    }

    /// How long sessions of a host's user usually last.
    pub(crate) fn user_expected(&self, host: HostId) -> Option<Duration> {
        Some(self.hosts.row(self.hosts.number(host)?)?.expectation.expected())
    }

    /// When a host first went to a destination with an application.
    pub(crate) fn first_contact(
        &self,
        host: HostId,
        application: Mark,
        destination: Mark,
    ) -> Option<Timestamp> {
        self.arrivals.get(&(self.hosts.number(host)?, application, destination)).copied()
    }

    /// The time of the newest contact.
    pub(crate) fn newest(&self) -> Timestamp {
        self.arrivals.values().copied().max().unwrap_or(Timestamp::ZERO)
    }

    fn expected(&self, query: &Query<'_>, host: Option<u32>) -> Option<Expected> {
        let kind = query.kind?;
        let number = host?;
        let old = query.at.saturating_since(self.first()?) >= FLEET_FROM;
        if !old || !self.is_mature(number, query.at) {
            return None;
        }
        let arrival = self.arrival(query, host);
        let class = self.class(query, host);
        let bin = bin_of(query.held.min(LONGEST_THAT_COUNTS))?;
        let count = |voters| {
            let key = VoteKey { voters, class, fresh: arrival.is_fresh() };
            self.held.get(&key).map_or(0, |votes| votes.at_least(bin, host))
        };
        let application = self.applications.get(&query.application);
        let (host_days, kind_host_days) = match kind {
            // Anybody may come to run these: days without the application count as well.
            Kind::Library | Kind::Unknown => {
                let all = self.mature.host_days(host);
                (all, all)
            }
            Kind::Browser | Kind::Known => (
                application.map_or(0, |row| row.mature.host_days(host)),
                self.kinds.get(&kind).map_or(0, |votes| votes.host_days(host)),
            ),
        };
        let own = application.and_then(|row| row.own.get(&number)).copied().unwrap_or_default();
        let pairs = application.map_or((0, 0), |row| (row.pairs, row.lone));
        Some(Expected {
            kind,
            arrival,
            age: self.age(query, number),
            host_days,
            such: count(Voters::Application(query.application)),
            kind_host_days,
            kind_such: count(Voters::Kind(kind)),
            such_from: bin_from(bin),
            pairs: pairs.0.saturating_sub(own.0),
            lone_pairs: pairs.1.saturating_sub(own.1),
            user: self.hosts.row(number)?.expectation,
            deviation: self
                .shapes
                .get(&self.shape_key(query, host))
                .and_then(|shapes| shapes.deviation(host, &figures(query.shape))),
        })
    }

    pub(super) fn shape_key(&self, query: &Query<'_>, host: Option<u32>) -> ShapeKey {
        let others =
            self.applications.get(&query.application).map_or(0, |row| row.hosts.others(host));
        ShapeKey {
            application: (others >= OWN_SHAPE_HOSTS).then_some(query.application),
            class: self.class(query, host),
        }
    }

    pub(super) fn class(&self, query: &Query<'_>, host: Option<u32>) -> DestinationClass {
        if query.destination == Mark::NONE {
            return DestinationClass::Several;
        }
        // Rare if it is not counted, so that a flood of names hides nothing.
        let others =
            self.destinations.get(&query.destination).map_or(0, |row| row.hosts.others(host));
        DestinationClass::of(others, self.other_hosts(host))
    }

    pub(super) fn arrival(&self, query: &Query<'_>, host: Option<u32>) -> Arrival {
        let Some(number) = host else { return Arrival::Established };
        let age = self.age(query, number);
        if !self.was_mature(number, query.at, age) || age >= RECENT_FOR {
            Arrival::Established
        } else if age >= NEW_FOR {
            Arrival::Recent
        } else {
            Arrival::New
        }
    }

    fn age(&self, query: &Query<'_>, host: u32) -> Duration {
        let key = (host, query.application, query.destination);
        let first = self.arrivals.get(&key).copied().unwrap_or(query.began);
        query.at.saturating_since(first)
    }

    fn other_hosts(&self, host: Option<u32>) -> u32 {
        self.hosts.len().saturating_sub(u32::from(host.is_some()))
    }
}

/// A destination that this share of hosts, and this many of them, have is common.
const COMMON_SHARE: f64 = 0.05;
const COMMON_HOSTS: f64 = 3.0;

/// An application that this many other hosts have is compared with its own shapes.
const OWN_SHAPE_HOSTS: u32 = 3;

/// A destination is new to a host for a day, and recent for three.
const NEW_FOR: Duration = Duration::from_secs(24 * 3600);
const RECENT_FOR: Duration = Duration::from_secs(72 * 3600);

/// A fleet that is known for less has no normal yet.
const FLEET_FROM: Duration = Duration::from_secs(24 * 3600);

/// Beyond four hours nothing is more unusual: it would reward the longest push and agent sessions.
const LONGEST_THAT_COUNTS: Duration = Duration::from_secs(4 * 3600);
