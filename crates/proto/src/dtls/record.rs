//! DTLS records and the fragments of handshake messages in them.
//!
//! Knows RFC 6347, sections 4.1 and 4.2.2, and the unified header of RFC 9147, section 4. It joins
//! nothing.

use crate::bytes::Reader;
use crate::hellos::MessageType;

/// Whether `datagram` begins with a DTLS record in the old form.
pub(crate) fn is_dtls(datagram: &[u8]) -> bool {
    Records::new(datagram).next().is_some()
}

/// Whether `datagram` begins with the unified header of a protected DTLS 1.3 record.
pub(crate) fn is_protected(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & UNIFIED_MASK == UNIFIED)
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    content: u8,
    epoch: u16,
    pub(crate) body: &'a [u8],
}

impl Record<'_> {
    /// Whether it holds handshake messages in the clear.
    pub(crate) const fn is_plain_handshake(&self) -> bool {
        self.content == HANDSHAKE && self.epoch == 0
    }
}

/// The records of a datagram; ends at bytes that are none.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    reader: Reader<'a>,
}

impl<'a> Records<'a> {
    pub(crate) const fn new(datagram: &'a [u8]) -> Self {
        Self { reader: Reader::new(datagram) }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let mut reader = self.reader;
        let content = reader.u8()?;
        let version = reader.u16()?;
        if !CONTENT.contains(&content) || !VERSIONS.contains(&version) {
            return None;
        }
        let epoch = reader.u16()?;
        let _sequence = reader.array::<6>()?;
        let length = usize::from(reader.u16()?);
        let body = reader.take(length)?;
        self.reader = reader;
        Some(Record { content, epoch, body })
    }
}

/// A piece of a handshake message (RFC 6347, section 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) kind: MessageType,
    /// `message_seq`.
    pub(crate) sequence: u16,
    /// Length of the whole message.
    pub(crate) length: usize,
    pub(crate) offset: u64,
    pub(crate) bytes: &'a [u8],
}

impl Fragment<'_> {
    pub(crate) const fn is_whole(&self) -> bool {
        self.offset == 0 && self.bytes.len() == self.length
    }
}

/// The fragments of a record; ends at one that is cut or lies outside its message.
#[derive(Clone, Debug)]
pub(crate) struct Fragments<'a> {
    reader: Reader<'a>,
}

impl<'a> Fragments<'a> {
    pub(crate) const fn new(record: &'a [u8]) -> Self {
        Self { reader: Reader::new(record) }
    }
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Fragment<'a>> {
        let kind = MessageType(self.reader.u8()?);
        let length = usize::try_from(self.reader.u24()?).ok()?;
        let sequence = self.reader.u16()?;
        let offset = self.reader.u24()?;
        let fragment_length = usize::try_from(self.reader.u24()?).ok()?;
        let bytes = self.reader.take(fragment_length)?;
        let end = usize::try_from(offset).ok()?.checked_add(fragment_length)?;
        (end <= length).then_some(Fragment { kind, sequence, length, offset: offset.into(), bytes })
    }
}

/// Content type of handshake messages (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// Content types from change_cipher_spec to ACK (IANA "TLS ContentType").
const CONTENT: core::ops::RangeInclusive<u8> = 20..=26;
/// DTLS 1.0, 1.2 and 1.3, and OpenSSL's form from before RFC 4347.
const VERSIONS: [u16; 4] = [0xfeff, 0xfefd, 0xfefc, 0x0100];
/// The unified header begins with the bits 001 (RFC 9147, section 4).
const UNIFIED_MASK: u8 = 0b1110_0000;
const UNIFIED: u8 = 0b0010_0000;
