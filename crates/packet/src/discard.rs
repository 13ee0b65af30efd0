//! Why a frame gives no PDU. Knows reasons, not how they are found.

use std::fmt;

/// Why a frame gives no PDU. Each has a name for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Discard {
    /// The link type is none that is decoded.
    UnknownLinkType,
    /// The frame carries no IP packet.
    NotIp(NotIp),
    /// The capture cut the frame inside this header.
    Truncated(Layer),
    /// The header contradicts itself or the length of what it is in; a receiver drops it.
    Malformed(Layer),
    /// What it carries is encrypted below the transport layer (802.11, MACsec, MPPE).
    Encrypted,
    /// A fragment, kept until the rest of its datagram comes.
    FragmentHeld,
    /// A fragment that is not kept.
    FragmentRefused(FragmentRefusal),
    /// An IP packet of another transport protocol.
    OtherTransport(OtherTransport),
    /// More headers inside each other than are walked.
    TooDeep,
}

/// What a frame carries instead of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotIp {
    /// ARP and RARP.
    Arp,
    /// LLDP.
    Lldp,
    /// Spanning tree.
    Stp,
    /// A control or management message of a link or tunnel: 802.11 beacons, PPP LCP, PPPoE
    /// discovery, L2TP control, LACP.
    Control,
    /// Anything else.
    Other,
}

/// The header at which decoding stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// A link layer header.
    Link,
    /// A tunnel header.
    Tunnel,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// An IPv6 extension header or the authentication header.
    Extension,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Why a fragment is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FragmentRefusal {
    /// The capture cut it short.
    Cut,
    /// It carries nothing.
    Empty,
    /// It is not the last, and its length is no multiple of eight.
    Misaligned,
    /// It ends above 65,535 bytes.
    TooLong,
    /// Its IPv4 header checksum is wrong: no receiver takes it.
    BadChecksum,
    /// It contradicts the end of the datagram that another fragment gave.
    BeyondEnd,
    /// It overlaps another with other bounds, and the policy drops such datagrams whole.
    Overlap,
    /// It repeats what was there.
    Duplicate,
}

/// Transport protocols that are not tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OtherTransport {
    /// ICMP for IPv4 and IPv6.
    Icmp,
    /// IGMP.
    Igmp,
    /// SCTP.
    Sctp,
    /// ESP.
    Esp,
    /// Routing protocols: EIGRP, OSPF, PIM, VRRP.
    Routing,
    /// IPv6 "no next header".
    Nothing,
    /// Any other protocol.
    Other,
}

impl Discard {
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every reason, in the order of [`Discard::index`].
    pub const ALL: [Self; 38] = [
        Self::UnknownLinkType,
        Self::NotIp(NotIp::Arp),
        Self::NotIp(NotIp::Lldp),
        Self::NotIp(NotIp::Stp),
        Self::NotIp(NotIp::Control),
        Self::NotIp(NotIp::Other),
        Self::Truncated(Layer::Link),
        Self::Truncated(Layer::Tunnel),
        Self::Truncated(Layer::Ipv4),
        Self::Truncated(Layer::Ipv6),
        Self::Truncated(Layer::Extension),
        Self::Truncated(Layer::Tcp),
        Self::Truncated(Layer::Udp),
        Self::Malformed(Layer::Link),
        Self::Malformed(Layer::Tunnel),
        Self::Malformed(Layer::Ipv4),
        Self::Malformed(Layer::Ipv6),
        Self::Malformed(Layer::Extension),
        Self::Malformed(Layer::Tcp),
        Self::Malformed(Layer::Udp),
        Self::Encrypted,
        Self::FragmentHeld,
        Self::FragmentRefused(FragmentRefusal::Cut),
        Self::FragmentRefused(FragmentRefusal::Empty),
        Self::FragmentRefused(FragmentRefusal::Misaligned),
        Self::FragmentRefused(FragmentRefusal::TooLong),
        Self::FragmentRefused(FragmentRefusal::BadChecksum),
        Self::FragmentRefused(FragmentRefusal::BeyondEnd),
        Self::FragmentRefused(FragmentRefusal::Overlap),
        Self::FragmentRefused(FragmentRefusal::Duplicate),
        Self::OtherTransport(OtherTransport::Icmp),
        Self::OtherTransport(OtherTransport::Igmp),
        Self::OtherTransport(OtherTransport::Sctp),
        Self::OtherTransport(OtherTransport::Esp),
        Self::OtherTransport(OtherTransport::Routing),
        Self::OtherTransport(OtherTransport::Nothing),
        Self::OtherTransport(OtherTransport::Other),
        Self::TooDeep,
    ];

