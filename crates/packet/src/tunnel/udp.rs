//! Tunnels over UDP. A port is a hint only: a tunnel is entered when what is inside looks right.

use crate::config::UdpTunnel;
use crate::discard::{Discard, Layer, NotIp};
use crate::link::ether_type;
use crate::tunnel::{guess, l2tp};
use crate::walk::{Next, Walk};
use crate::{LinkType, TunnelKind};

/// What the payload of a datagram on a tunnel port carries.
///
/// # Errors
/// When it does not look like such a tunnel; the walk is then half-way and must be restored.
pub(crate) fn over_udp(walk: &mut Walk<'_, '_>, tunnel: UdpTunnel) -> Result<Next, Discard> {
    match tunnel {
        UdpTunnel::Vxlan => vxlan(walk),
        UdpTunnel::Geneve => geneve(walk),
        UdpTunnel::GtpU => gtp_u(walk),
        UdpTunnel::L2tp => l2tp::l2tp_over_udp(walk),
        UdpTunnel::Teredo => teredo(walk),
        UdpTunnel::Tzsp => tzsp(walk),
    }
}

/// VXLAN (RFC 7348, section 5), its group policy bit, and VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe),
/// which has a next protocol field.
fn vxlan(walk: &mut Walk<'_, '_>) -> Result<Next, Discard> {
    let [flags, _, _, protocol, id0, id1, id2, _] = *walk.rest.header(Layer::Tunnel)?;
    let has_id = flags & 0x08 != 0;
    let has_protocol = flags & 0x04 != 0;
    if !has_id || flags & 0x72 != 0 {
        return Err(Discard::Malformed(Layer::Tunnel));
    }
    walk.context.enter_tunnel(TunnelKind::Vxlan, u32::from_be_bytes([0, id0, id1, id2]));
    let ether_type = match (has_protocol, protocol) {
        (false, _) | (true, 3) => ether_type::TRANSPARENT_BRIDGING,
        (true, 1) => ether_type::IPV4,
        (true, 2) => ether_type::IPV6,
        (true, 4) => ether_type::NSH,
        (true, 5) => ether_type::MPLS,
        (true, _) => return Err(Discard::NotIp(NotIp::Other)),
    };
    plausible(walk, ether_type)
}

/// GENEVE (RFC 8926, section 3.4).
fn geneve(walk: &mut Walk<'_, '_>) -> Result<Next, Discard> {
    let [first, _, kind0, kind1, id0, id1, id2, _] = *walk.rest.header(Layer::Tunnel)?;
    let version = first >> 6;
    if version != 0 {
        return Err(Discard::Malformed(Layer::Tunnel));
    }
    walk.rest.take(usize::from(first & 0x3f) * 4, Layer::Tunnel)?;
    walk.context.enter_tunnel(TunnelKind::Geneve, u32::from_be_bytes([0, id0, id1, id2]));
    plausible(walk, u16::from_be_bytes([kind0, kind1]))
}

/// GTP-U, version 1 (3GPP TS 29.281, section 5): a user's packet and its extension headers.
fn gtp_u(walk: &mut Walk<'_, '_>) -> Result<Next, Discard> {
    let [flags, message, len0, len1, id @ ..] = *walk.rest.header::<8>(Layer::Tunnel)?;
    let len = usize::from(u16::from_be_bytes([len0, len1]));
    let is_version_1 = flags & 0xf0 == 0x30;
    if !is_version_1 || message != GTP_USER_PACKET || len > walk.rest.wire_len() {
        return Err(Discard::NotIp(NotIp::Control));
    }
    walk.rest.trim(len);
    walk.context.enter_tunnel(TunnelKind::GtpU, u32::from_be_bytes(id));
    let has_options = flags & 0x07 != 0;
    if has_options {
        let [.., mut next] = *walk.rest.header::<4>(Layer::Tunnel)?;
        if flags & 0x04 == 0 {
            next = 0;
        }
        while next != 0 {
            let [units] = *walk.rest.header(Layer::Tunnel)?;
            let Some(len) = (usize::from(units) * 4).checked_sub(1) else {
                return Err(Discard::Malformed(Layer::Tunnel));
            };
            let extension = walk.rest.take(len, Layer::Tunnel)?;
            next = extension.last().copied().unwrap_or_default();
        }
    }
    // The kind of user packet is agreed elsewhere: IP, or Ethernet in a private 5G network.
    if guess::is_ipv4(walk.rest) || guess::is_ipv6(walk.rest) {
        return Ok(Next::Ip);
    }
    plausible(walk, ether_type::TRANSPARENT_BRIDGING)
}

