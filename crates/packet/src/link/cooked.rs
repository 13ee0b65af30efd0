//! Loopback and cooked headers: what an operating system puts where the link had none. Knows
//! nothing of who captured.

use crate::discard::{Discard, Layer, NotIp};
use crate::link;
use crate::walk::{Next, Step, Walk};

/// BSD loopback: an address family in the byte order of the capturing host, or in network order.
pub(crate) fn loopback(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let bytes = *walk.rest.header::<4>(Layer::Link)?;
    let little = u32::from_le_bytes(bytes);
    let family = if little > MAX_FAMILY { u32::from_be_bytes(bytes) } else { little };
    // Each system has its own number for IPv6: Linux, Windows, NetBSD, FreeBSD, macOS.
    match family {
        2 | 10 | 23 | 24 | 28 | 30 => Ok(Step::Next(Next::Ip)),
        _ => Err(Discard::NotIp(NotIp::Other)),
    }
}

/// Linux cooked capture (LINKTYPE_LINUX_SLL).
pub(crate) fn sll(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [_, _, device0, device1, .., kind0, kind1] = *walk.rest.header::<16>(Layer::Link)?;
    let device = u16::from_be_bytes([device0, device1]);
    payload(walk, device, u16::from_be_bytes([kind0, kind1]))
}

/// Linux cooked capture, version 2 (LINKTYPE_LINUX_SLL2).
pub(crate) fn sll2(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [kind0, kind1, _, _, _, _, _, _, device0, device1, ..] =
        *walk.rest.header::<20>(Layer::Link)?;
    let device = u16::from_be_bytes([device0, device1]);
    payload(walk, device, u16::from_be_bytes([kind0, kind1]))
}

fn payload(walk: &mut Walk<'_, '_>, device: u16, kind: u16) -> Result<Step, Discard> {
    match (device, kind) {
        (ARPHRD_NETLINK, _) => Err(Discard::NotIp(NotIp::Other)),
        (ARPHRD_RADIOTAP, _) => link::wireless::radiotap(walk),
        (_, PROTOCOL_LLC) => link::llc(walk),
        (_, kind) => Ok(Step::Next(Next::EtherType(kind))),
    }
}

/// Address families are small numbers; one that is not stands in the other byte order.
const MAX_FAMILY: u32 = 0xffff;

/// Linux device types (linux/if_arp.h).
const ARPHRD_NETLINK: u16 = 824;
const ARPHRD_RADIOTAP: u16 = 803;

/// Linux protocol number of 802.2 frames (linux/if_ether.h).
const PROTOCOL_LLC: u16 = 4;
