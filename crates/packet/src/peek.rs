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
struct Below {
    link: LinkAddresses,
    encapsulation: Encapsulation,
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    ip: IpFacts,
}

/// The PDU of an ordinary frame. Never allocates.
#[inline]
pub(crate) fn peek<'a>(frame: &Frame<'a>, tunnels: &UdpTunnels) -> Option<Pdu<'a>> {
    if frame.link_type != LinkType::ETHERNET {
        return None;
    }
    let wire_len = usize::try_from(frame.wire_len).ok()?;
    let (link, rest) = frame.bytes.split_first_chunk::<14>()?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *link;
    let link = LinkAddresses {
        src: MacAddress([s0, s1, s2, s3, s4, s5]),
        dst: MacAddress([d0, d1, d2, d3, d4, d5]),
    };
    let mut encapsulation = Encapsulation::default();
    let mut ether_type = u16::from_be_bytes([t0, t1]);
    let mut packet = rest;
    for _ in 0..2 {
        if !matches!(ether_type, ether_type::VLAN | ether_type::PROVIDER_VLAN) {
            break;
        }
        let (&[tag0, tag1, t0, t1], rest) = packet.split_first_chunk()?;
        encapsulation.push_vlan(u16::from_be_bytes([tag0, tag1]));
        ether_type = u16::from_be_bytes([t0, t1]);
        packet = rest;
    }
    let header_len = frame.bytes.len() - packet.len();
    let packet = Span::new(packet, wire_len.saturating_sub(header_len));
    match ether_type {
        ether_type::IPV4 => v4(frame, packet, link, encapsulation, tunnels),
        ether_type::IPV6 => v6(frame, packet, link, encapsulation, tunnels),
        _ => None,
    }
}

#[inline]
fn v4<'a>(
    frame: &Frame<'a>,
    mut packet: Span<'a>,
    link: LinkAddresses,
    encapsulation: Encapsulation,
    tunnels: &UdpTunnels,
) -> Option<Pdu<'a>> {
    let header = packet.peek::<20>()?;
    let [first, tos, len0, len1, id0, id1, frag0, frag1, ttl, protocol, _, _, addresses @ ..] =
        *header;
    let total_len = usize::from(u16::from_be_bytes([len0, len1]));
    let is_fragment = frag0 & 0x3f != 0 || frag1 != 0;
    // Options and what else is rare is the walk's.
    if first != 0x45 || is_fragment || total_len < header.len() {
        return None;
    }
    packet.take(header.len(), crate::Layer::Ipv4).ok()?;
    let overlong = packet.declare(total_len - header.len());
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
    let below = Below {
        link,
        encapsulation,
        src: Ipv4Addr::new(s0, s1, s2, s3).into(),
        dst: Ipv4Addr::new(d0, d1, d2, d3).into(),
        protocol,
        ip: IpFacts {
            ttl,
            id: u16::from_be_bytes([id0, id1]),
            dont_fragment: frag0 & 0x40 != 0,
            traffic_class: tos,
            checksum_ok: checksum::is_valid(header),
            overlong,
            ..IpFacts::default()
        },
    };
    transport(frame, packet, below, tunnels)
}

#[inline]
fn v6<'a>(
    frame: &Frame<'a>,
    mut packet: Span<'a>,
    link: LinkAddresses,
    encapsulation: Encapsulation,
    tunnels: &UdpTunnels,
) -> Option<Pdu<'a>> {
    let header = packet.peek::<40>()?;
    let [first, second, _, _, len0, len1, protocol, hop_limit, addresses @ ..] = *header;
    let payload_len = usize::from(u16::from_be_bytes([len0, len1]));
    if first >> 4 != 6 || payload_len == 0 {
        return None;
    }
    packet.take(header.len(), crate::Layer::Ipv6).ok()?;
    let overlong = packet.declare(payload_len);
    let (src, dst) = addresses.split_first_chunk::<16>()?;
    let below = Below {
        link,
        encapsulation,
        src: Ipv6Addr::from(*src).into(),
        dst: Ipv6Addr::from(*dst.first_chunk::<16>()?).into(),
        protocol,
        ip: IpFacts {
            ttl: hop_limit,
            traffic_class: first << 4 | second >> 4,
            checksum_ok: true,
            overlong,
            ..IpFacts::default()
        },
    };
    transport(frame, packet, below, tunnels)
}

#[inline]
fn transport<'a>(
    frame: &Frame<'a>,
    mut segment: Span<'a>,
    mut below: Below,
    tunnels: &UdpTunnels,
) -> Option<Pdu<'a>> {
    let (transport, header, ports, header_len) = match below.protocol {
        protocol::TCP => {
            let (header, ports, header_len) = tcp(segment)?;
            (Transport::Tcp, header, ports, header_len)
        }
        protocol::UDP => {
            let &[s0, s1, d0, d1, len0, len1, sum0, sum1] = segment.peek::<8>()?;
            let ports = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
            let len = usize::from(u16::from_be_bytes([len0, len1]));
            if len < 8 || tunnels.may_carry(ports.0, ports.1) {
                return None;
            }
            below.ip.overlong |= segment.declare(len);
            let checksum = u16::from_be_bytes([sum0, sum1]);
            (Transport::Udp, TransportHeader::Udp { checksum }, ports, 8)
        }
        _ => return None,
    };
    let src = Endpoint { addr: below.src, port: ports.0 };
    let dst = Endpoint { addr: below.dst, port: ports.1 };
    Some(Pdu {
        ts: frame.ts,
        frame: frame.number,
        tuple: FiveTuple { src, dst, transport },
        header,
        segment: segment.bytes(),
        payload: segment.bytes().get(header_len..)?,
        payload_len: u32::try_from(segment.wire_len() - header_len).ok()?,
        wire_len: frame.wire_len,
        ip: below.ip,
        link: Some(below.link),
        encapsulation: below.encapsulation,
    })
}

#[inline]
fn tcp(segment: Span<'_>) -> Option<(TransportHeader<'_>, (u16, u16), usize)> {
    let [sp0, sp1, dp0, dp1, s0, s1, s2, s3, a0, a1, a2, a3, offset, flags, w0, w1, c0, c1, ..] =
        *segment.peek::<20>()?;
    let header_len = usize::from(offset >> 4) * 4;
    let header = TransportHeader::Tcp(TcpHeader {
        seq: u32::from_be_bytes([s0, s1, s2, s3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        flags: TcpFlags(flags),
        window: u16::from_be_bytes([w0, w1]),
        checksum: u16::from_be_bytes([c0, c1]),
        options: segment.bytes().get(20..header_len)?,
    });
    Some((header, (u16::from_be_bytes([sp0, sp1]), u16::from_be_bytes([dp0, dp1])), header_len))
}
