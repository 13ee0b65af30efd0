//! Long headers (RFC 9000, section 17.2; RFC 8999) and the packets coalesced in one datagram.
//!
//! Knows where packets begin and end and which connection IDs they carry. It opens none.

use std::fmt;

use super::version::{PacketType, Version};
use crate::bytes::Reader;

/// A QUIC connection ID, at most 20 bytes (RFC 9000, section 17.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    bytes: [u8; MAX_ID],
    length: u8,
}

impl ConnectionId {
    /// The ID made of `bytes`; `None` if they are more than 20.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut id = Self { bytes: [0; MAX_ID], length: u8::try_from(bytes.len()).ok()? };
        id.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(id)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// One packet of a known version, still protected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongPacket<'a> {
    pub(crate) version: Version,
    pub(crate) kind: PacketType,
    /// Destination connection ID.
    pub(crate) destination: ConnectionId,
    /// Source connection ID.
    pub(crate) source: ConnectionId,
    /// The whole packet, tag included.
    pub(crate) bytes: &'a [u8],
    /// Where the packet number begins in `bytes`.
    pub(crate) number_at: usize,
}

/// What the first bytes of a datagram say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LongHeader {
    /// A version whose Initials can be opened.
    Known(Version),
    /// Version Negotiation.
    Negotiation,
    /// Another version, or no QUIC at all.
    Other(Version),
}

/// The long header at the start of `bytes`, by its invariants (RFC 8999, section 5.1).
pub(crate) fn long_header(bytes: &[u8]) -> Option<LongHeader> {
    let (first, rest) = bytes.split_first()?;
    let version = Version(u32::from_be_bytes(*rest.first_chunk()?));
    if first & LONG == 0 {
        return None;
    }
    Some(match version {
        Version::NEGOTIATION => LongHeader::Negotiation,
        _ if version.salt().is_some() => LongHeader::Known(version),
        _ => LongHeader::Other(version),
    })
}

/// The long-header packets of one datagram, at most [`MAX_COALESCED`].
///
/// Ends at a short header, at a version that is not known, and at a length that does not fit.
#[derive(Clone, Debug)]
pub(crate) struct Packets<'a> {
    rest: &'a [u8],
    left: u8,
}

impl<'a> Packets<'a> {
    pub(crate) const fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram, left: MAX_COALESCED }
    }

    fn read(&mut self) -> Option<LongPacket<'a>> {
        let mut reader = Reader::new(self.rest);
        let first = reader.u8()?;
        let version = Version(reader.u32()?);
        if first & LONG == 0 || version.salt().is_none() {
            return None;
        }
        let kind = version.packet_type(first);
        let destination = connection_id(&mut reader)?;
        let source = connection_id(&mut reader)?;
        if kind == PacketType::Initial {
            let token = usize::try_from(varint(&mut reader)?).ok()?;
            reader.take(token)?;
        }
        if kind == PacketType::Retry {
            reader.take(reader.rest().len())?;
        }
        let length = match kind {
            PacketType::Retry => 0,
            _ => usize::try_from(varint(&mut reader)?).ok()?,
        };
        let number_at = self.rest.len().checked_sub(reader.rest().len())?;
        let end = number_at.checked_add(length)?;
        let (bytes, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(LongPacket { version, kind, destination, source, bytes, number_at })
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = LongPacket<'a>;

    fn next(&mut self) -> Option<LongPacket<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.read()
    }
}

/// A variable-length integer (RFC 9000, section 16).
pub(crate) fn varint(reader: &mut Reader<'_>) -> Option<u64> {
    let first = *reader.rest().first()?;
    match first >> 6 {
        0 => reader.u8().map(u64::from),
        1 => reader.u16().map(|value| u64::from(value & 0x3fff)),
        2 => reader.u32().map(|value| u64::from(value & 0x3fff_ffff)),
        _ => reader.array().map(|value| u64::from_be_bytes(value) & 0x3fff_ffff_ffff_ffff),
    }
}

fn connection_id(reader: &mut Reader<'_>) -> Option<ConnectionId> {
    let length = usize::from(reader.u8()?);
    ConnectionId::new(reader.take(length)?)
}

/// Header form bit of a long header.
const LONG: u8 = 0x80;
/// Longest connection ID of version 1 (RFC 9000, section 17.2).
const MAX_ID: usize = 20;
/// Packets looked at in one datagram: Initial, 0-RTT and Handshake, with room for oddities.
const MAX_COALESCED: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9000, appendix A.1, "Sample Variable-Length Integer Decoding".
    #[test]
    fn variable_length_integers() {
        let check = |bytes: &[u8], value| {
            assert_eq!(varint(&mut Reader::new(bytes)), value, "{bytes:02x?}");
        };
        check(&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], Some(151_288_809_941_952_652));
        check(&[0x9d, 0x7f, 0x3e, 0x7d], Some(494_878_333));
        check(&[0x7b, 0xbd], Some(15_293));
        check(&[0x25], Some(37));
        check(&[0x40, 0x25], Some(37));
        check(&[0x40], None);
        check(&[], None);
    }

    /// RFC 9001, appendix A.4, and RFC 9369, appendix A.4.
    #[test]
    fn a_retry_packet_takes_the_rest_of_the_datagram() {
        for (vector, version) in [
            (include_str!("../../vectors/rfc9001-retry.hex"), Version::V1),
            (include_str!("../../vectors/rfc9369-retry.hex"), Version::V2),
        ] {
            let datagram = super::super::vectors::bytes(vector);
            let packets: Vec<_> = Packets::new(&datagram).collect();
            let [packet] = &packets[..] else { panic!("{packets:?}") };
            assert_eq!(packet.version, version);
            assert_eq!(packet.kind, PacketType::Retry);
            assert_eq!(packet.destination.as_bytes(), b"");
            assert_eq!(format!("{:?}", packet.source), "f067a5502a4262b5");
            assert_eq!(packet.bytes.len(), datagram.len());
        }
    }

    #[test]
    fn a_length_that_does_not_fit_ends_the_datagram() {
        let mut datagram = super::super::vectors::client_initial_1();
        assert_eq!(Packets::new(&datagram).count(), 1);
        datagram.pop();
        assert_eq!(Packets::new(&datagram).count(), 0);
    }

    #[test]
    fn an_identifier_of_more_than_twenty_bytes_is_refused() {
        assert!(ConnectionId::new(&[0; 20]).is_some());
        assert!(ConnectionId::new(&[0; 21]).is_none());
    }
}
