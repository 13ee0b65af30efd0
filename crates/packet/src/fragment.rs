//! One fragment of an IP datagram. Knows where it belongs, not what else has come.

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6FragmentHeaderSlice};

use crate::Encapsulation;
use crate::ip::protocol;
use crate::span::Span;
use crate::walk::Context;

/// What fragments of one datagram have in common (RFC 791, section 3.2; RFC 8200, section 4.5).
///
/// Tunnel and VLANs are part of it: the same addresses mean other hosts there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FragmentKey {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    id: u32,
    encapsulation: Encapsulation,
}

/// One fragment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'a> {
    pub(crate) key: FragmentKey,
    /// Where its bytes start in the datagram.
    pub(crate) offset: usize,
    /// Whether it is not the last.
    pub(crate) more: bool,
    pub(crate) payload: Span<'a>,
    /// The protocol number of what the datagram holds, as this fragment has it.
    pub(crate) next: u8,
    /// Whether no receiver takes it for its header checksum. One of zero is not made yet: a card
    /// does that.
    pub(crate) bad_checksum: bool,
    /// Length of the header that each fragment has, in bytes, and the datagram will have.
    pub(crate) header_len: usize,
    pub(crate) context: Context,
}

impl<'a> Fragment<'a> {
    /// The fragment behind an IPv4 header.
    pub(crate) fn v4(
        header: &Ipv4HeaderSlice<'_>,
        payload: Span<'a>,
        context: Context,
    ) -> Option<Self> {
        let next = header.protocol().0;
        let id = u32::from(header.identification());
        let key = FragmentKey::new(&context, next, id)?;
        let sum_ok = context.ip.is_some_and(|ip| ip.facts.checksum_ok);
        Some(Self {
            key,
            offset: usize::from(header.fragments_offset().value()) * 8,
            more: header.more_fragments(),
            payload,
            next,
            bad_checksum: !sum_ok && header.header_checksum() != 0,
            header_len: header.slice().len(),
            context,
        })
    }

    /// The fragment behind an IPv6 fragment header.
    pub(crate) fn v6(
        header: &Ipv6FragmentHeaderSlice<'_>,
        payload: Span<'a>,
        context: Context,
    ) -> Option<Self> {
        let key = FragmentKey::new(&context, protocol::FRAGMENT, header.identification())?;
        Some(Self {
            key,
            offset: usize::from(header.fragment_offset().value()) * 8,
            more: header.more_fragments(),
            payload,
            next: header.next_header().0,
            bad_checksum: false,
            // The length field does not count the IPv6 header.
            header_len: 0,
            context,
        })
    }
}

impl FragmentKey {
    fn new(context: &Context, protocol: u8, id: u32) -> Option<Self> {
        let ip = context.ip?;
        let encapsulation = context.encapsulation;
        Some(Self { src: ip.src, dst: ip.dst, protocol, id, encapsulation })
    }
}
