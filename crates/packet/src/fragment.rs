//! One fragment of an IP datagram. Knows where it belongs, not what else has come.

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6FragmentHeaderSlice};

use crate::Encapsulation;
use crate::discard::{Discard, Layer};
use crate::ip::protocol;
use crate::span::Span;
use crate::walk::{Context, Walk};

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

/// What a fragment's headers say of its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// What tells datagrams of the same addresses apart besides the identification.
    protocol: u8,
    id: u32,
    offset: usize,
    more: bool,
    next: u8,
    bad_checksum: bool,
    header_len: usize,
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

impl Part {
    /// The place that an IPv4 header gives.
    pub(crate) fn v4(header: &Ipv4HeaderSlice<'_>, checksum_ok: bool) -> Self {
        let next = header.protocol().0;
        Self {
            protocol: next,
            id: u32::from(header.identification()),
            offset: usize::from(header.fragments_offset().value()) * 8,
            more: header.more_fragments(),
            next,
            bad_checksum: !checksum_ok && header.header_checksum() != 0,
            header_len: header.slice().len(),
        }
    }

    /// The place that an IPv6 fragment header gives.
    pub(crate) fn v6(header: &Ipv6FragmentHeaderSlice<'_>) -> Self {
        Self {
            // Fragments of one datagram may name different next headers (RFC 8200, section 4.5).
            protocol: protocol::FRAGMENT,
            id: header.identification(),
            offset: usize::from(header.fragment_offset().value()) * 8,
            more: header.more_fragments(),
            next: header.next_header().0,
            bad_checksum: false,
            // The length field does not count the IPv6 header.
            header_len: 0,
        }
    }
}

impl<'a> Walk<'a, '_> {
    /// The fragment that the walk ended at.
    ///
    /// # Errors
    /// `Malformed` if there was no IP header on the way: no walk ends so.
    pub(crate) fn fragment(&self, part: Part) -> Result<Fragment<'a>, Discard> {
        let Some(ip) = self.context.ip else { return Err(Discard::Malformed(Layer::Link)) };
        Ok(Fragment {
            key: FragmentKey {
                src: ip.src,
                dst: ip.dst,
                protocol: part.protocol,
                id: part.id,
                encapsulation: self.context.encapsulation,
            },
            offset: part.offset,
            more: part.more,
            payload: self.rest,
            next: part.next,
            bad_checksum: part.bad_checksum,
            header_len: part.header_len,
            context: self.context,
        })
    }
}
