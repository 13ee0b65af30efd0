//! JSON text that is ready: formatted without a `String`, or written before. Other serializers see
//! the same value as ordinary text.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::number::{MILLION, decimal};

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

/// Serialises a number of millionths.
///
/// # Errors
/// What `serializer` fails with.
#[inline]
pub(crate) fn verbatim_millionths<S: Serializer>(
    millionths: i64,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(VERBATIM, &Millionths(millionths))
}

struct Millionths(i64);

impl Serialize for Millionths {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_f64(self.0 as f64 / MILLION)
        } else {
            serializer.serialize_bytes(decimal(self.0).as_bytes())
        }
    }
}

/// Members of an object: listed, or as the text that they came to before.
///
/// Ready members are for a flattened field, and for our own serializer alone.
#[derive(Debug)]
pub(crate) enum Shown<'t, T> {
    /// To be serialised.
    Listed(T),
    /// `"name":value` with commas between.
    Ready(&'t [u8]),
}

impl<T: Serialize> Serialize for Shown<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Listed(members) => members.serialize(serializer),
            Self::Ready(text) => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry(&Ready(b""), &Ready(text))?;
                map.end()
            }
        }
    }
}

/// JSON text that is taken as it is.
struct Ready<'t>(&'t [u8]);

impl Serialize for Ready<'_> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Bytes<'t>(&'t [u8]);
        impl Serialize for Bytes<'_> {
            #[inline]
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(self.0)
            }
        }
        serializer.serialize_newtype_struct(VERBATIM, &Bytes(self.0))
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

    /// Appends bytes, all or none.
    #[inline]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }

    /// The text so far.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
