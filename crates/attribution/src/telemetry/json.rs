//! Values of a JSON line by the path of their keys, with errors that name the key. Knows no tool.

use std::sync::Arc;

use serde_json::Value;

use super::process::label;

/// What is wrong with a line, and at which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) key: Option<String>,
    pub(crate) message: String,
}

impl Fault {
    /// A line that is wrong as a whole.
    pub(crate) fn line(message: impl Into<String>) -> Self {
        Self { key: None, message: message.into() }
    }

    /// A value that is wrong.
    pub(crate) fn key(key: &str, message: impl Into<String>) -> Self {
        Self { key: Some(key.to_owned()), message: message.into() }
    }
}

/// The value of a line.
pub(crate) fn parse(line: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(line).map_err(|error| Fault::line(format!("no JSON: {error}")))
}

/// The value at a path of keys such as `process.id.pid`.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| value.get(key)).filter(|value| !value.is_null())
}

/// A text at a path; empty ones are none.
pub(crate) fn text<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    at(value, path)?.as_str().filter(|text| !text.is_empty())
}

/// A text at a path as a name: printable and bounded.
pub(crate) fn name(value: &Value, path: &str) -> Option<Arc<str>> {
    label(text(value, path)?.as_bytes())
}

/// A whole number at a path, written as a number or as text; `None` if it is absent.
///
/// # Errors
/// When there is something else.
pub(crate) fn number(value: &Value, path: &str) -> Result<Option<u64>, Fault> {
    let Some(found) = at(value, path) else { return Ok(None) };
    let number = match found {
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(Fault::key(path, "a whole number is needed")),
    }
}

/// A whole number at a path that fits its type; `None` if it is absent.
///
/// # Errors
/// When there is something else, or it does not fit.
pub(crate) fn small<T: TryFrom<u64>>(value: &Value, path: &str) -> Result<Option<T>, Fault> {
    match number(value, path)?.map(T::try_from) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(Fault::key(path, "number out of range")),
    }
}

/// As [`small`], of a value that must be there.
///
/// # Errors
/// When it is not, or is something else.
pub(crate) fn needed<T: TryFrom<u64>>(value: &Value, path: &str) -> Result<T, Fault> {
    small(value, path)?.ok_or_else(|| Fault::key(path, "is missing"))
}

/// A yes or no: `true`, `1` or `"1"`.
pub(crate) fn flag(value: &Value, path: &str) -> Option<bool> {
    match at(value, path)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text == "1" || text == "true"),
        other => other.as_u64().map(|number| number != 0),
    }
}
