//! The join: observations in, the process of a flow out. Decides who is believed, keeps all bounds.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dwell_packet::{Endpoint, Timestamp, Transport};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::machines::{Machine, Machines};
use super::observation::{Observation, Seen, SocketName, SocketSighting, When};
use super::process::{Join, ProcessFacts, TelemetrySource};
use super::sightings::{Kept, Sighting, Sightings};

/// Windows and bounds of the join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// How long after a flow's last packet a sighting of its socket still counts: polled sources
    /// look every now and then.
    pub window: Duration,
    /// How much hosts' clocks may differ from the sensor's.
    pub max_skew: Duration,
    /// How far the hosts' clocks are known to be ahead.
    pub clocks_ahead: Duration,
    /// How far the hosts' clocks are known to be behind.
    pub clocks_behind: Duration,
    /// Most sightings of sockets kept; about 500 bytes each.
    pub max_sightings: usize,
    /// Most processes kept; about 500 bytes each.
    pub max_processes: usize,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            max_skew: Duration::from_secs(5),
            clocks_ahead: Duration::ZERO,
            clocks_behind: Duration::ZERO,
            max_sightings: 1 << 17,
            max_processes: 1 << 17,
        }
    }
}

/// What telemetry counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TelemetryCounters {
    /// Observations taken in.
    pub observations: u64,
    /// Sightings that repeat what was known.
    pub duplicates: u64,
    /// Sightings with a time too far from packet time.
    pub absurd: u64,
    /// Sightings of an address that another machine, or another feed, speaks for.
    pub foreign: u64,
    /// Sightings and processes refused for want of room.
    pub refused: u64,
    /// Sockets without addresses that several open flows could be.
    pub ambiguous: u64,
    /// Flows of which two sources name different processes.
    pub conflicts: u64,
    /// Flows joined with a process.
    pub joined: u64,
    /// Flows whose process and fingerprint do not go together.
    pub disagreements: u64,
}

/// A flow as telemetry looks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowView {
    /// The host's end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// TCP or UDP.
    pub transport: Transport,
    /// Time of the first packet.
    pub first: Timestamp,
    /// Time of the last packet so far.
    pub last: Timestamp,
    /// Community ID, where [`Telemetry::wants_community_id`].
    pub community_id: Option<Arc<str>>,
}

/// Who told that a flow is a process's, and by what they were joined.
pub type Found = (ProcessFacts, TelemetrySource, Join);

/// What hosts told of their processes, joined with flows by socket and time.
#[derive(Debug)]
pub struct Telemetry {
    config: TelemetryConfig,
    sightings: Sightings,
    machines: Machines,
    /// Which machine speaks for an address, and when it last did.
    owners: HashMap<IpAddr, (Machine, Timestamp), RandomState>,
    flows: HashMap<u64, Watched, RandomState>,
    waiting: HashMap<SocketName, Vec<u64>, RandomState>,
    of_pid: HashMap<u32, Vec<u64>, RandomState>,
    counters: TelemetryCounters,
    fed: bool,
}

#[derive(Debug)]
struct Watched {
    view: FlowView,
    pid: Option<u32>,
}

impl Telemetry {
    /// Telemetry that has heard nothing.
    #[must_use]
    pub fn new(config: TelemetryConfig) -> Self {
        Self {
            sightings: Sightings::new(config.max_sightings),
            machines: Machines::new(config.max_processes),
            owners: HashMap::default(),
            flows: HashMap::default(),
            waiting: HashMap::default(),
            of_pid: HashMap::default(),
            counters: TelemetryCounters::default(),
            fed: false,
            config,
        }
    }

    /// Whether anything was ever observed: without, flows need not be shown.
    #[must_use]
    pub const fn is_fed(&self) -> bool {
        self.fed
    }

    /// Whether a flow's Community ID can help.
    #[must_use]
    pub const fn wants_community_id(&self) -> bool {
        self.sightings.has_community_ids()
    }

    /// How far ahead of packet time observations are wanted.
    #[must_use]
    pub const fn lead(&self) -> Duration {
        self.config.window
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> TelemetryCounters {
        self.counters
    }

    /// Counts a flow whose process and fingerprint do not go together.
    pub const fn note_disagreement(&mut self) {
        self.counters.disagreements += 1;
    }

    /// Sightings and processes kept, and flows watched.
    #[must_use]
    pub fn len(&self) -> (usize, usize, usize) {
        (self.sightings.len(), self.machines.len(), self.flows.len())
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0, 0)
    }

