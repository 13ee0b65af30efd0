//! Link layers by their link type and EtherType. Knows headers below IP, not IP.

mod cooked;
mod ppp;
mod tags;
mod wireless;
mod wrapped;

use etherparse::{Ethernet2Header, Ethernet2HeaderSlice, SingleVlanHeader, SingleVlanHeaderSlice};

use crate::discard::{Discard, Layer, NotIp};
use crate::tunnel;
use crate::walk::{Next, Step, Walk};
use crate::{LinkAddresses, LinkType, MacAddress};

pub(crate) use ppp::ppp;

/// EtherTypes (IEEE registration authority).
pub(crate) mod ether_type {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const ARP: u16 = 0x0806;
    pub(crate) const TRANSPARENT_BRIDGING: u16 = 0x6558;
    pub(crate) const RARP: u16 = 0x8035;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const SLOW_PROTOCOLS: u16 = 0x8809;
    pub(crate) const PPP: u16 = 0x880b;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(crate) const PPPOE_DISCOVERY: u16 = 0x8863;
    pub(crate) const PPPOE_SESSION: u16 = 0x8864;
    pub(crate) const JUMBO_LLC: u16 = 0x8870;
    pub(crate) const EAPOL: u16 = 0x888e;
    pub(crate) const PROVIDER_VLAN: u16 = 0x88a8;
    pub(crate) const LLDP: u16 = 0x88cc;
    pub(crate) const MACSEC: u16 = 0x88e5;
    pub(crate) const PROVIDER_BACKBONE: u16 = 0x88e7;
    pub(crate) const FAULT_MANAGEMENT: u16 = 0x8902;
    pub(crate) const CISCO_METADATA: u16 = 0x8909;
    pub(crate) const VN_TAG: u16 = 0x8926;
    pub(crate) const NSH: u16 = 0x894f;
    pub(crate) const CONFIGURATION_TEST: u16 = 0x9000;
    pub(crate) const OLD_QINQ: [u16; 3] = [0x9100, 0x9200, 0x9300];
}

/// The highest value of an Ethernet type field that is a length (IEEE 802.3, section 3.2.6).
const MAX_LENGTH: u16 = 1500;

/// The lowest that is a type.
const MIN_TYPE: u16 = 0x0600;

/// A frame of a link type.
pub(crate) fn by_type(walk: &mut Walk<'_, '_>, link_type: LinkType) -> Result<Step, Discard> {
    match link_type {
        LinkType::ETHERNET => Ok(Step::Next(Next::Ethernet)),
        LinkType::NULL | LinkType::LOOP => cooked::loopback(walk),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => Ok(Step::Next(Next::Ip)),
        LinkType::IPV4 => Ok(Step::Next(Next::Ipv4)),
        LinkType::IPV6 => Ok(Step::Next(Next::Ipv6)),
        LinkType::LINUX_SLL => cooked::sll(walk),
        LinkType::LINUX_SLL2 => cooked::sll2(walk),
        LinkType::PPP => ppp(walk),
        LinkType::PPP_HDLC => ppp::hdlc(walk),
        LinkType::PPP_ETHER => ppp::pppoe(walk),
        LinkType::PPP_WITH_DIR => ppp::with_direction(walk),
        LinkType::C_HDLC => ppp::cisco_hdlc(walk),
        LinkType::IEEE802_11 => wireless::ieee802_11(walk),
        LinkType::IEEE802_11_RADIOTAP => wireless::radiotap(walk),
        LinkType::IEEE802_11_PRISM => wireless::prism(walk),
        LinkType::IEEE802_11_AVS => wireless::avs(walk),
        LinkType::NFLOG => wrapped::nflog(walk),
        LinkType::PPI => wrapped::ppi(walk),
        LinkType::PKTAP | LinkType::USER2 => wrapped::pktap(walk),
        _ => Err(Discard::UnknownLinkType),
    }
}

/// An Ethernet header, II or 802.3.
pub(crate) fn ethernet(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let bytes = walk.rest.take(Ethernet2Header::LEN, Layer::Link)?;
    let header =
        Ethernet2HeaderSlice::from_slice(bytes).map_err(|_| Discard::Malformed(Layer::Link))?;
    walk.context.link = Some(LinkAddresses {
        src: MacAddress(header.source()),
        dst: MacAddress(header.destination()),
    });
    type_or_length(walk, header.ether_type().0)
}

