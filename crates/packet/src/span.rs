//! What is left of a frame: captured bytes, and how long they were on the wire. Knows no headers.

use crate::discard::{Discard, Layer};

/// The rest of a frame at some layer. Captured bytes are a prefix of what was on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    bytes: &'a [u8],
    wire_len: usize,
}

impl<'a> Span<'a> {
    /// The captured bytes of something that was `wire_len` bytes long, or as long as they are.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], wire_len: usize) -> Self {
        Self { bytes, wire_len: wire_len.max(bytes.len()) }
    }

    /// The captured bytes.
    #[inline]
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Length on the wire, in bytes; never less than was captured.
    #[inline]
    pub(crate) const fn wire_len(&self) -> usize {
        self.wire_len
    }

    /// Whether the capture holds all of it.
    pub(crate) const fn is_whole(&self) -> bool {
        self.bytes.len() == self.wire_len
    }

    /// Why a header of `len` bytes is not there.
    pub(crate) const fn missing(&self, len: usize, layer: Layer) -> Discard {
        if len <= self.wire_len { Discard::Truncated(layer) } else { Discard::Malformed(layer) }
    }

    /// Takes a header of fixed length off the front.
    ///
    /// # Errors
    /// `Truncated` when it was cut off, `Malformed` when it never was there.
    pub(crate) fn header<const N: usize>(&mut self, layer: Layer) -> Result<&'a [u8; N], Discard> {
        match self.bytes.first_chunk::<N>() {
            Some(header) => {
                self.skip(N);
                Ok(header)
            }
            None => Err(self.missing(N, layer)),
        }
    }

    /// Takes a header of `len` bytes off the front.
    ///
    /// # Errors
    /// As [`Span::header`].
    pub(crate) fn take(&mut self, len: usize, layer: Layer) -> Result<&'a [u8], Discard> {
        match self.bytes.get(..len) {
            Some(header) => {
                self.skip(len);
                Ok(header)
            }
            None => Err(self.missing(len, layer)),
        }
    }

    /// The first `N` bytes, left where they are.
    #[inline]
    pub(crate) fn peek<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.bytes.first_chunk()
    }

    /// Cuts off what is behind the first `len` bytes: padding, trailers, check sequences.
    pub(crate) fn trim(&mut self, len: usize) {
        self.declare(len.min(self.wire_len));
    }

    /// Sets the length that a header declares for the rest: trailers go; what is longer than was
    /// captured counts as cut. True if it is longer than the rest was on the wire.
    #[inline]
    pub(crate) fn declare(&mut self, len: usize) -> bool {
        let overlong = len > self.wire_len;
        self.bytes = self.bytes.get(..len).unwrap_or(self.bytes);
        self.wire_len = len;
        overlong
    }

    /// Drops the first `len` bytes.
    #[inline]
    pub(crate) fn skip(&mut self, len: usize) {
        self.bytes = self.bytes.get(len..).unwrap_or_default();
        self.wire_len = self.wire_len.saturating_sub(len);
    }
}
