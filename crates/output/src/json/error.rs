//! Why something has no JSON text. One word wide, so that success costs nothing.

use std::fmt;
use std::io;

use serde::ser;

/// What could not be serialised, as its type or the serializer says.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "one word, so that results are returned in a register")]
pub(crate) struct JsonError(Box<String>);

impl JsonError {
    /// A map whose keys are lists or maps.
    pub(crate) fn odd_key() -> Self {
        ser::Error::custom("a key of a map is neither text nor number")
    }
}

impl ser::Error for JsonError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Box::new(message.to_string()))
    }
}

impl std::error::Error for JsonError {}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<JsonError> for io::Error {
    fn from(error: JsonError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
