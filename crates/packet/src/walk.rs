//! Walks a frame's headers one after the other, by loop, down to a TCP segment or UDP datagram.
//!
//! Knows the order of headers and when to stop; each header is its own module's. Keeps nothing
//! between frames.

use std::net::IpAddr;

use crate::config::UdpTunnels;
use crate::discard::{Discard, Layer};
use crate::fragment::Fragment;
use crate::span::Span;
use crate::{Encapsulation, Frame, IpFacts, LinkAddresses, LinkType, Pdu, Timestamp, Tunnel};
use crate::{TunnelKind, ip, link};

/// How many IP headers are walked inside each other. Real stacks nest four (a pod's overlay
/// inside a provider's tunnel inside a mirror's).
pub(crate) const MAX_IP_HEADERS: u8 = 8;

/// How many headers of any kind are walked; runs of like headers (VLAN tags, MPLS labels, IPv6
/// options) count as one, and the frame's length bounds them.
const MAX_HEADERS: u32 = 64;

/// What the headers walked so far said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    pub(crate) ts: Timestamp,
    pub(crate) frame: u64,
    pub(crate) wire_len: u32,
    pub(crate) link: Option<LinkAddresses>,
    pub(crate) encapsulation: Encapsulation,
    /// IP headers walked.
    pub(crate) ip_headers: u8,
    /// The innermost IP header walked.
    pub(crate) ip: Option<IpHeader>,
}

/// What is kept of an IP header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IpHeader {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) facts: IpFacts,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A frame of this link type.
    Link(LinkType),
    /// An Ethernet header.
    Ethernet,
    /// What this EtherType stands for.
    EtherType(u16),
    /// An IP header, version by its first bits.
    Ip,
    /// An IPv4 header.
    Ipv4,
    /// An IPv6 header.
    Ipv6,
    /// A PPP packet.
    Ppp,
    /// What this IP protocol number stands for.
    Protocol(u8),
}

/// What one header leads to.
#[expect(clippy::large_enum_variant, reason = "boxing would allocate for each frame")]
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// Another header.
    Next(Next),
    /// The end.
    Found(Found<'a>),
}

impl<'a> Step<'a> {
    /// The end at a fragment, which stands behind an IP header always.
    pub(crate) fn fragment(fragment: Option<Fragment<'a>>) -> Result<Self, Discard> {
        let fragment = fragment.ok_or(Discard::Malformed(Layer::Link))?;
        Ok(Self::Found(Found::Fragment(fragment)))
    }
}

/// What a walk ends with.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A segment or datagram.
    Pdu(Pdu<'a>),
    /// A part of an IP datagram.
    Fragment(Fragment<'a>),
}

/// A walk through one frame, or through one reassembled datagram.
#[derive(Debug)]
pub(crate) struct Walk<'a, 'c> {
    /// What is left of it.
    pub(crate) rest: Span<'a>,
    pub(crate) context: Context,
    pub(crate) tunnels: &'c UdpTunnels,
    /// The innermost datagram that was taken for a tunnel.
    pub(crate) fallback: Option<Pdu<'a>>,
}

impl Context {
    /// The context at the start of a frame.
    pub(crate) fn of(frame: &Frame<'_>) -> Self {
        Self {
            ts: frame.ts,
            frame: frame.number,
            wire_len: frame.wire_len,
            link: None,
            encapsulation: Encapsulation::default(),
            ip_headers: 0,
            ip: None,
        }
    }

    /// Notes that a tunnel header was passed.
    pub(crate) fn enter_tunnel(&mut self, kind: TunnelKind, id: u32) {
        let outer = self.ip.map(|ip| (ip.src, ip.dst));
        self.encapsulation.tunnel = Some(Tunnel { kind, id, outer });
    }
}

/// Walks from `next` on to the end.
///
/// Where a datagram was taken for a tunnel and its inside contradicts that, the datagram is what
/// is found.
///
/// # Errors
/// Why there is no PDU.
pub(crate) fn walk<'a>(
    rest: Span<'a>,
    context: Context,
    tunnels: &UdpTunnels,
    next: Next,
) -> Result<Found<'a>, Discard> {
    let mut walk = Walk { rest, context, tunnels, fallback: None };
    let mut next = next;
    for _ in 0..MAX_HEADERS {
        match walk.step(next) {
            Ok(Step::Next(deeper)) => next = deeper,
            Ok(Step::Found(found)) => return Ok(found),
            Err(discard) if discard.is_contradiction() => {
                return walk.fallback.map(Found::Pdu).ok_or(discard);
            }
            Err(discard) => return Err(discard),
        }
    }
    Err(Discard::TooDeep)
}

impl<'a> Walk<'a, '_> {
    fn step(&mut self, next: Next) -> Result<Step<'a>, Discard> {
        match next {
            Next::Link(link_type) => link::by_type(self, link_type),
            Next::Ethernet => link::ethernet(self),
            Next::EtherType(ether_type) => link::by_ether_type(self, ether_type),
            Next::Ppp => link::ppp(self),
            Next::Ip => ip::by_version(self),
            Next::Ipv4 => ip::v4(self),
            Next::Ipv6 => ip::v6(self),
            Next::Protocol(protocol) => ip::by_protocol(self, protocol),
        }
    }
}
