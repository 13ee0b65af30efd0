//! The short way to a PDU: Ethernet, at most two VLAN tags, IPv4 or IPv6 without extension
//! headers, TCP or UDP. Whatever else it meets, it leaves to the walk; what it gives, the walk
//! gives as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::UdpTunnels;
use crate::ip::protocol;
use crate::link::ether_type;
use crate::span::Span;
use crate::{
    Encapsulation, Endpoint, FiveTuple, Frame, IpFacts, LinkAddresses, LinkType, MacAddress, Pdu,
    TcpFlags, TcpHeader, Transport, TransportHeader, checksum,
};

/// What the headers below the transport layer said.
struct Below<'a> {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    ip: IpFacts,
    segment: Span<'a>,
}

/// What the transport header said.
struct Above<'a> {
    transport: Transport,
    header: TransportHeader<'a>,
    ports: (u16, u16),
    header_len: usize,
}

/// What is the same for every way through a frame.
struct Start<'f, 'a> {
    frame: &'f Frame<'a>,
    link: &'a [u8; ETHERNET],
    encapsulation: Encapsulation,
    tunnels: &'f UdpTunnels,
}

/// The PDU of an ordinary frame. Never allocates.
///
/// Every step is inlined into one path for each pair of IP version and transport. Where two paths
/// meet, the compiler keeps what they bring in memory, written in bytes and read in words, and the
/// processor waits for each such read: that took three times as long.
#[inline]
pub(crate) fn peek<'a>(frame: &Frame<'a>, tunnels: &UdpTunnels) -> Option<Pdu<'a>> {
    if frame.link_type != LinkType::ETHERNET {
        return None;
    }
    let (link, packet) = frame.bytes.split_first_chunk::<ETHERNET>()?;
    let (ether_type, packet, vlans) = tags(u16::from_be_bytes(field(link, 12)), packet)?;
    let encapsulation = Encapsulation::of_tags(vlans);
    let header_len = frame.bytes.len() - packet.len();
    let wire_len = usize::try_from(frame.wire_len).ok()?;
    let packet = Span::new(packet, wire_len.saturating_sub(header_len));
    let start = Start { frame, link, encapsulation, tunnels };
    match ether_type {
        ether_type::IPV4 => start.above(v4(packet)?),
        ether_type::IPV6 => start.above(v6(packet)?),
        _ => None,
    }
}