    /// Takes an observation in at packet time `now`; gives the open flows to look at again.
    pub fn observe(
        &mut self,
        now: Timestamp,
        observation: Observation,
        hosts: Option<&Arc<[IpAddr]>>,
    ) -> Vec<u64> {
        self.fed = true;
        self.counters.observations += 1;
        let Observation { machine, at, source, seen } = observation;
        let at = match at {
            When::At(at) => Some(self.corrected(at)),
            When::TimeOfDay(of_day) => super::clock::nearest(of_day, now),
            When::Unknown => None,
        };
        match seen {
            Seen::Process(process) => self.learn(now, &machine, at, &process),
            Seen::Socket(socket) => {
                let told = Told { now, machine, at, source, hosts };
                self.sight(&told, *socket)
            }
        }
    }

    /// Looks a flow up, and watches it until [`Telemetry::forget`].
    pub fn identify(&mut self, flow: u64, view: FlowView) -> Option<Found> {
        if !self.fed {
            return None;
        }
        let names = names(&view);
        let known = self.flows.get(&flow).map(|watched| watched.view.clone());
        if known.as_ref().is_none_or(|known| known.local != view.local) {
            self.forget(flow);
            for name in &names {
                self.waiting.entry(name.clone()).or_default().push(flow);
            }
        }
        let found = self.find(&view, &names);
        let pid = found.as_ref().map(|(facts, ..)| facts.pid);
        let before = self.flows.insert(flow, Watched { view, pid }).and_then(|known| known.pid);
        if pid != before {
            self.counters.joined += u64::from(before.is_none());
            take_out(&mut self.of_pid, before.as_ref(), flow);
            if let Some(pid) = pid {
                self.of_pid.entry(pid).or_default().push(flow);
            }
        }
        found
    }

    /// Watches a flow no longer.
    pub fn forget(&mut self, flow: u64) {
        let Some(watched) = self.flows.remove(&flow) else { return };
        for name in names(&watched.view) {
            take_out(&mut self.waiting, Some(&name), flow);
        }
        take_out(&mut self.of_pid, watched.pid.as_ref(), flow);
    }

    fn corrected(&self, at: Timestamp) -> Timestamp {
        at.saturating_sub(self.config.clocks_ahead).saturating_add(self.config.clocks_behind)
    }

    fn learn(
        &mut self,
        now: Timestamp,
        machine: &Machine,
        at: Option<Timestamp>,
        process: &ProcessFacts,
    ) -> Vec<u64> {
        let at = at.unwrap_or(now);
        if now != Timestamp::ZERO && at.saturating_since(now) > MAX_AHEAD {
            self.counters.absurd += 1;
            return Vec::new();
        }
        let new = self.machines.learn(machine, at, process);
        if !new {
            return Vec::new();
        }
        self.of_pid.get(&process.pid).cloned().unwrap_or_default()
    }

    fn sight(&mut self, told: &Told<'_>, socket: SocketSighting) -> Vec<u64> {
        let Told { now, at, .. } = *told;
        if let Some(at) = at
            && now != Timestamp::ZERO
            && (at.saturating_since(now) > self.config.window.saturating_add(self.config.max_skew)
                || now.saturating_since(at) > MAX_BEHIND)
        {
            self.counters.absurd += 1;
            return Vec::new();
        }
        if !self.may_speak(told, &socket.socket) {
            self.counters.foreign += 1;
            return Vec::new();
        }
        let since = socket.since.map(|since| self.corrected(since));
        let interval = at.map(|at| (since.unwrap_or(at).min(at), at));
        let retention = self.config.window.saturating_add(self.config.max_skew).saturating_mul(2);
        let sighting = Sighting {
            machine: told.machine.clone(),
            source: told.source,
            interval,
            transport: socket.transport,
            hosts: told.hosts.cloned(),
            expires: at.map_or(Timestamp::MAX, |at| at.max(now).saturating_add(retention)),
            process: socket.process,
        };
        match self.sightings.keep(now, &socket.socket, sighting) {
            Kept::New => {}
            Kept::Again => self.counters.duplicates += 1,
            Kept::Refused => self.counters.refused += 1,
        }
        self.waiting.get(&socket.socket).cloned().unwrap_or_default()
    }

    /// Whether the teller may speak for the socket's host: a feed that is bound to addresses for
    /// those only, and a machine not for an address that another one has just spoken for.
    fn may_speak(&mut self, told: &Told<'_>, socket: &SocketName) -> bool {
        let SocketName::Endpoints { local, .. } = socket else { return true };
        if told.hosts.is_some_and(|hosts| !hosts.contains(&local.addr)) {
            return false;
        }
        if told.machine.is_none() {
            return true;
        }
        let at = told.at.unwrap_or(told.now);
        let full = self.owners.len() >= MAX_OWNERS;
        match self.owners.get_mut(&local.addr) {
            Some((machine, last)) => {
                let lapsed = at.saturating_since(*last) > OWNED_FOR;
                if *machine != told.machine && !lapsed {
                    return false;
                }
                (*machine, *last) = (told.machine.clone(), at.max(*last));
                true
            }
            None => {
                if !full {
                    self.owners.insert(local.addr, (told.machine.clone(), at));
                }
                true
            }
        }
    }