    /// The place of the reason in [`Discard::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::UnknownLinkType => 0,
            Self::NotIp(what) => 1 + what as usize,
            Self::Truncated(layer) => 6 + layer as usize,
            Self::Malformed(layer) => 13 + layer as usize,
            Self::Encrypted => 20,
            Self::FragmentHeld => 21,
            Self::FragmentRefused(why) => 22 + why as usize,
            Self::OtherTransport(what) => 30 + what as usize,
            Self::TooDeep => 37,
        }
    }

    /// The name in records and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownLinkType => "unknown_link_type",
            Self::NotIp(NotIp::Arp) => "arp",
            Self::NotIp(NotIp::Lldp) => "lldp",
            Self::NotIp(NotIp::Stp) => "stp",
            Self::NotIp(NotIp::Control) => "link_control",
            Self::NotIp(NotIp::Other) => "not_ip",
            Self::Truncated(Layer::Link) => "truncated_link",
            Self::Truncated(Layer::Tunnel) => "truncated_tunnel",
            Self::Truncated(Layer::Ipv4) => "truncated_ipv4",
            Self::Truncated(Layer::Ipv6) => "truncated_ipv6",
            Self::Truncated(Layer::Extension) => "truncated_extension",
            Self::Truncated(Layer::Tcp) => "truncated_tcp",
            Self::Truncated(Layer::Udp) => "truncated_udp",
            Self::Malformed(Layer::Link) => "malformed_link",
            Self::Malformed(Layer::Tunnel) => "malformed_tunnel",
            Self::Malformed(Layer::Ipv4) => "malformed_ipv4",
            Self::Malformed(Layer::Ipv6) => "malformed_ipv6",
            Self::Malformed(Layer::Extension) => "malformed_extension",
            Self::Malformed(Layer::Tcp) => "malformed_tcp",
            Self::Malformed(Layer::Udp) => "malformed_udp",
            Self::Encrypted => "encrypted",
            Self::FragmentHeld => "fragment_held",
            Self::FragmentRefused(why) => why.name(),
            Self::OtherTransport(what) => what.name(),
            Self::TooDeep => "too_deep",
        }
    }

    /// Whether the bytes are not what the header above took them for (cut bytes prove nothing).
    pub(crate) const fn is_contradiction(self) -> bool {
        matches!(self, Self::Malformed(_) | Self::NotIp(NotIp::Other))
    }
}

impl FragmentRefusal {
    const fn name(self) -> &'static str {
        match self {
            Self::Cut => "fragment_cut",
            Self::Empty => "fragment_empty",
            Self::Misaligned => "fragment_misaligned",
            Self::TooLong => "fragment_too_long",
            Self::BadChecksum => "fragment_bad_checksum",
            Self::BeyondEnd => "fragment_beyond_end",
            Self::Overlap => "fragment_overlap",
            Self::Duplicate => "fragment_duplicate",
        }
    }
}

impl OtherTransport {
    /// The class of an IP protocol number that is not tracked.
    pub(crate) const fn of(protocol: u8) -> Self {
        match protocol {
            1 | 58 => Self::Icmp,
            2 => Self::Igmp,
            50 => Self::Esp,
            59 => Self::Nothing,
            88 | 89 | 103 | 112 => Self::Routing,
            132 => Self::Sctp,
            _ => Self::Other,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Igmp => "igmp",
            Self::Sctp => "sctp",
            Self::Esp => "esp",
            Self::Routing => "routing",
            Self::Nothing => "no_next_header",
            Self::Other => "other_transport",
        }
    }
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_place_and_name() {
        let mut names = HashSet::new();
        for (place, reason) in Discard::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place, "{reason:?}");
            assert!(names.insert(reason.name()), "{reason:?}");
        }
    }
}
