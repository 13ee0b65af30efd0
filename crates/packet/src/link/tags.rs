//! Tags between an Ethernet header and its payload, other than VLANs. Knows their shape, not
//! what the switches mean by them.

use crate::TunnelKind;
use crate::discard::{Discard, Layer, NotIp};
use crate::link::ether_type;
use crate::tunnel;
use crate::walk::{Next, Step, Walk};

/// A MACsec tag (IEEE 802.1AE, section 9.3); what is only authenticated follows in the clear.
pub(crate) fn macsec(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [control, ..] = *walk.rest.header::<6>(Layer::Link)?;
    let has_channel = control & 0x20 != 0;
    if has_channel {
        walk.rest.header::<8>(Layer::Link)?;
    }
    let is_changed = control & 0x0c != 0;
    if is_changed {
        return Err(Discard::Encrypted);
    }
    let kind = u16::from_be_bytes(*walk.rest.header(Layer::Link)?);
    Ok(Step::Next(Next::EtherType(kind)))
}

/// A provider backbone service tag (IEEE 802.1ah): the customer's frame follows.
pub(crate) fn provider_backbone(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [_, id0, id1, id2] = *walk.rest.header(Layer::Tunnel)?;
    walk.context.enter_tunnel(TunnelKind::Pbb, u32::from_be_bytes([0, id0, id1, id2]));
    Ok(Step::Next(Next::Ethernet))
}

/// Cisco metadata (security group tags): version, length in four bytes, options, EtherType.
pub(crate) fn cisco_metadata(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [_, units] = *walk.rest.header(Layer::Link)?;
    walk.rest.take(usize::from(units) * 4, Layer::Link)?;
    let kind = u16::from_be_bytes(*walk.rest.header(Layer::Link)?);
    Ok(Step::Next(Next::EtherType(kind)))
}

/// A VN-Tag (IEEE 802.1BR's forerunner): four bytes of port numbers, EtherType.
pub(crate) fn vn_tag(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [.., kind0, kind1] = *walk.rest.header::<6>(Layer::Link)?;
    Ok(Step::Next(Next::EtherType(u16::from_be_bytes([kind0, kind1]))))
}

/// A network service header (RFC 8300, section 2).
pub(crate) fn nsh(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let [_, len, _, next, id0, id1, id2, _] = *walk.rest.header(Layer::Tunnel)?;
    let Some(context_len) = (usize::from(len & 0x3f) * 4).checked_sub(8) else {
        return Err(Discard::Malformed(Layer::Tunnel));
    };
    walk.rest.take(context_len, Layer::Tunnel)?;
    walk.context.enter_tunnel(TunnelKind::Nsh, u32::from_be_bytes([0, id0, id1, id2]));
    by_next_protocol(walk, next)
}

/// What the next protocol field of NSH and VXLAN-GPE announces (IANA, "NSH Next Protocol").
pub(crate) fn by_next_protocol(walk: &mut Walk<'_, '_>, next: u8) -> Result<Step, Discard> {
    match next {
        1 => Ok(Step::Next(Next::Ipv4)),
        2 => Ok(Step::Next(Next::Ipv6)),
        3 => Ok(Step::Next(Next::Ethernet)),
        4 => Ok(Step::Next(Next::EtherType(ether_type::NSH))),
        5 => tunnel::mpls(walk),
        _ => Err(Discard::NotIp(NotIp::Other)),
    }
}
