//! Link layers. Knows headers below IP, not IP.

use etherparse::{Ethernet2Header, Ethernet2HeaderSlice, SingleVlanHeader, SingleVlanHeaderSlice};

use crate::discard::{Discard, Layer, NotIp};
use crate::walk::{Next, Step, Walk};
use crate::{LinkAddresses, LinkType, MacAddress};

/// EtherTypes (IEEE registration authority).
pub(crate) mod ether_type {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const ARP: u16 = 0x0806;
    pub(crate) const RARP: u16 = 0x8035;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const PROVIDER_VLAN: u16 = 0x88a8;
    pub(crate) const LLDP: u16 = 0x88cc;
    pub(crate) const OLD_QINQ: [u16; 3] = [0x9100, 0x9200, 0x9300];
}

/// The highest value of an Ethernet type field that is a length (IEEE 802.3).
const MAX_LENGTH: u16 = 1500;

/// A frame of a link type.
pub(crate) fn by_type<'a>(
    _walk: &mut Walk<'a, '_>,
    link_type: LinkType,
) -> Result<Step<'a>, Discard> {
    match link_type {
        LinkType::ETHERNET => Ok(Step::Next(Next::Ethernet)),
        _ => Err(Discard::UnknownLinkType),
    }
}

/// An Ethernet header, II or 802.3.
pub(crate) fn ethernet<'a>(walk: &mut Walk<'a, '_>) -> Result<Step<'a>, Discard> {
    let bytes = walk.rest.take(Ethernet2Header::LEN, Layer::Link)?;
    let header =
        Ethernet2HeaderSlice::from_slice(bytes).map_err(|_| Discard::Malformed(Layer::Link))?;
    walk.context.link = Some(LinkAddresses {
        src: MacAddress(header.source()),
        dst: MacAddress(header.destination()),
    });
    Ok(Step::Next(Next::EtherType(header.ether_type().0)))
}

/// What an EtherType announces.
pub(crate) fn by_ether_type<'a>(
    walk: &mut Walk<'a, '_>,
    ether_type: u16,
) -> Result<Step<'a>, Discard> {
    match ether_type {
        ether_type::IPV4 => Ok(Step::Next(Next::Ipv4)),
        ether_type::IPV6 => Ok(Step::Next(Next::Ipv6)),
        ether_type::ARP | ether_type::RARP => Err(Discard::NotIp(NotIp::Arp)),
        ether_type::LLDP => Err(Discard::NotIp(NotIp::Lldp)),
        _ if is_vlan(ether_type) => vlan(walk),
        _ => Err(Discard::NotIp(NotIp::Other)),
    }
}

/// VLAN tags, any number of them.
fn vlan<'a>(walk: &mut Walk<'a, '_>) -> Result<Step<'a>, Discard> {
    loop {
        let bytes = walk.rest.take(SingleVlanHeader::LEN, Layer::Link)?;
        let tag = SingleVlanHeaderSlice::from_slice(bytes)
            .map_err(|_| Discard::Malformed(Layer::Link))?;
        walk.context.encapsulation.push_vlan(tag.vlan_identifier().value());
        if !is_vlan(tag.ether_type().0) {
            return Ok(Step::Next(Next::EtherType(tag.ether_type().0)));
        }
    }
}

fn is_vlan(ether_type: u16) -> bool {
    matches!(ether_type, ether_type::VLAN | ether_type::PROVIDER_VLAN)
        || ether_type::OLD_QINQ.contains(&ether_type)
}
