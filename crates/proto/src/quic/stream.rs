//! The handshake messages in the CRYPTO stream of one direction.
//!
//! Knows the four-byte header of a handshake message (RFC 8446, section 4). It reads no message.

use std::borrow::Cow;

use crate::assembly::{Assembly, Inserted, MAX_BYTES};
use crate::bytes::Reader;

/// A CRYPTO stream, and how far its messages have been taken.
#[derive(Debug, Default)]
pub(crate) struct CryptoStream {
    assembly: Assembly,
    /// Where the next message begins.
    next: usize,
    ended: bool,
}

/// A handshake message: its type and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u8,
    pub(crate) body: Cow<'a, [u8]>,
}

/// A message that claims more than is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oversized;

impl CryptoStream {
    /// Adds a piece.
    pub(crate) fn insert(&mut self, offset: u64, bytes: &[u8]) -> Inserted {
        self.assembly.insert(offset, bytes)
    }

    /// Whether nothing has come.
    pub(crate) const fn is_empty(&self) -> bool {
        self.assembly.is_empty()
    }

    /// Whether a piece differs from what is there.
    pub(crate) fn disagrees(&self, offset: u64, bytes: &[u8]) -> bool {
        self.assembly.disagrees(offset, bytes)
    }

    /// The next whole message, `None` until it is there.
    pub(crate) fn next_message(&mut self) -> Result<Option<Message<'_>>, Oversized> {
        let body_at = self.next.saturating_add(HEADER);
        if self.ended || body_at > self.assembly.contiguous() {
            return Ok(None);
        }
        let header = self.assembly.read(self.next, body_at).unwrap_or_default();
        let mut header = Reader::new(&header);
        let (Some(kind), Some(length)) = (header.u8(), header.u24()) else {
            return Ok(None);
        };
        let end = body_at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if end > MAX_BYTES {
            self.ended = true;
            return Err(Oversized);
        }
        let Some(body) = self.assembly.read(body_at, end) else {
            return Ok(None);
        };
        self.next = end;
        Ok(Some(Message { kind, body }))
    }

    /// Everything from the start of the stream on without a hole.
    pub(crate) fn start(&self) -> Cow<'_, [u8]> {
        self.assembly.read(0, self.assembly.contiguous()).unwrap_or_default()
    }

    /// Takes no more messages: what is wanted was found.
    pub(crate) const fn end(&mut self) {
        self.ended = true;
    }

    /// Whether a message has begun and not ended.
    pub(crate) const fn is_partial(&self) -> bool {
        let begun = self.next < self.assembly.contiguous() || self.assembly.has_hole();
        begun && !self.ended
    }

    /// Bytes of memory held.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.assembly.held_bytes()
    }
}

/// Type and length (RFC 8446, section 4).
const HEADER: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_in_order_once_whole() {
        let mut stream = CryptoStream::default();
        stream.insert(0, &[1, 0, 0, 2, 7]);
        assert_eq!(stream.next_message(), Ok(None));
        assert!(stream.is_partial());
        stream.insert(5, &[8, 2, 0, 0, 0]);
        let first = Message { kind: 1, body: Cow::Borrowed(&[7, 8][..]) };
        assert_eq!(stream.next_message(), Ok(Some(first)));
        let second = Message { kind: 2, body: Cow::Borrowed(&[][..]) };
        assert_eq!(stream.next_message(), Ok(Some(second)));
        assert_eq!(stream.next_message(), Ok(None));
        assert!(!stream.is_partial());
    }

    #[test]
    fn a_message_that_claims_too_much_is_said_once() {
        let mut stream = CryptoStream::default();
        stream.insert(0, &[1, 1, 0, 0, 7]);
        assert_eq!(stream.next_message(), Err(Oversized));
        assert_eq!(stream.next_message(), Ok(None));
    }
}
