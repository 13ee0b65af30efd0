//! Walks a frame's headers one after the other, by loop, down to a TCP segment or UDP datagram.
//!
//! Knows the order of headers and when to stop; each header is its own module's. Keeps nothing
//! between frames.

use std::net::IpAddr;

use crate::config::UdpTunnels;
use crate::discard::Discard;
use crate::fragment::Part;
use crate::process::PktapProcesses;
use crate::span::Span;
use crate::transport::Segment;
use crate::{
    Encapsulation, Frame, IpFacts, LinkAddresses, LinkType, Timestamp, Tunnel, TunnelKind, ip, link,
};

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
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Another header.
    Next(Next),
    /// The end.
    End(End),
}

/// What a walk ends at; the rest of the walk holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// A segment or datagram.
    Segment(Segment),
    /// A part of an IP datagram.
    Fragment(Part),
}

/// A walk through one frame, or through one reassembled datagram.
#[derive(Debug)]
pub(crate) struct Walk<'a, 'c> {
    /// What is left of it.
    pub(crate) rest: Span<'a>,
    pub(crate) context: Context,
    pub(crate) tunnels: &'c UdpTunnels,
    /// What a PKTAP header said of processes.
    pub(crate) processes: Option<PktapProcesses<'a>>,
    /// The innermost datagram that was taken for a tunnel.
    fallback: Option<(Span<'a>, Context)>,
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

impl<'a, 'c> Walk<'a, 'c> {
    /// A walk that has not begun.
    pub(crate) const fn new(rest: Span<'a>, context: Context, tunnels: &'c UdpTunnels) -> Self {
        Self { rest, context, tunnels, processes: None, fallback: None }
    }

    /// Walks from `next` on to the end.
    ///
    /// Where a datagram was taken for a tunnel and its inside contradicts that, the datagram is
    /// the end.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn run(&mut self, next: Next) -> Result<End, Discard> {
        let mut next = next;
        for _ in 0..MAX_HEADERS {
            match self.step(next) {
                Ok(Step::Next(deeper)) => next = deeper,
                Ok(Step::End(end)) => return Ok(end),
                Err(discard) if discard.is_contradiction() => {
                    let (rest, context) = self.fallback.ok_or(discard)?;
                    (self.rest, self.context) = (rest, context);
                    return Ok(End::Segment(Segment::UDP));
                }
                Err(discard) => return Err(discard),
            }
        }
        Err(Discard::TooDeep)
    }

    /// Goes into a datagram that may be a tunnel, if it looks like one.
    pub(crate) fn try_tunnel(
        &mut self,
        payload: Span<'a>,
        enter: impl FnOnce(&mut Self) -> Result<Next, Discard>,
    ) -> Option<Next> {
        let datagram = (self.rest, self.context);
        self.rest = payload;
        let entered = enter(self);
        match entered {
            Ok(next) => {
                self.fallback = Some(datagram);
                Some(next)
            }
            Err(_) => {
                (self.rest, self.context) = datagram;
                None
            }
        }
    }

    fn step(&mut self, next: Next) -> Result<Step, Discard> {
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
