//! Values with units, as the configuration writes them: `"64MiB"`, `"24h"`. A bare number is refused.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) usize);

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::units::size(&text).map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let whole = |&&(unit, _): &&(usize, &str)| self.0 >= unit && self.0.is_multiple_of(unit);
        let text = UNITS.iter().find(whole).map_or_else(
            || format!("{}B", self.0),
            |(unit, name)| format!("{}{name}", self.0 / unit),
        );
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::units::duration(&text).map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3600, "h"), (60, "m")];
        let seconds = self.0.as_secs();
        let whole = |&&(unit, _): &&(u64, &str)| seconds >= unit && seconds.is_multiple_of(unit);
        let text = UNITS.iter().find(whole).map_or_else(
            || format!("{seconds}s"),
            |(unit, name)| format!("{}{name}", seconds / unit),
        );
        serializer.serialize_str(&text)
    }
}