/// Teredo (RFC 4380, section 5.1.1): maybe an authentication or origin header, then IPv6.
fn teredo(walk: &mut Walk<'_, '_>) -> Result<Next, Discard> {
    if walk.rest.peek() == Some(&TEREDO_AUTHENTICATION) {
        let [_, _, id_len, value_len] = *walk.rest.header(Layer::Tunnel)?;
        // A nonce of eight bytes and a confirmation byte follow the two values.
        let len = usize::from(id_len) + usize::from(value_len) + 9;
        walk.rest.take(len, Layer::Tunnel)?;
    }
    if walk.rest.peek() == Some(&TEREDO_ORIGIN) {
        walk.rest.header::<8>(Layer::Tunnel)?;
    }
    walk.context.enter_tunnel(TunnelKind::Teredo, 0);
    let fills_the_datagram = match walk.rest.peek() {
        Some(&[_, _, _, _, len0, len1]) => {
            40 + usize::from(u16::from_be_bytes([len0, len1])) == walk.rest.wire_len()
        }
        None => false,
    };
    if fills_the_datagram { plausible(walk, ether_type::IPV6) } else { Err(NOT_PLAUSIBLE) }
}

/// TaZmen Sniffer Protocol: version, type, protocol, tags.
fn tzsp(walk: &mut Walk<'_, '_>) -> Result<Next, Discard> {
    let [version, kind, protocol0, protocol1] = *walk.rest.header(Layer::Tunnel)?;
    // Received, or to be sent; others are configuration and keep-alives.
    if version != 1 || kind > 1 {
        return Err(Discard::NotIp(NotIp::Control));
    }
    loop {
        let [tag] = *walk.rest.header(Layer::Tunnel)?;
        match tag {
            TZSP_PADDING => {}
            TZSP_END => break,
            _ => {
                let [len] = *walk.rest.header(Layer::Tunnel)?;
                walk.rest.take(usize::from(len), Layer::Tunnel)?;
            }
        }
    }
    walk.context.enter_tunnel(TunnelKind::Tzsp, 0);
    match u16::from_be_bytes([protocol0, protocol1]) {
        1 => plausible(walk, ether_type::TRANSPARENT_BRIDGING),
        18 => Ok(Next::Link(LinkType::IEEE802_11)),
        119 => Ok(Next::Link(LinkType::IEEE802_11_PRISM)),
        127 => Ok(Next::Link(LinkType::IEEE802_11_AVS)),
        _ => Err(Discard::NotIp(NotIp::Other)),
    }
}

/// The header that an EtherType announces, if what follows looks like it.
fn plausible(walk: &Walk<'_, '_>, kind: u16) -> Result<Next, Discard> {
    let (fits, next) = match kind {
        ether_type::IPV4 => (guess::is_ipv4(walk.rest), Next::Ipv4),
        ether_type::IPV6 => (guess::is_ipv6(walk.rest), Next::Ipv6),
        ether_type::TRANSPARENT_BRIDGING => (guess::is_ethernet(walk.rest), Next::Ethernet),
        kind => (true, Next::EtherType(kind)),
    };
    if fits { Ok(next) } else { Err(NOT_PLAUSIBLE) }
}

const NOT_PLAUSIBLE: Discard = Discard::Malformed(Layer::Tunnel);

/// GTP-U message type: a user's packet (G-PDU).
const GTP_USER_PACKET: u8 = 255;

const TEREDO_AUTHENTICATION: [u8; 2] = [0, 1];
const TEREDO_ORIGIN: [u8; 2] = [0, 0];

const TZSP_PADDING: u8 = 0;
const TZSP_END: u8 = 1;
