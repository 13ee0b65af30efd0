//! Members of objects and lists. Every member ends with a comma; closing takes the last one back.
//!
//! A field that serde calls `+name` has no name in the text: its members are the outer object's, as
//! with serde's own `flatten`, but without going through a map whose keys are found at run time.

use serde::ser::{self, Serialize};

use super::{Json, JsonError, Mode};

/// An object or a list that is open.
#[derive(Debug)]
pub(crate) struct Members<'o> {
    out: &'o mut Vec<u8>,
    close: u8,
    /// Whether it is the value of an enum's variant, whose object closes with it.
    of_variant: bool,
}

impl<'o> Members<'o> {
    #[inline]
    pub(super) fn new(out: &'o mut Vec<u8>, close: u8) -> Self {
        Self { out, close, of_variant: false }
    }

    /// More members of the object that is open already.
    #[inline]
    pub(super) fn of_outer(out: &'o mut Vec<u8>) -> Self {
        Self { out, close: NONE, of_variant: false }
    }

    pub(super) fn of_variant(out: &'o mut Vec<u8>, close: u8) -> Self {
        Self { out, close, of_variant: true }
    }

    /// Appends a member whose name is one of ours, or, after a `+`, all members of its value.
    #[inline(always)]
    pub(super) fn member<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        if key.as_bytes().first() == Some(&b'+') {
            return value.serialize(Json { out: self.out, mode: Mode::Members });
        }
        name(self.out, key);
        self.element(value)
    }

    #[inline(always)]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        value.serialize(Json { out: self.out, mode: Mode::Value })?;
        self.out.push(b',');
        Ok(())
    }

    /// Appends a key of a map: text, or anything else that is one word, in quotes. A key that is
    /// nothing has ready members as its value.
    #[inline(always)]
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), JsonError> {
        let start = self.out.len();
        key.serialize(Json { out: self.out, mode: Mode::Value })?;
        match self.out.get(start) {
            Some(b'"') => {}
            None => return Ok(()),
            Some(b'{' | b'[') => return Err(JsonError::odd_key()),
            Some(_) => {
                self.out.insert(start, b'"');
                self.out.push(b'"');
            }
        }
        self.out.push(b':');
        Ok(())
    }

    #[inline]
    pub(super) fn close(self) {
        if self.close == NONE {
            return;
        }
        match self.out.last_mut() {
            Some(last) if *last == b',' => *last = self.close,
            _ => self.out.push(self.close),
        }
        if self.of_variant {
            self.out.push(b'}');
        }
    }
}

/// What closes members of an outer object: nothing.
const NONE: u8 = 0;

/// Appends the name of a member: `"name":`. The names of Rust's fields need no escaping.
///
/// Inlined, so that the name's length is known where it is copied.
#[inline(always)]
pub(super) fn name(out: &mut Vec<u8>, name: &'static str) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

macro_rules! lists {
    ($($trait:ident: $method:ident),*) => {
        $(impl ser::$trait for Members<'_> {
            type Ok = ();
            type Error = JsonError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
                self.element(value)
            }

            #[inline]
            fn end(self) -> Result<(), JsonError> {
                self.close();
                Ok(())
            }
        })*
    };
}

macro_rules! objects {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Members<'_> {
            type Ok = ();
            type Error = JsonError;

            #[inline(always)]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), JsonError> {
                self.member(key, value)
            }

            #[inline]
            fn end(self) -> Result<(), JsonError> {
                self.close();
                Ok(())
            }
        })*
    };
}

lists! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
}
objects!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Members<'_> {
    type Ok = ();
    type Error = JsonError;

    #[inline(always)]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), JsonError> {
        self.key(key)
    }

    #[inline(always)]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Result<(), JsonError> {
        self.close();
        Ok(())
    }
}
