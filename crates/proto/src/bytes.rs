//! A cursor over borrowed bytes for length-prefixed formats; it knows no protocol.

/// The bytes not read yet. Every read either yields what was asked or leaves the cursor alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(length)?;
        self.rest = tail;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>()?;
        self.rest = tail;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Option<u32> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A vector behind a one-byte length. One that claims too much yields what there is.
    pub(crate) fn vector8(&mut self) -> Option<Vector<'a>> {
        let length = usize::from(self.u8()?);
        Some(self.up_to(length))
    }

    /// A vector behind a two-byte length. One that claims too much yields what there is.
    pub(crate) fn vector16(&mut self) -> Option<Vector<'a>> {
        let length = usize::from(self.u16()?);
        Some(self.up_to(length))
    }

    fn up_to(&mut self, length: usize) -> Vector<'a> {
        match self.take(length) {
            Some(bytes) => Vector { bytes, whole: true },
            None => Vector { bytes: core::mem::take(&mut self.rest), whole: false },
        }
    }
}

/// The contents of a length-prefixed vector, and whether all that it claims is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vector<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) whole: bool,
}

/// The big-endian 16-bit codes in `bytes`; a last odd byte is left out.
pub(crate) fn codes(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_read_leaves_the_cursor_alone() {
        let mut reader = Reader::new(&[1, 2]);
        assert_eq!(reader.u24(), None);
        assert_eq!(reader.u16(), Some(0x0102));
        assert!(reader.is_empty());
    }

    #[test]
    fn a_vector_that_claims_too_much_yields_what_there_is() {
        let mut reader = Reader::new(&[5, 1, 2]);
        let vector = reader.vector8().unwrap();
        assert_eq!(vector.bytes, &[1, 2]);
        assert!(!vector.whole);
        assert!(reader.is_empty());
    }

    #[test]
    fn an_odd_last_byte_is_no_code() {
        assert_eq!(codes(&[0x13, 0x01, 0x13]).collect::<Vec<_>>(), [0x1301]);
    }
}