    fn find(&mut self, view: &FlowView, names: &[SocketName]) -> Option<Found> {
        let mut best: Option<(&Sighting, Join, Duration)> = None;
        let mut fitting: Vec<&Sighting> = Vec::new();
        for name in names {
            let sightings = self.sightings.of(name);
            let hidden = matches!(name, SocketName::Ports { .. });
            if hidden && !sightings.is_empty() && !self.is_alone(name, view) {
                self.counters.ambiguous += 1;
                continue;
            }
            for sighting in sightings {
                let Some(distance) = self.distance(sighting, view) else { continue };
                fitting.push(sighting);
                let join = join(name, sighting);
                let rank = |sighting: &Sighting, join: Join, distance| {
                    (sighting.interval.is_none(), sighting.source, join, distance)
                };
                let better = best.is_none_or(|(known, by, far)| {
                    rank(sighting, join, distance) < rank(known, by, far)
                });
                if better {
                    best = Some((sighting, join, distance));
                }
            }
        }
        let (sighting, join, _) = best?;
        let mut facts = sighting.process.clone();
        for other in fitting {
            if other.process.pid == facts.pid && other.process.may_be(&facts) {
                facts.complete(&other.process);
            } else {
                self.counters.conflicts += 1;
            }
        }
        let at = sighting.interval.map_or(view.last, |(_, at)| at);
        self.machines.complete(&sighting.machine, at, &mut facts);
        Some((facts, sighting.source, join))
    }

    /// How far a sighting lies from a flow's opening; `None` if it cannot be this flow.
    fn distance(&self, sighting: &Sighting, view: &FlowView) -> Option<Duration> {
        let other = sighting.transport.is_some_and(|transport| transport != view.transport);
        let foreign =
            sighting.hosts.as_ref().is_some_and(|hosts| !hosts.contains(&view.local.addr));
        if other || foreign {
            return None;
        }
        let Some((since, at)) = sighting.interval else { return Some(self.config.window) };
        let early = view.first.saturating_since(at);
        let late = since.saturating_since(view.last);
        if early > self.config.max_skew || late > self.config.window {
            return None;
        }
        Some(since.saturating_since(view.first).max(view.first.saturating_since(since)))
    }

    /// Whether all open flows with these ports are of the flow's own host.
    fn is_alone(&self, name: &SocketName, view: &FlowView) -> bool {
        let flows = self.waiting.get(name).into_iter().flatten();
        let mut hosts = flows.filter_map(|flow| self.flows.get(flow));
        hosts.all(|other| other.view.local == view.local && other.view.remote == view.remote)
    }
}

/// Who tells, and when.
struct Told<'h> {
    now: Timestamp,
    machine: Machine,
    at: Option<Timestamp>,
    source: TelemetrySource,
    hosts: Option<&'h Arc<[IpAddr]>>,
}

/// The names under which a flow's socket may have been seen.
fn names(view: &FlowView) -> Vec<SocketName> {
    let ports = SocketName::Ports { local: view.local.port, remote: view.remote.port };
    let id = view.community_id.clone().map(SocketName::CommunityId);
    SocketName::of_ends(view.local, view.remote).into_iter().chain(id).chain([ports]).collect()
}

const fn join(name: &SocketName, sighting: &Sighting) -> Join {
    match name {
        SocketName::Ports { .. } => Join::Ports,
        _ if sighting.interval.is_none() => Join::Untimed,
        SocketName::CommunityId(_) => Join::CommunityId,
        SocketName::Endpoints { .. } => Join::FiveTuple,
    }
}

fn take_out<K: std::hash::Hash + Eq>(
    index: &mut HashMap<K, Vec<u64>, RandomState>,
    key: Option<&K>,
    flow: u64,
) {
    let Some(key) = key else { return };
    if let Some(flows) = index.get_mut(key) {
        flows.retain(|&other| other != flow);
        if flows.is_empty() {
            index.remove(key);
        }
    }
}

/// Addresses whose machine is remembered.
const MAX_OWNERS: usize = 1 << 16;

/// A machine that was silent for longer may have lost its address to another (DHCP).
const OWNED_FOR: Duration = Duration::from_secs(3600);

/// A sighting further behind packet time is of another day's capture.
const MAX_BEHIND: Duration = Duration::from_secs(86_400);

/// An execution further ahead of packet time is no execution that this packet can know.
const MAX_AHEAD: Duration = Duration::from_secs(86_400);
