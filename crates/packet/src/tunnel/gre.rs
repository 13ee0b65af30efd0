//! GRE (RFC 2784, RFC 2890, RFC 1701), its PPTP dialect (RFC 2637), NVGRE (RFC 7637), and what
//! rides on it: ERSPAN. Knows headers, not sessions.

use crate::TunnelKind;
use crate::discard::{Discard, Layer, NotIp};
use crate::link::{self, ether_type};
use crate::walk::{Next, Step, Walk};

/// Flags and version, the first two bytes.
mod flag {
    pub(super) const CHECKSUM: u16 = 0x8000;
    pub(super) const ROUTING: u16 = 0x4000;
    pub(super) const KEY: u16 = 0x2000;
    pub(super) const SEQUENCE: u16 = 0x1000;
    pub(super) const ACKNOWLEDGMENT: u16 = 0x0080;
    pub(super) const VERSION: u16 = 0x0007;
}

/// Protocol types besides EtherTypes.
mod kind {
    pub(super) const KEEP_ALIVE: u16 = 0x0000;
    pub(super) const ERSPAN_III: u16 = 0x22eb;
    pub(super) const WCCP: u16 = 0x883e;
    pub(super) const ERSPAN: u16 = 0x88be;
}

/// A GRE header with all its options.
pub(crate) fn gre(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [f0, f1, k0, k1] = *walk.rest.header(Layer::Tunnel)?;
    let flags = u16::from_be_bytes([f0, f1]);
    let kind = u16::from_be_bytes([k0, k1]);
    match flags & flag::VERSION {
        0 => {}
        1 if kind == ether_type::PPP => return pptp(walk, flags),
        _ => return Err(Discard::Malformed(Layer::Tunnel)),
    }
    if flags & (flag::CHECKSUM | flag::ROUTING) != 0 {
        walk.rest.header::<4>(Layer::Tunnel)?;
    }
    let mut key = 0;
    if flags & flag::KEY != 0 {
        key = u32::from_be_bytes(*walk.rest.header(Layer::Tunnel)?);
    }
    let has_sequence = flags & flag::SEQUENCE != 0;
    if has_sequence {
        walk.rest.header::<4>(Layer::Tunnel)?;
    }
    if flags & flag::ROUTING != 0 {
        source_routes(walk)?;
    }
    walk.context.enter_tunnel(TunnelKind::Gre, key);
    match kind {
        kind::KEEP_ALIVE => Err(Discard::NotIp(NotIp::Control)),
        kind::ERSPAN if has_sequence => erspan(walk),
        // Type I has no header of its own (and no sequence number).
        kind::ERSPAN => {
            walk.context.enter_tunnel(TunnelKind::Erspan, 0);
            Ok(Step::Next(Next::Ethernet))
        }
        kind::ERSPAN_III => erspan(walk),
        kind::WCCP => wccp(walk),
        kind => Ok(Step::Next(Next::EtherType(kind))),
    }
}

/// Source route entries, up to the empty one (RFC 1701).
fn source_routes(walk: &mut Walk<'_, '_>) -> Result<(), Discard> {
    loop {
        let [family0, family1, _, len] = *walk.rest.header(Layer::Tunnel)?;
        if [family0, family1, len] == [0, 0, 0] {
            return Ok(());
        }
        walk.rest.take(usize::from(len), Layer::Tunnel)?;
    }
}

/// PPTP's GRE, version 1: payload length and call number in place of the key.
fn pptp(walk: &mut Walk<'_, '_>, flags: u16) -> Result<Step, Discard> {
    let [len0, len1, call0, call1] = *walk.rest.header(Layer::Tunnel)?;
    if flags & flag::SEQUENCE == 0 {
        // An acknowledgment alone.
        return Err(Discard::NotIp(NotIp::Control));
    }
    walk.rest.header::<4>(Layer::Tunnel)?;
    if flags & flag::ACKNOWLEDGMENT != 0 {
        walk.rest.header::<4>(Layer::Tunnel)?;
    }
    walk.rest.trim(usize::from(u16::from_be_bytes([len0, len1])));
    walk.context.enter_tunnel(TunnelKind::Gre, u32::from(u16::from_be_bytes([call0, call1])));
    link::ppp(walk)
}

/// An ERSPAN header of type II or III (draft-foschiano-erspan): the mirrored frame follows.
fn erspan(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [version, _, session0, session1, ..] = *walk.rest.header::<8>(Layer::Tunnel)?;
    let session = u32::from(u16::from_be_bytes([session0, session1]) & 0x03ff);
    walk.context.enter_tunnel(TunnelKind::Erspan, session);
    match version >> 4 {
        1 => Ok(Step::Next(Next::Ethernet)),
        2 => {
            let [_, _, kind, options] = *walk.rest.header(Layer::Tunnel)?;
            let has_subheader = options & 0x01 != 0;
            if has_subheader {
                walk.rest.header::<8>(Layer::Tunnel)?;
            }
            match kind >> 2 & 0x1f {
                0 => Ok(Step::Next(Next::Ethernet)),
                2 => Ok(Step::Next(Next::Ip)),
                _ => Err(Discard::NotIp(NotIp::Other)),
            }
        }
        _ => Err(Discard::Malformed(Layer::Tunnel)),
    }
}

/// A redirected packet, with the header that version 2 of WCCP added or without.
fn wccp(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let starts_with_ip = matches!(walk.rest.peek(), Some([first]) if first >> 4 == 4);
    if !starts_with_ip {
        walk.rest.header::<4>(Layer::Tunnel)?;
    }
    Ok(Step::Next(Next::Ipv4))
}
