//! L2TP versions 2 and 3 (RFC 2661, RFC 3931). Knows packets that carry something, not how
//! sessions are set up.

use crate::TunnelKind;
use crate::discard::{Discard, Layer, NotIp};
use crate::span::Span;
use crate::tunnel::guess;
use crate::walk::{Next, Step, Walk};

/// Flags and version, the first two bytes (RFC 2661, section 3.1).
mod flag {
    pub(super) const CONTROL: u16 = 0x8000;
    pub(super) const LENGTH: u16 = 0x4000;
    pub(super) const SEQUENCE: u16 = 0x0800;
    pub(super) const OFFSET: u16 = 0x0200;
    pub(super) const RESERVED: u16 = 0x34f0;
    pub(super) const VERSION: u16 = 0x000f;
}

/// L2TP over UDP: what a message with a payload carries.
pub(crate) fn l2tp_over_udp(walk: &mut Walk<'_, '_>) -> Result<Next, Discard> {
    let whole = walk.rest;
    let flags = u16::from_be_bytes(*walk.rest.header(Layer::Tunnel)?);
    match flags & (flag::CONTROL | flag::RESERVED | flag::VERSION) {
        2 => version_2(walk, flags, whole),
        3 => {
            walk.rest.header::<2>(Layer::Tunnel)?;
            version_3(walk)
        }
        _ => Err(Discard::NotIp(NotIp::Control)),
    }
}

/// L2TP version 3 over IP (RFC 3931, section 4.1.1).
pub(crate) fn l2tp_over_ip(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    version_3(walk).map(Step::Next)
}

fn version_2(walk: &mut Walk<'_, '_>, flags: u16, whole: Span<'_>) -> Result<Next, Discard> {
    if flags & flag::LENGTH != 0 {
        let len = usize::from(u16::from_be_bytes(*walk.rest.header(Layer::Tunnel)?));
        let before = whole.wire_len() - walk.rest.wire_len();
        let Some(rest) = len.checked_sub(before) else {
            return Err(Discard::Malformed(Layer::Tunnel));
        };
        if len > whole.wire_len() {
            return Err(Discard::Malformed(Layer::Tunnel));
        }
        walk.rest.trim(rest);
    }
    let [_, _, session0, session1] = *walk.rest.header(Layer::Tunnel)?;
    if flags & flag::SEQUENCE != 0 {
        walk.rest.header::<4>(Layer::Tunnel)?;
    }
    if flags & flag::OFFSET != 0 {
        let pad = u16::from_be_bytes(*walk.rest.header(Layer::Tunnel)?);
        walk.rest.take(usize::from(pad), Layer::Tunnel)?;
    }
    walk.context
        .enter_tunnel(TunnelKind::L2tp, u32::from(u16::from_be_bytes([session0, session1])));
    Ok(Next::Ppp)
}

/// A session number, then a cookie of no, four or eight bytes, then maybe four bytes of
/// sublayer: only the ends of the tunnel know which, so the first that makes sense is taken.
fn version_3(walk: &mut Walk<'_, '_>) -> Result<Next, Discard> {
    let session = u32::from_be_bytes(*walk.rest.header(Layer::Tunnel)?);
    if session == 0 {
        return Err(Discard::NotIp(NotIp::Control));
    }
    walk.context.enter_tunnel(TunnelKind::L2tp, session);
    for skipped in [0, 4, 8, 12] {
        let mut rest = walk.rest;
        rest.take(skipped, Layer::Tunnel)?;
        if let Some(next) = payload(rest) {
            walk.rest = rest;
            return Ok(next);
        }
    }
    Err(Discard::NotIp(NotIp::Other))
}

fn payload(rest: Span<'_>) -> Option<Next> {
    if guess::is_ethernet(rest) {
        Some(Next::Ethernet)
    } else if guess::is_summed_ipv4(rest) || guess::is_ipv6(rest) {
        Some(Next::Ip)
    } else {
        let framed_ip = matches!(rest.peek(), Some([0xff, 0x03, 0x00, 0x21 | 0x57]));
        framed_ip.then_some(Next::Ppp)
    }
}
