//! JSON text that is ready: formatted without a `String`, or written before. Other serializers see
//! the same value as ordinary text.

use serde::{Serialize, Serializer};

/// Under this name a newtype's bytes are JSON text already.
pub(super) const VERBATIM: &str = "$dwell::json::Verbatim";

/// Serialises `quoted`: text in quotes that needs no escaping and is ASCII.
///
/// # Errors
/// What `serializer` fails with.
#[inline]
pub(crate) fn verbatim<S: Serializer>(quoted: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(VERBATIM, &Quoted(quoted))
}

struct Quoted<'a>(&'a [u8]);

impl Serialize for Quoted<'_> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let inner = self.0.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            let text = inner.and_then(|inner| std::str::from_utf8(inner).ok());
            serializer.serialize_str(text.unwrap_or_default())
        } else {
            serializer.serialize_bytes(self.0)
        }
    }
}

/// Text of at most `N` bytes under construction, on the stack; what does not fit is dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Short<N> {
    /// No text yet.
    #[inline]
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Appends one byte.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    /// The text so far.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
