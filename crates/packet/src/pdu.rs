//! What a decoded packet carries: one transport PDU with what the layers below said of it.

use std::fmt;
use std::net::IpAddr;

use crate::{FiveTuple, Processes, Timestamp};

/// The VLAN identifier in a tag (IEEE 802.1Q, section 9.6); the bits above are its priority.
const VLAN_ID: u16 = 0x0fff;

/// How many VLAN tags are kept; deeper ones are walked over and not reported.
pub const MAX_VLANS: usize = 4;

/// One TCP segment or UDP datagram, borrowed from the frame (or from a reassembled datagram).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pdu<'a> {
    /// When its frame was seen; for a reassembled datagram, when the last fragment was.
    pub ts: Timestamp,
    /// The frame it came in, from 1.
    pub frame: u64,
    /// Innermost addresses and ports.
    pub tuple: FiveTuple,
    /// TCP or UDP header fields.
    pub header: TransportHeader<'a>,
    /// Captured bytes from the transport header on, without trailers of the layers below.
    pub segment: &'a [u8],
    /// Captured payload bytes: the end of `segment`.
    pub payload: &'a [u8],
    /// Payload length as the headers declare it, in bytes; more than `payload` holds when a snap
    /// length cut the frame.
    pub payload_len: u32,
    /// Frame length on the wire, in bytes (the sum over fragments of a reassembled datagram).
    pub wire_len: u32,
    /// Fields of the innermost IP header.
    pub ip: IpFacts,
    /// MAC addresses of the innermost Ethernet-like header, if there was one.
    pub link: Option<LinkAddresses>,
    /// What the packet was wrapped in.
    pub encapsulation: Encapsulation,
    /// The processes behind it, where the capture notes them (Apple's PKTAP and pcapng).
    pub processes: Processes<'a>,
}

/// Fields of a transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportHeader<'a> {
    /// A TCP segment's.
    Tcp(TcpHeader<'a>),
    /// A UDP datagram's.
    Udp {
        /// The UDP checksum as carried.
        checksum: u16,
    },
}

/// Fields of a TCP header (RFC 9293, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpHeader<'a> {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; meaningful with [`TcpFlags::ACK`].
    pub ack: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Receive window, unscaled.
    pub window: u16,
    /// The TCP checksum as carried.
    pub checksum: u16,
    /// Option bytes as captured.
    pub options: &'a [u8],
}

/// TCP control bits (RFC 9293, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number is valid.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is valid.
    pub const URG: Self = Self(0x20);
    /// ECN echo.
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced.
    pub const CWR: Self = Self(0x80);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Fields of the innermost IP header that later stages use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpFacts {
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// IPv4 identification; zero for IPv6.
    pub id: u16,
    /// The IPv4 don't-fragment bit.
    pub dont_fragment: bool,
    /// DSCP and ECN bits.
    pub traffic_class: u8,
    /// Whether the PDU was put together from fragments.
    pub reassembled: bool,
    /// Whether the IPv4 header checksum was right (IPv6 has none: true).
    pub checksum_ok: bool,
    /// Whether the length field was zero: a super-frame of a card's segmentation offload, whose
    /// length is the frame's and whose transport checksum is not yet made.
    pub offloaded: bool,
    /// Whether the IP or UDP length field claims more than the frame held on the wire: a receiver
    /// drops such a packet, but a mirror port that cuts frames makes every long one look so.
    pub overlong: bool,
    /// Whether a routing header or source route names the receiver, not the destination address.
    pub source_routed: bool,
}

/// A 48-bit MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Whether the group bit is set (multicast and broadcast).
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Source and destination MAC addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkAddresses {
    /// Sender.
    pub src: MacAddress,
    /// Receiver.
    pub dst: MacAddress,
}

/// What a packet was wrapped in, outermost facts first. 64 bytes, copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encapsulation {
    /// VLAN identifiers, outermost first; the first `vlan_count` are set.
    pub vlans: [u16; MAX_VLANS],
    /// How many VLAN identifiers are set.
    pub vlan_count: u8,
    /// How many IP headers enclose the innermost one.
    pub depth: u8,
    /// The innermost tunnel, if any.
    pub tunnel: Option<Tunnel>,
}