impl<'a> Start<'_, 'a> {
    #[inline(always)]
    fn above(&self, mut below: Below<'a>) -> Option<Pdu<'a>> {
        match below.protocol {
            protocol::TCP => {
                let above = tcp(below.segment)?;
                self.pdu(below, above)
            }
            protocol::UDP => {
                let above = udp(&mut below, self.tunnels)?;
                self.pdu(below, above)
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn pdu(&self, below: Below<'a>, above: Above<'a>) -> Option<Pdu<'a>> {
        let segment = below.segment;
        Some(Pdu {
            ts: self.frame.ts,
            frame: self.frame.number,
            tuple: FiveTuple {
                src: Endpoint { addr: below.src, port: above.ports.0 },
                dst: Endpoint { addr: below.dst, port: above.ports.1 },
                transport: above.transport,
            },
            header: above.header,
            segment: segment.bytes(),
            payload: segment.bytes().get(above.header_len..)?,
            payload_len: u32::try_from(segment.wire_len() - above.header_len).ok()?,
            wire_len: self.frame.wire_len,
            ip: below.ip,
            link: Some(LinkAddresses {
                src: MacAddress(field(self.link, 6)),
                dst: MacAddress(field(self.link, 0)),
            }),
            encapsulation: self.encapsulation,
            processes: self.frame.processes,
        })
    }
}

/// The type and the packet behind at most two VLAN tags, and the tags; zero for none.
#[inline(always)]
fn tags(ether_type: u16, packet: &[u8]) -> Option<(u16, &[u8], [u16; 2])> {
    if !is_tag(ether_type) {
        return Some((ether_type, packet, [0, 0]));
    }
    let (outer, packet) = packet.split_first_chunk::<4>()?;
    let (tag, ether_type) =
        (u16::from_be_bytes(field(outer, 0)), u16::from_be_bytes(field(outer, 2)));
    if !is_tag(ether_type) {
        return Some((ether_type, packet, [tag, 0]));
    }
    let (inner, packet) = packet.split_first_chunk::<4>()?;
    let tags = [tag, u16::from_be_bytes(field(inner, 0))];
    Some((u16::from_be_bytes(field(inner, 2)), packet, tags))
}

const fn is_tag(ether_type: u16) -> bool {
    matches!(ether_type, ether_type::VLAN | ether_type::PROVIDER_VLAN)
}

#[inline(always)]
fn v4(packet: Span<'_>) -> Option<Below<'_>> {
    let header = packet.peek::<20>()?;
    let total_len = usize::from(u16::from_be_bytes(field(header, 2)));
    let fragment = u16::from_be_bytes(field(header, 6));
    let is_fragment = fragment & 0x3fff != 0;
    // Options and what else is rare is the walk's.
    if header[0] != 0x45 || is_fragment || total_len < header.len() {
        return None;
    }
    let mut segment = packet;
    segment.skip(header.len());
    let overlong = segment.declare(total_len - header.len());
    Some(Below {
        src: Ipv4Addr::from(field::<4, 20>(header, 12)).into(),
        dst: Ipv4Addr::from(field::<4, 20>(header, 16)).into(),
        protocol: header[9],
        ip: IpFacts {
            ttl: header[8],
            id: u16::from_be_bytes(field(header, 4)),
            dont_fragment: fragment & 0x4000 != 0,
            traffic_class: header[1],
            checksum_ok: checksum::is_valid(header),
            overlong,
            ..IpFacts::default()
        },
        segment,
    })
}

#[inline(always)]
fn v6(packet: Span<'_>) -> Option<Below<'_>> {
    let header = packet.peek::<40>()?;
    let payload_len = usize::from(u16::from_be_bytes(field(header, 4)));
    if header[0] >> 4 != 6 || payload_len == 0 {
        return None;
    }
    let mut segment = packet;
    segment.skip(header.len());
    let overlong = segment.declare(payload_len);
    Some(Below {
        src: Ipv6Addr::from(field::<16, 40>(header, 8)).into(),
        dst: Ipv6Addr::from(field::<16, 40>(header, 24)).into(),
        protocol: header[6],
        ip: IpFacts {
            ttl: header[7],
            traffic_class: header[0] << 4 | header[1] >> 4,
            checksum_ok: true,
            overlong,
            ..IpFacts::default()
        },
        segment,
    })
}

#[inline(always)]
fn tcp(segment: Span<'_>) -> Option<Above<'_>> {
    let fixed = segment.peek::<20>()?;
    let header_len = usize::from(fixed[12] >> 4) * 4;
    let header = TcpHeader {
        seq: u32::from_be_bytes(field(fixed, 4)),
        ack: u32::from_be_bytes(field(fixed, 8)),
        flags: TcpFlags(fixed[13]),
        window: u16::from_be_bytes(field(fixed, 14)),
        checksum: u16::from_be_bytes(field(fixed, 16)),
        options: segment.bytes().get(20..header_len)?,
    };
    Some(Above {
        transport: Transport::Tcp,
        header: TransportHeader::Tcp(header),
        ports: ports(fixed),
        header_len,
    })
}

#[inline(always)]
fn udp<'a>(below: &mut Below<'a>, tunnels: &UdpTunnels) -> Option<Above<'a>> {
    let header = below.segment.peek::<8>()?;
    let ports = ports(header);
    let len = usize::from(u16::from_be_bytes(field(header, 4)));
    if len < header.len() || tunnels.may_carry(ports.0, ports.1) {
        return None;
    }
    below.ip.overlong |= below.segment.declare(len);
    Some(Above {
        transport: Transport::Udp,
        header: TransportHeader::Udp { checksum: u16::from_be_bytes(field(header, 6)) },
        ports,
        header_len: header.len(),
    })
}

#[inline(always)]
fn ports<const LEN: usize>(header: &[u8; LEN]) -> (u16, u16) {
    (u16::from_be_bytes(field(header, 0)), u16::from_be_bytes(field(header, 2)))
}

/// `N` bytes of a header at a constant offset within it: one load. Binding every byte of a header
/// by pattern took three times the instructions.
#[inline(always)]
fn field<const N: usize, const LEN: usize>(header: &[u8; LEN], at: usize) -> [u8; N] {
    header.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// Length of an Ethernet header, in bytes.
const ETHERNET: usize = 14;
