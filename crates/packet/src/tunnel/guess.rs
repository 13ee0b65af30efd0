//! What bytes look like, where a tunnel header does not say what it carries. Knows only how
//! headers begin and how long they claim to be.

use crate::Layer;
use crate::checksum;
use crate::link::{ether_type, is_vlan};
use crate::span::Span;

/// Whether an IPv4 packet seems to start here: version and lengths fit.
pub(crate) fn is_ipv4(span: Span<'_>) -> bool {
    let Some(&[first, _, len0, len1]) = span.peek() else { return false };
    let header_len = usize::from(first & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([len0, len1]));
    let lengths_fit = total_len == 0 || (header_len..=span.wire_len()).contains(&total_len);
    first >> 4 == 4 && header_len >= 20 && header_len <= span.wire_len() && lengths_fit
}

/// Whether the header of an IPv4 packet here sums up right.
pub(crate) fn is_summed_ipv4(span: Span<'_>) -> bool {
    let header_len = span.peek().map_or(0, |&[first]| usize::from(first & 0x0f) * 4);
    is_ipv4(span) && span.bytes().get(..header_len).is_some_and(checksum::is_valid)
}

/// Whether an IPv6 packet seems to start here: version and lengths fit.
pub(crate) fn is_ipv6(span: Span<'_>) -> bool {
    let Some(&[first, _, _, _, len0, len1]) = span.peek() else { return false };
    let payload_len = usize::from(u16::from_be_bytes([len0, len1]));
    first >> 4 == 6 && IPV6_HEADER + payload_len <= span.wire_len()
}

/// Whether an IPv6 packet here ends where the span does.
pub(crate) fn is_filling_ipv6(span: Span<'_>) -> bool {
    let Some(&[_, _, _, _, len0, len1]) = span.peek() else { return false };
    let payload_len = usize::from(u16::from_be_bytes([len0, len1]));
    is_ipv6(span) && IPV6_HEADER + payload_len == span.wire_len()
}

/// Whether an Ethernet frame seems to start here: its type is known, and what follows fits it.
pub(crate) fn is_ethernet(span: Span<'_>) -> bool {
    let mut rest = span;
    let Ok([.., kind0, kind1]) = rest.header::<14>(Layer::Link) else { return false };
    let mut kind = u16::from_be_bytes([*kind0, *kind1]);
    while is_vlan(kind) {
        let Ok(&[_, _, kind0, kind1]) = rest.header(Layer::Link) else { return false };
        kind = u16::from_be_bytes([kind0, kind1]);
    }
    fits(kind, rest)
}

/// Whether what follows a type field fits it.
fn fits(kind: u16, rest: Span<'_>) -> bool {
    match kind {
        ether_type::IPV4 => is_ipv4(rest),
        ether_type::IPV6 => is_ipv6(rest),
        ether_type::ARP => matches!(rest.peek(), Some([0x00, 0x01, 0x08, 0x00])),
        // A logical link header follows, whose length is given: SNAP, spanning tree, IS-IS.
        length @ 3..=1500 => {
            let known =
                matches!(rest.peek(), Some([0xaa, 0xaa, 3] | [0x42, 0x42, 3] | [0xfe, 0xfe, 3]));
            known && usize::from(length) <= rest.wire_len()
        }
        ether_type::MPLS
        | ether_type::MPLS_UPSTREAM
        | ether_type::PPPOE_DISCOVERY
        | ether_type::PPPOE_SESSION
        | ether_type::LLDP
        | ether_type::SLOW_PROTOCOLS
        | ether_type::EAPOL
        | ether_type::CISCO_METADATA
        | ether_type::NSH
        | ether_type::PROVIDER_BACKBONE => true,
        _ => false,
    }
}

const IPV6_HEADER: usize = 40;
