//! IPv6 extension headers (RFC 8200, section 4) and the authentication header. Knows their shape
//! and what of them bears on the transport layer.

use etherparse::{IpAuthHeaderSlice, Ipv6FragmentHeader, Ipv6FragmentHeaderSlice};

use crate::TunnelKind;
use crate::discard::{Discard, Layer};
use crate::fragment::Part;
use crate::ip::protocol;
use crate::walk::{End, Next, Step, Walk};

/// Destination option: home address of a mobile node (RFC 6275, section 6.3).
const HOME_ADDRESS: u8 = 0xc9;

/// Where a routing header says how many segments are still to visit (RFC 8200, section 4.4).
const SEGMENTS_LEFT: usize = 3;

/// Extension headers of the common shape, any number of them: next header, length in eight bytes,
/// anything. Each takes eight bytes at least, so the frame's length bounds the loop; receivers
/// have no other limit either.
pub(crate) fn options(walk: &mut Walk<'_, '_>, number: u8) -> Result<Step, Discard> {
    let mut number = number;
    while is_options(number) {
        let Some(&[next, units]) = walk.rest.peek::<2>() else {
            return Err(walk.rest.missing(8, Layer::Extension));
        };
        let header = walk.rest.take((usize::from(units) + 1) * 8, Layer::Extension)?;
        let elsewhere = match number {
            protocol::ROUTING => header.get(SEGMENTS_LEFT).is_some_and(|&left| left > 0),
            protocol::DESTINATION => has_home_address(header),
            _ => false,
        };
        if let Some(ip) = &mut walk.context.ip {
            ip.facts.source_routed |= elsewhere;
        }
        number = next;
    }
    Ok(Step::Next(Next::Protocol(number)))
}

/// Whether a protocol number announces an extension header of the common shape.
pub(crate) const fn is_options(number: u8) -> bool {
    matches!(
        number,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION
            | protocol::MOBILITY
            | protocol::HIP
            | protocol::SHIM6
    )
}

/// An IPv6 fragment header; an atomic fragment is a whole packet (RFC 6946).
pub(crate) fn fragment(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let bytes = walk.rest.take(Ipv6FragmentHeader::LEN, Layer::Extension)?;
    let header = Ipv6FragmentHeaderSlice::from_slice(bytes)
        .map_err(|_| Discard::Malformed(Layer::Extension))?;
    if header.is_fragmenting_payload() {
        return Ok(Step::End(End::Fragment(Part::v6(&header))));
    }
    Ok(Step::Next(Next::Protocol(header.next_header().0)))
}

/// An authentication header (RFC 4302): what it protects follows in the clear.
pub(crate) fn authentication(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let header = IpAuthHeaderSlice::from_slice(walk.rest.bytes()).map_err(|error| {
        use etherparse::err::ip_auth::HeaderSliceError;
        match error {
            HeaderSliceError::Len(len) => walk.rest.missing(len.required_len, Layer::Extension),
            HeaderSliceError::Content(_) => Discard::Malformed(Layer::Extension),
        }
    })?;
    walk.rest.take(header.slice().len(), Layer::Extension)?;
    walk.context.enter_tunnel(TunnelKind::Ah, header.spi());
    Ok(Step::Next(Next::Protocol(header.next_header().0)))
}

fn has_home_address(header: &[u8]) -> bool {
    let mut rest = header.get(2..).unwrap_or_default();
    while let Some((&kind, after)) = rest.split_first() {
        match (kind, after) {
            (HOME_ADDRESS, _) => return true,
            (0, _) => rest = after,
            (_, &[len, ..]) => {
                rest = rest.get(2 + usize::from(len)..).unwrap_or_default();
            }
            (_, []) => return false,
        }
    }
    false
}
