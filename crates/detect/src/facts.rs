//! What the detector is told of flows: facts when one opens, bursts while it runs.

use std::sync::Arc;

use dwell_attribution::{Attribution, Destination, HostRef};
use dwell_packet::Timestamp;

/// What is known of one flow when it opens, or better known later.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowFacts {
    /// The flow, unique while the detector lives.
    pub flow_id: u64,
    /// The local host that holds it.
    pub host: HostRef,
    /// Its application.
    pub attribution: Arc<Attribution>,
    /// Where it goes.
    pub destination: Destination,
    /// Time of its first packet.
    pub opened: Timestamp,
    /// What limits the trust in its figures.
    pub visibility: Visibility,
    /// Whether its address was looked up.
    pub lookup: NameLookup,
    /// Whether its session counted it already, before the sensor was started again.
    pub continued: bool,
}

/// What limits the trust in a flow or session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visibility {
    /// It was open already when it was first seen.
    pub midstream: bool,
    /// Only one direction was seen.
    pub one_sided: bool,
    /// Bytes are missing.
    pub gaps: bool,
    /// The hello was encrypted, so that its name may be a public one.
    pub ech: bool,
    /// It goes through a proxy.
    pub proxied: bool,
    /// Neither a ClientHello nor an HTTP request was seen.
    pub no_hello: bool,
    /// The hello named no server.
    pub no_sni: bool,
    /// Its fingerprint is that of a stack which several applications share.
    pub shared_fingerprint: bool,
    /// No endpoint telemetry named its process.
    pub no_telemetry: bool,
    /// The host's address shows several operating systems: a NAT or a proxy.
    pub several_systems: bool,
    /// The kernel or the network card dropped packets meanwhile, of whatever flow.
    pub capture_loss: bool,
}

impl Visibility {
    /// Both together: what limits either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            midstream: self.midstream || other.midstream,
            one_sided: self.one_sided || other.one_sided,
            gaps: self.gaps || other.gaps,
            ech: self.ech || other.ech,
            proxied: self.proxied || other.proxied,
            no_hello: self.no_hello || other.no_hello,
            no_sni: self.no_sni || other.no_sni,
            shared_fingerprint: self.shared_fingerprint || other.shared_fingerprint,
            no_telemetry: self.no_telemetry || other.no_telemetry,
            several_systems: self.several_systems || other.several_systems,
            capture_loss: self.capture_loss || other.capture_loss,
        }
    }

    /// One bit a limit: what a session keeps.
    pub(crate) fn bits(self) -> u16 {
        let all = [
            self.midstream,
            self.one_sided,
            self.gaps,
            self.ech,
            self.proxied,
            self.no_hello,
            self.no_sni,
            self.shared_fingerprint,
            self.no_telemetry,
            self.several_systems,
            self.capture_loss,
        ];
        all.into_iter().rev().fold(0, |bits, holds| (bits << 1) | u16::from(holds))
    }

    /// What [`Visibility::bits`] gave.
    pub(crate) fn from_bits(bits: u16) -> Self {
        let has = |place: u16| bits & (1 << place) != 0;
        Self {
            midstream: has(0),
            one_sided: has(1),
            gaps: has(2),
            ech: has(3),
            proxied: has(4),
            no_hello: has(5),
            no_sni: has(6),
            shared_fingerprint: has(7),
            no_telemetry: has(8),
            several_systems: has(9),
            capture_loss: has(10),
        }
    }

    /// The limits that hold, by their names in records.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (self.midstream, "midstream"),
            (self.one_sided, "one_sided"),
            (self.gaps, "gaps"),
            (self.ech, "ech"),
            (self.proxied, "proxied"),
            (self.no_hello, "no_hello"),
            (self.no_sni, "no_sni"),
            (self.shared_fingerprint, "shared_fingerprint"),
            (self.no_telemetry, "no_telemetry"),
            (self.several_systems, "several_systems"),
            (self.capture_loss, "capture_loss"),
        ]
        .into_iter()
        .filter_map(|(holds, name)| holds.then_some(name))
    }
}

/// Whether the host looked up the address it talks to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameLookup {
    /// A DNS answer gave the address.
    Seen,
    /// The host's resolver is watched, and nobody asked for the address.
    Absent,
    /// Nothing can be said: the resolver is not watched, or asked over an encrypted channel.
    #[default]
    Unknown,
}

impl NameLookup {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }
}

/// Payload of one flow with less than a second of silence inside.
///
/// A long burst may come in parts that touch. Parts and bursts may come up to
/// [`crate::DetectConfig::reorder_window`] after their start, in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Time of its first payload.
    pub start: Timestamp,
    /// Time of its last payload.
    pub end: Timestamp,
    /// Payload bytes from the host.
    pub up_bytes: u64,
    /// Payload bytes to the host.
    pub down_bytes: u64,
    /// Who spoke first.
    pub first: Side,
}

/// One side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The local host.
    Client,
    /// The far side.
    Server,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_survive_as_bits() {
        for bits in 0..2048 {
            assert_eq!(Visibility::from_bits(bits).bits(), bits);
        }
    }
}
