//! PPP and its framings, PPPoE, Cisco HDLC. Knows protocol numbers, not negotiation.

use crate::TunnelKind;
use crate::discard::{Discard, Layer, NotIp};
use crate::tunnel;
use crate::walk::{Next, Step, Walk};

/// PPP protocol numbers (IANA).
mod protocol {
    pub(super) const IPV4: u16 = 0x0021;
    pub(super) const BRIDGING: u16 = 0x0031;
    pub(super) const MULTILINK: u16 = 0x003d;
    pub(super) const IPV6: u16 = 0x0057;
    pub(super) const COMPRESSED: u16 = 0x00fd;
    pub(super) const MPLS: u16 = 0x0281;
    pub(super) const MPLS_MULTICAST: u16 = 0x0283;
}

/// A PPP packet, with the address and control bytes of HDLC framing or without (RFC 1661,
/// RFC 1662).
pub(crate) fn ppp(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    if walk.rest.peek() == Some(&ALL_STATIONS) {
        walk.rest.header::<2>(Layer::Link)?;
    }
    let first = walk.rest.header::<1>(Layer::Link)?;
    // An odd first byte is a whole number of which the leading zero was compressed away.
    let [high, low] = if first[0] & 1 == 1 {
        [0, first[0]]
    } else {
        [first[0], walk.rest.header::<1>(Layer::Link)?[0]]
    };
    match u16::from_be_bytes([high, low]) {
        protocol::IPV4 => Ok(Step::Next(Next::Ipv4)),
        protocol::IPV6 => Ok(Step::Next(Next::Ipv6)),
        protocol::MPLS | protocol::MPLS_MULTICAST => tunnel::mpls(walk),
        protocol::MULTILINK => multilink(walk),
        protocol::BRIDGING => bridging(walk),
        protocol::COMPRESSED => Err(Discard::Encrypted),
        0x8000.. => Err(Discard::NotIp(NotIp::Control)),
        _ => Err(Discard::NotIp(NotIp::Other)),
    }
}

/// PPP in HDLC-like framing, or Cisco HDLC, told by the address byte.
pub(crate) fn hdlc(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    match walk.rest.peek() {
        Some([0x0f | 0x8f, 0x00]) => cisco_hdlc(walk),
        _ => ppp(walk),
    }
}

/// PPP behind a byte that says whether the packet was sent or received.
pub(crate) fn with_direction(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    walk.rest.header::<1>(Layer::Link)?;
    ppp(walk)
}

/// Cisco HDLC: address, control, EtherType.
pub(crate) fn cisco_hdlc(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [_, _, kind0, kind1] = *walk.rest.header(Layer::Link)?;
    match u16::from_be_bytes([kind0, kind1]) {
        // Keep-alives (SLARP) and CDP.
        0x8035 | 0x2000 => Err(Discard::NotIp(NotIp::Control)),
        kind => Ok(Step::Next(Next::EtherType(kind))),
    }
}

/// A PPPoE packet (RFC 2516, section 4).
pub(crate) fn pppoe(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [version, code, id0, id1, len0, len1] = *walk.rest.header(Layer::Tunnel)?;
    if version != 0x11 {
        return Err(Discard::Malformed(Layer::Tunnel));
    }
    if code != 0 {
        return Err(Discard::NotIp(NotIp::Control));
    }
    walk.rest.trim(usize::from(u16::from_be_bytes([len0, len1])));
    walk.context.enter_tunnel(TunnelKind::Pppoe, u32::from(u16::from_be_bytes([id0, id1])));
    ppp(walk)
}

/// A multilink packet that holds a whole packet (RFC 1990, section 3; long numbers). Parts are
/// not put together.
fn multilink(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [flags, ..] = *walk.rest.header::<4>(Layer::Link)?;
    if flags & 0xc0 != 0xc0 {
        return Err(Discard::NotIp(NotIp::Other));
    }
    Ok(Step::Next(Next::Ppp))
}

/// A bridged frame (RFC 3518, section 4.2): flags, media type.
fn bridging(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [flags, media] = *walk.rest.header(Layer::Link)?;
    let has_lan_id = flags & 0x40 != 0;
    if has_lan_id {
        walk.rest.header::<4>(Layer::Link)?;
    }
    match media {
        1 => Ok(Step::Next(Next::Ethernet)),
        _ => Err(Discard::NotIp(NotIp::Other)),
    }
}

/// Address and control of a PPP frame (RFC 1662, section 3.1).
const ALL_STATIONS: [u8; 2] = [0xff, 0x03];
