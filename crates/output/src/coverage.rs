//! What could not be seen, host by host: the other side of every answer. Judges nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dwell_attribution::{HostRef, Outcome};
use dwell_engine::{FlowRecord, Moment, Record};
use dwell_packet::Transport;
use serde::Serialize;

/// Hosts told apart; the flows of further ones are counted together.
const MAX_HOSTS: usize = 65_536;

/// Flows that could be HTTP(S), and what limited what could be seen of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Flows with payload that ended.
    pub flows: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Flows of which the application is known.
    pub attributed: u64,
    /// Flows for each limit, by its name in records.
    pub limits: BTreeMap<&'static str, u64>,
}

/// What was seen of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostCoverage {
    /// Its address, the first one if it has several.
    pub host: IpAddr,
    /// Its name, if one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its operating system, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<&'static str>,
    /// Why its address may stand for several machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspected: Option<&'static str>,
    /// Its flows.
    #[serde(flatten)]
    pub seen: Seen,
}

/// What could not be seen, host by host.
#[derive(Debug, Default)]
pub struct Coverage {
    hosts: BTreeMap<IpAddr, HostCoverage>,
    total: Seen,
    /// Flows of hosts beyond the bound.
    others: Seen,
}

impl Coverage {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one record in; only ends of flows that could be HTTP(S) and carried payload count.
    pub fn take(&mut self, record: &Record) {
        let Record::Flow(flow) = record else { return };
        let payload = flow.snapshot.sent.payload_bytes + flow.snapshot.received.payload_bytes;
        if !matches!(flow.moment, Moment::End(_)) || payload == 0 || !may_be_web(flow) {
            return;
        }
        self.total.count(flow);
        let host = &flow.identity.host;
        let full = self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&host.id.0);
        if full {
            self.others.count(flow);
            return;
        }
        let entry = self.hosts.entry(host.id.0).or_insert_with(|| HostCoverage::of(host));
        entry.learn(host);
        entry.seen.count(flow);
    }

    /// Every host, those with the most bytes first.
    #[must_use]
    pub fn hosts(&self) -> Vec<&HostCoverage> {
        let mut hosts: Vec<&HostCoverage> = self.hosts.values().collect();
        hosts.sort_by(|a, b| b.seen.bytes.cmp(&a.seen.bytes).then(a.host.cmp(&b.host)));
        hosts
    }

    /// All hosts together.
    #[must_use]
    pub const fn total(&self) -> &Seen {
        &self.total
    }

    /// Hosts beyond the bound, together.
    #[must_use]
    pub const fn others(&self) -> &Seen {
        &self.others
    }
}

impl Seen {
    /// Flows that this limit holds for.
    #[must_use]
    pub fn limited_by(&self, limit: &str) -> u64 {
        self.limits.get(limit).copied().unwrap_or(0)
    }

    fn count(&mut self, flow: &FlowRecord) {
        self.flows += 1;
        self.bytes += flow.snapshot.sent.wire_bytes + flow.snapshot.received.wire_bytes;
        let outcome = flow.identity.application.outcome;
        self.attributed += u64::from(outcome == Outcome::Application);
        for limit in flow.visibility().names() {
            *self.limits.entry(limit).or_default() += 1;
        }
    }
}

impl HostCoverage {
    fn of(host: &HostRef) -> Self {
        let (name, os, suspected) = (None, None, None);
        Self { host: host.id.0, name, os, suspected, seen: Seen::default() }
    }

    /// Takes over what became known since the last flow.
    fn learn(&mut self, host: &HostRef) {
        if let Some(name) = &host.name {
            self.name = Some(name.to_string());
        }
        self.os = host.os.map(|guess| guess.os.label()).or(self.os);
        self.suspected = host.suspected.map(|suspected| suspected.name()).or(self.suspected);
    }
}

/// Whether a flow is, or could be, HTTP or TLS.
fn may_be_web(flow: &FlowRecord) -> bool {
    let port = flow.identity.tuple.dst.port;
    flow.opening_seen
        || match flow.identity.tuple.transport {
            Transport::Tcp => port != 53,
            Transport::Udp => port == 443,
        }
}
