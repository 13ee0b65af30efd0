//! JSON text of anything that serde can serialise, appended to a buffer. Knows no record.
//!
//! Made for lines of many short members: names of struct members are written as they stand, text is
//! looked over eight bytes at a time, numbers never become a `String`. It writes the same values as
//! `serde_json`; a test compares the two.

mod error;
mod map;
mod number;
mod text;
mod verbatim;

use serde::ser::{self, Serialize};

pub(crate) use error::JsonError;
pub(crate) use number::{millionths, pair};
pub(crate) use text::hex;
pub(crate) use verbatim::{Short, Shown, verbatim, verbatim_millionths};

use map::Members;
use verbatim::VERBATIM;

/// Appends `value` as JSON.
///
/// # Errors
/// When a map's key is neither text nor number, or `value` itself reports an error. What was
/// appended so far stays.
pub(crate) fn append(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), JsonError> {
    value.serialize(Json { out, mode: Mode::Value })
}

/// Appends the members of an object with commas between, without its braces.
///
/// # Errors
/// As [`append`].
pub(crate) fn append_members(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), JsonError> {
    let start = out.len();
    append(out, value)?;
    if out.get(start) == Some(&b'{') {
        out.pop();
        out.remove(start);
    }
    Ok(())
}

/// How bytes are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// As a list of numbers, like `serde_json` does.
    Value,
    /// As JSON text that is ready.
    Verbatim,
    /// The members of an object are those of the object around it; nothing has none.
    Members,
}

/// The serializer.
#[derive(Debug)]
pub(crate) struct Json<'o> {
    out: &'o mut Vec<u8>,
    mode: Mode,
}

impl<'o> Json<'o> {
    /// Opens an object, or goes on with the one that is open.
    #[inline]
    fn open_object(self) -> Members<'o> {
        match self.mode {
            Mode::Members => Members::of_outer(self.out),
            Mode::Value | Mode::Verbatim => self.open(b'{', b'}'),
        }
    }

    fn open(self, bracket: u8, close: u8) -> Members<'o> {
        self.out.push(bracket);
        Members::new(self.out, close)
    }

    /// Opens `{"variant":` and what is inside.
    fn open_variant(self, variant: &'static str, bracket: u8, close: u8) -> Members<'o> {
        self.out.push(b'{');
        map::name(self.out, variant);
        self.out.push(bracket);
        Members::of_variant(self.out, close)
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty),*) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<(), JsonError> {
            number::append_integer(self.out, value);
            Ok(())
        })*
    };
}

impl<'o> ser::Serializer for Json<'o> {
    type Ok = ();
    type Error = JsonError;
    type SerializeSeq = Members<'o>;
    type SerializeTuple = Members<'o>;
    type SerializeTupleStruct = Members<'o>;
    type SerializeTupleVariant = Members<'o>;
    type SerializeMap = Members<'o>;
    type SerializeStruct = Members<'o>;
    type SerializeStructVariant = Members<'o>;

    integers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), JsonError> {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), JsonError> {
        number::append_as_rust(self.out, value, value.is_finite());
        Ok(())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), JsonError> {
        number::append_float(self.out, value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), JsonError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), JsonError> {
        text::append(self.out, value);
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), JsonError> {
        match self.mode {
            Mode::Verbatim => {
                self.out.extend_from_slice(value);
                Ok(())
            }
            Mode::Value | Mode::Members => value.serialize(self),
        }
    }

    #[inline]
    fn serialize_none(self) -> Result<(), JsonError> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), JsonError> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), JsonError> {
        if self.mode != Mode::Members {
            self.out.extend_from_slice(b"null");
        }
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), JsonError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), JsonError> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        let mode = match self.mode {
            _ if name == VERBATIM => Mode::Verbatim,
            Mode::Members => Mode::Members,
            Mode::Value | Mode::Verbatim => Mode::Value,
        };
        value.serialize(Self { mode, ..self })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        let mut members = self.open(b'{', b'}');
        members.member(variant, value)?;
        members.close();
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'o>, JsonError> {
        Ok(self.open(b'[', b']'))
    }

    fn serialize_tuple(self, _: usize) -> Result<Members<'o>, JsonError> {
        Ok(self.open(b'[', b']'))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Members<'o>, JsonError> {
        Ok(self.open(b'[', b']'))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'o>, JsonError> {
        Ok(self.open_variant(variant, b'[', b']'))
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Members<'o>, JsonError> {
        Ok(self.open_object())
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members<'o>, JsonError> {
        Ok(self.open_object())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'o>, JsonError> {
        Ok(self.open_variant(variant, b'{', b'}'))
    }

    /// JSON is read by people, unless ready text is asked for.
    #[inline]
    fn is_human_readable(&self) -> bool {
        self.mode != Mode::Verbatim
    }
}

#[cfg(test)]
mod tests;
