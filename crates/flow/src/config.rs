//! What the flow table may be told: time-outs and bounds. Reads no files.

use std::time::Duration;

use crate::reassembly::OverlapPolicy;

/// How long a flow may be silent before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// An established TCP connection. Every tool we studied cuts it after minutes, which loses
    /// exactly the sessions that matter here.
    pub tcp_established: Duration,
    /// A TCP connection whose handshake never finished.
    pub tcp_unestablished: Duration,
    /// A TCP connection after FIN or RST; kept a little so that late segments do not open a flow.
    pub tcp_closed: Duration,
    /// A UDP flow.
    pub udp: Duration,
    /// A UDP flow on which QUIC was seen.
    pub quic: Duration,
}

impl Default for Timeouts {
    /// TCP established 24 h, unestablished 30 s, closed 10 s, UDP 5 m, QUIC 2 h.
    fn default() -> Self {
        Self {
            tcp_established: Duration::from_secs(24 * 3600),
            tcp_unestablished: Duration::from_secs(30),
            tcp_closed: Duration::from_secs(10),
            udp: Duration::from_secs(300),
            quic: Duration::from_secs(2 * 3600),
        }
    }
}

/// What besides the five-tuple keeps two flows apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlowScope {
    /// Nothing: both directions are one flow even where a mirror port tags only one of them.
    #[default]
    Plain,
    /// The VLAN tags: for sites that use the same addresses in several VLANs.
    Vlan,
    /// The VLAN tags and the innermost tunnel's kind and identifier: for mirrors of several
    /// tenants.
    Encapsulation,
}

/// Bounds and time-outs of a flow table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowConfig {
    /// How long flows may be silent.
    pub timeouts: Timeouts,
    /// The most flows kept at once; beyond it cheap flows are evicted, then new ones refused.
    pub max_flows: usize,
    /// The most bytes that all reassembly queues together may hold.
    pub max_reassembly_bytes: usize,
    /// Ages of an open flow at which an update is due; after the last, every `update_every`.
    pub update_ages: Vec<Duration>,
    /// Whose bytes win where early TCP segments overlap.
    pub overlap: OverlapPolicy,
    /// What besides the five-tuple keeps two flows apart.
    pub scope: FlowScope,
    /// Period of updates after the last of `update_ages`.
    pub update_every: Duration,
    /// An established flow with payload that is at least this old is under watch: never evicted.
    pub watch_after: Duration,
}

impl Default for FlowConfig {
    /// 2 M flows (a third of a gigabyte without payload, a gigabyte with a hello in each, and twice
    /// that with statistics in each), 256 MiB of reassembly, updates at 5 m, 15 m, 1 h and then hourly.
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            max_flows: 1 << 21,
            max_reassembly_bytes: 256 << 20,
            update_ages: [5, 15, 60].map(|minutes| Duration::from_secs(minutes * 60)).to_vec(),
            update_every: Duration::from_secs(3600),
            overlap: OverlapPolicy::First,
            scope: FlowScope::Plain,
            watch_after: Duration::from_secs(300),
        }
    }
}