impl Encapsulation {
    /// The VLAN identifiers, outermost first.
    #[must_use]
    pub fn vlans(&self) -> &[u16] {
        self.vlans.get(..usize::from(self.vlan_count)).unwrap_or_default()
    }

    /// Whether there is no VLAN, no tunnel and one IP header.
    #[must_use]
    #[inline]
    pub const fn is_plain(&self) -> bool {
        self.vlan_count == 0 && self.depth == 0 && self.tunnel.is_none()
    }

    /// The encapsulation of two VLAN tags, outer first; zero where there is none.
    #[inline(always)]
    pub(crate) fn of_tags([outer, inner]: [u16; 2]) -> Self {
        let [outer, inner] = [outer & VLAN_ID, inner & VLAN_ID];
        let vlans = if outer == 0 { [inner, 0, 0, 0] } else { [outer, inner, 0, 0] };
        let vlan_count = u8::from(outer != 0) + u8::from(inner != 0);
        Self { vlans, vlan_count, depth: 0, tunnel: None }
    }

    /// Adds a VLAN identifier below the others. Zero is a priority tag and names no VLAN; what
    /// is deeper than [`MAX_VLANS`] is left out.
    pub(crate) fn push_vlan(&mut self, tag: u16) {
        let id = tag & VLAN_ID;
        if let Some(free) = self.vlans.get_mut(usize::from(self.vlan_count))
            && id != 0
        {
            *free = id;
            self.vlan_count += 1;
        }
    }
}

/// One tunnel header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// Which protocol.
    pub kind: TunnelKind,
    /// Its identifier: VNI, key, TEID, session or label; zero if it has none.
    pub id: u32,
    /// The enclosing packet's source and destination, where it ran over IP.
    pub outer: Option<(IpAddr, IpAddr)>,
}

/// Tunnel protocols that are walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TunnelKind {
    /// MPLS label stack (RFC 3032).
    Mpls,
    /// PPPoE (RFC 2516).
    Pppoe,
    /// IP in IP, any versions (RFC 2003, RFC 4213, RFC 2473).
    IpInIp,
    /// GRE and NVGRE (RFC 2784, RFC 7637).
    Gre,
    /// ERSPAN types I to III.
    Erspan,
    /// VXLAN and VXLAN-GPE (RFC 7348).
    Vxlan,
    /// GENEVE (RFC 8926).
    Geneve,
    /// GTP-U (3GPP TS 29.281).
    GtpU,
    /// L2TP (RFC 2661, RFC 3931).
    L2tp,
    /// EtherIP (RFC 3378).
    EtherIp,
    /// TaZmen Sniffer Protocol.
    Tzsp,
    /// Authentication header (RFC 4302).
    Ah,
    /// Teredo (RFC 4380).
    Teredo,
    /// Provider backbone bridges (IEEE 802.1ah).
    Pbb,
    /// Network service header (RFC 8300).
    Nsh,
}

impl TunnelKind {
    /// How many kinds there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every kind, in the order of [`TunnelKind::index`].
    pub const ALL: [Self; 15] = [
        Self::Mpls,
        Self::Pppoe,
        Self::IpInIp,
        Self::Gre,
        Self::Erspan,
        Self::Vxlan,
        Self::Geneve,
        Self::GtpU,
        Self::L2tp,
        Self::EtherIp,
        Self::Tzsp,
        Self::Ah,
        Self::Teredo,
        Self::Pbb,
        Self::Nsh,
    ];

    /// The place of the kind in [`TunnelKind::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in records and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mpls => "mpls",
            Self::Pppoe => "pppoe",
            Self::IpInIp => "ipip",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::GtpU => "gtpu",
            Self::L2tp => "l2tp",
            Self::EtherIp => "etherip",
            Self::Tzsp => "tzsp",
            Self::Ah => "ah",
            Self::Teredo => "teredo",
            Self::Pbb => "pbb",
            Self::Nsh => "nsh",
        }
    }
}
