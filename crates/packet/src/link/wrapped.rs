//! Headers that capture systems put before a whole frame or packet: NFLOG, PPI, PKTAP. Knows
//! where the inner frame starts and which process PKTAP notes, not what else was noted.

use crate::LinkType;
use crate::discard::{Discard, Layer, NotIp};
use crate::process::PktapProcesses;
use crate::walk::{Next, Step, Walk};

/// A netfilter log message: family, version, resource, then fields; the packet is one of them.
pub(crate) fn nflog(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [_, version, ..] = *walk.rest.header::<4>(Layer::Link)?;
    if version != 0 {
        return Err(Discard::Malformed(Layer::Link));
    }
    while let Some(&[len0, len1, kind0, kind1]) = walk.rest.peek() {
        // Lengths stand in the capturing host's byte order: a kind is small in the right one.
        let kind = u16::from_le_bytes([kind0, kind1]) & NFLOG_KIND;
        let little = kind <= 0xff;
        let len = if little { [len0, len1] } else { [len1, len0] };
        let len = usize::from(u16::from_le_bytes(len));
        let kind = if little { kind } else { u16::from_be_bytes([kind0, kind1]) & NFLOG_KIND };
        if len < 4 {
            return Err(Discard::Malformed(Layer::Link));
        }
        if kind == NFLOG_PAYLOAD {
            walk.rest.header::<4>(Layer::Link)?;
            walk.rest.trim(len - 4);
            return Ok(Step::Next(Next::Ip));
        }
        walk.rest.take(len.next_multiple_of(4), Layer::Link)?;
    }
    Err(Discard::NotIp(NotIp::Other))
}

/// A per-packet information header (PPI): version, flags, length, link type of the frame.
pub(crate) fn ppi(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [_, _, len0, len1, t0, t1, t2, t3] = *walk.rest.header(Layer::Link)?;
    let len = usize::from(u16::from_le_bytes([len0, len1]));
    let Some(fields) = len.checked_sub(8) else {
        return Err(Discard::Malformed(Layer::Link));
    };
    walk.rest.take(fields, Layer::Link)?;
    Ok(Step::Next(Next::Link(LinkType(u32::from_le_bytes([t0, t1, t2, t3])))))
}

/// Apple's PKTAP header, version 1 or 2 (bsd/net/pktap.h).
pub(crate) fn pktap(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let Some(fixed) = walk.rest.peek::<PKTAP_V2>() else {
        return Err(walk.rest.missing(PKTAP_V2, Layer::Link));
    };
    let [len0, len1, len2, len3, k0, k1, k2, k3, t0, t1, t2, t3, .., f0, f1, f2, f3] = *fixed;
    let flags = u32::from_le_bytes([f0, f1, f2, f3]);
    let (len, kind, link_type) = if flags & PKTAP_FLAG_V2 != 0 {
        (u32::from(len0), PKTAP_PACKET, u32::from(u16::from_le_bytes([k2, k3])))
    } else {
        (
            u32::from_le_bytes([len0, len1, len2, len3]),
            u32::from_le_bytes([k0, k1, k2, k3]),
            u32::from_le_bytes([t0, t1, t2, t3]),
        )
    };
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len < PKTAP_V2 {
        return Err(Discard::Malformed(Layer::Link));
    }
    let header = walk.rest.take(len, Layer::Link)?;
    walk.processes = Some(if flags & PKTAP_FLAG_V2 != 0 {
        PktapProcesses::of_v2(header)
    } else {
        PktapProcesses::of_v1(header)
    });
    match kind {
        PKTAP_PACKET => Ok(Step::Next(Next::Link(LinkType(link_type)))),
        _ => Err(Discard::NotIp(NotIp::Control)),
    }
}

/// The low bits of a field's kind; the two above are flags (linux/netlink.h).
const NFLOG_KIND: u16 = 0x3fff;

/// The field that holds the packet (linux/netfilter/nfnetlink_log.h, `NFULA_PAYLOAD`).
const NFLOG_PAYLOAD: u16 = 9;

/// Length of the fixed part of version 2; version 1 is longer, with its flags at the same place.
const PKTAP_V2: usize = 40;

/// The flag that tells version 2.
const PKTAP_FLAG_V2: u32 = 0x0008_0000;

/// What follows the header is a packet.
const PKTAP_PACKET: u32 = 1;