/// What a type field announces that is a length if it is low enough.
fn type_or_length(walk: &mut Walk<'_, '_>, field: u16) -> Result<Step, Discard> {
    match field {
        MIN_TYPE.. => Ok(Step::Next(Next::EtherType(field))),
        ..=MAX_LENGTH => {
            walk.rest.trim(usize::from(field));
            llc(walk)
        }
        _ => Err(Discard::NotIp(NotIp::Other)),
    }
}

/// What an EtherType announces.
pub(crate) fn by_ether_type(walk: &mut Walk<'_, '_>, ether_type: u16) -> Result<Step, Discard> {
    match ether_type {
        ether_type::IPV4 => Ok(Step::Next(Next::Ipv4)),
        ether_type::IPV6 => Ok(Step::Next(Next::Ipv6)),
        ether_type::ARP | ether_type::RARP => Err(Discard::NotIp(NotIp::Arp)),
        ether_type::LLDP => Err(Discard::NotIp(NotIp::Lldp)),
        ether_type::SLOW_PROTOCOLS
        | ether_type::EAPOL
        | ether_type::FAULT_MANAGEMENT
        | ether_type::CONFIGURATION_TEST
        | ether_type::PPPOE_DISCOVERY => Err(Discard::NotIp(NotIp::Control)),
        ether_type::TRANSPARENT_BRIDGING => Ok(Step::Next(Next::Ethernet)),
        ether_type::MPLS | ether_type::MPLS_UPSTREAM => tunnel::mpls(walk),
        ether_type::PPPOE_SESSION => ppp::pppoe(walk),
        ether_type::PPP => ppp(walk),
        ether_type::JUMBO_LLC => llc(walk),
        ether_type::MACSEC => tags::macsec(walk),
        ether_type::PROVIDER_BACKBONE => tags::provider_backbone(walk),
        ether_type::CISCO_METADATA => tags::cisco_metadata(walk),
        ether_type::VN_TAG => tags::vn_tag(walk),
        ether_type::NSH => tags::nsh(walk),
        _ if is_vlan(ether_type) => vlan(walk),
        _ => Err(Discard::NotIp(NotIp::Other)),
    }
}

/// Whether an EtherType announces a VLAN tag.
pub(crate) fn is_vlan(ether_type: u16) -> bool {
    matches!(ether_type, ether_type::VLAN | ether_type::PROVIDER_VLAN)
        || ether_type::OLD_QINQ.contains(&ether_type)
}

/// VLAN tags, any number of them.
fn vlan(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    loop {
        let bytes = walk.rest.take(SingleVlanHeader::LEN, Layer::Link)?;
        let tag = SingleVlanHeaderSlice::from_slice(bytes)
            .map_err(|_| Discard::Malformed(Layer::Link))?;
        walk.context.encapsulation.push_vlan(tag.vlan_identifier().value());
        if !is_vlan(tag.ether_type().0) {
            return type_or_length(walk, tag.ether_type().0);
        }
    }
}

/// An IEEE 802.2 LLC header, with SNAP or without.
pub(crate) fn llc(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    match *walk.rest.header::<3>(Layer::Link)? {
        SNAP => snap(walk),
        [0x42, 0x42, _] => Err(Discard::NotIp(NotIp::Stp)),
        [0x06, 0x06, 0x03] => Ok(Step::Next(Next::Ipv4)),
        // IS-IS and its kin.
        [0xfe, 0xfe, _] => Err(Discard::NotIp(NotIp::Control)),
        _ => Err(Discard::NotIp(NotIp::Other)),
    }
}

/// A SNAP header (RFC 1042).
fn snap(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [oui @ .., kind0, kind1] = *walk.rest.header::<5>(Layer::Link)?;
    match (oui, u16::from_be_bytes([kind0, kind1])) {
        // RFC 1042, and bridges that had to keep the two kinds apart (IEEE 802.1H).
        ([0, 0, 0] | [0, 0, 0xf8], kind) => Ok(Step::Next(Next::EtherType(kind))),
        (CISCO, 0x010b) => Err(Discard::NotIp(NotIp::Stp)),
        (CISCO, _) => Err(Discard::NotIp(NotIp::Control)),
        _ => Err(Discard::NotIp(NotIp::Other)),
    }
}

/// LLC addresses and control field that announce SNAP.
pub(crate) const SNAP: [u8; 3] = [0xaa, 0xaa, 0x03];

/// Cisco's organisation number: CDP, VTP, DTP, per-VLAN spanning tree.
const CISCO: [u8; 3] = [0x00, 0x00, 0x0c];
