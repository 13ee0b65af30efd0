//! IP headers and what their protocol numbers announce. Knows versions 4 and 6; extension headers
//! are their own module's.

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6Header, Ipv6HeaderSlice};

use crate::discard::{Discard, Layer, NotIp, OtherTransport};
use crate::fragment::Part;
use crate::walk::{End, IpHeader, MAX_IP_HEADERS, Next, Step, Walk};
use crate::{IpFacts, TunnelKind, checksum, extension, transport, tunnel};

/// IP protocol numbers (IANA).
pub(crate) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const IPV4: u8 = 4;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const GRE: u8 = 47;
    pub(crate) const AUTHENTICATION: u8 = 51;
    pub(crate) const DESTINATION: u8 = 60;
    pub(crate) const OLD_IP_IN_IP: u8 = 94;
    pub(crate) const ETHER_IP: u8 = 97;
    pub(crate) const L2TP: u8 = 115;
    pub(crate) const MOBILITY: u8 = 135;
    pub(crate) const MPLS: u8 = 137;
    pub(crate) const HIP: u8 = 139;
    pub(crate) const SHIM6: u8 = 140;
    pub(crate) const ETHERNET: u8 = 143;
}

/// IPv4 option: loose source route (RFC 791, section 3.1).
const LOOSE_SOURCE_ROUTE: u8 = 131;
/// IPv4 option: strict source route.
const STRICT_SOURCE_ROUTE: u8 = 137;

/// An IP header, version by its first bits.
pub(crate) fn by_version(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    match walk.rest.peek::<1>() {
        Some([first]) => match first >> 4 {
            4 => v4(walk),
            6 => v6(walk),
            _ => Err(Discard::NotIp(NotIp::Other)),
        },
        None => Err(walk.rest.missing(1, Layer::Link)),
    }
}

/// An IPv4 header (RFC 791).
pub(crate) fn v4(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let header = Ipv4HeaderSlice::from_slice(walk.rest.bytes()).map_err(|error| {
        use etherparse::err::ipv4::HeaderSliceError;
        match error {
            HeaderSliceError::Len(len) => walk.rest.missing(len.required_len, Layer::Ipv4),
            HeaderSliceError::Content(_) => Discard::Malformed(Layer::Ipv4),
        }
    })?;
    let header_len = header.slice().len();
    let total_len = usize::from(header.total_len());
    walk.rest.take(header_len, Layer::Ipv4)?;
    let offloaded = total_len == 0;
    let mut overlong = false;
    if !offloaded {
        let Some(payload_len) = total_len.checked_sub(header_len) else {
            return Err(Discard::Malformed(Layer::Ipv4));
        };
        overlong = walk.rest.declare(payload_len);
    }
    let facts = IpFacts {
        ttl: header.ttl(),
        id: header.identification(),
        dont_fragment: header.dont_fragment(),
        traffic_class: header.dcp().value() << 2 | header.ecn().value(),
        reassembled: false,
        checksum_ok: checksum::is_valid(header.slice()),
        offloaded,
        overlong,
        source_routed: is_source_routed(header.options()),
    };
    let (src, dst) = (header.source_addr().into(), header.destination_addr().into());
    enter(walk, src, dst, facts)?;
    if header.is_fragmenting_payload() {
        return Ok(Step::End(End::Fragment(Part::v4(&header, facts.checksum_ok))));
    }
    Ok(Step::Next(Next::Protocol(header.protocol().0)))
}

/// An IPv6 header (RFC 8200, section 3).
pub(crate) fn v6(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let header = Ipv6HeaderSlice::from_slice(walk.rest.bytes()).map_err(|error| {
        use etherparse::err::ipv6::HeaderSliceError;
        match error {
            HeaderSliceError::Len(len) => walk.rest.missing(len.required_len, Layer::Ipv6),
            HeaderSliceError::Content(_) => Discard::Malformed(Layer::Ipv6),
        }
    })?;
    walk.rest.take(Ipv6Header::LEN, Layer::Ipv6)?;
    // Zero is a jumbogram or a super-frame of segmentation offload.
    let offloaded = header.payload_length() == 0;
    let overlong = !offloaded && walk.rest.declare(usize::from(header.payload_length()));
    let facts = IpFacts {
        ttl: header.hop_limit(),
        id: 0,
        dont_fragment: false,
        traffic_class: header.traffic_class(),
        reassembled: false,
        checksum_ok: true,
        offloaded,
        overlong,
        source_routed: false,
    };
    let (src, dst) = (header.source_addr().into(), header.destination_addr().into());
    enter(walk, src, dst, facts)?;
    Ok(Step::Next(Next::Protocol(header.next_header().0)))
}

/// What an IP protocol number announces.
pub(crate) fn by_protocol(walk: &mut Walk<'_, '_>, number: u8) -> Result<Step, Discard> {
    let over_v6 = walk.context.ip.is_some_and(|ip| ip.src.is_ipv6());
    match number {
        protocol::TCP => transport::tcp(walk),
        protocol::UDP => transport::udp(walk),
        protocol::IPV4 => tunnel::ip_in_ip(walk, Next::Ipv4),
        protocol::IPV6 => tunnel::ip_in_ip(walk, Next::Ipv6),
        protocol::OLD_IP_IN_IP => tunnel::ip_in_ip(walk, Next::Ip),
        protocol::GRE => tunnel::gre(walk),
        protocol::ETHER_IP => tunnel::ether_ip(walk),
        protocol::L2TP => tunnel::l2tp_over_ip(walk),
        protocol::MPLS => tunnel::mpls(walk),
        protocol::ETHERNET => {
            walk.context.enter_tunnel(TunnelKind::EtherIp, 0);
            Ok(Step::Next(Next::Ethernet))
        }
        protocol::AUTHENTICATION => extension::authentication(walk),
        protocol::FRAGMENT if over_v6 => extension::fragment(walk),
        number if over_v6 && extension::is_options(number) => extension::options(walk, number),
        other => Err(Discard::OtherTransport(OtherTransport::of(other))),
    }
}

/// Notes an IP header; refuses one too many.
fn enter(walk: &mut Walk<'_, '_>, src: IpAddr, dst: IpAddr, facts: IpFacts) -> Result<(), Discard> {
    let context = &mut walk.context;
    if context.ip_headers >= MAX_IP_HEADERS {
        return Err(Discard::TooDeep);
    }
    context.encapsulation.depth = context.ip_headers;
    context.ip_headers += 1;
    context.ip = Some(IpHeader { src, dst, facts });
    Ok(())
}

/// Whether IPv4 options hold a source route that is not yet used up: the destination address is
/// then a router's.
fn is_source_routed(options: &[u8]) -> bool {
    let mut rest = options;
    while let Some((&kind, after)) = rest.split_first() {
        match (kind, after) {
            (0, _) => return false,
            (1, _) => rest = after,
            (LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE, &[len, pointer, ..]) => {
                return pointer <= len;
            }
            (_, &[len, ..]) if len >= 2 => {
                rest = rest.get(usize::from(len)..).unwrap_or_default();
            }
            _ => return false,
        }
    }
    false
}
