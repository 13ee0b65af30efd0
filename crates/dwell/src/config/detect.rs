//! `[detect]`, with a table for AN0144 and one for AN0145. What ATT&CK calls mutable elements keeps its names.

use std::collections::BTreeMap;

use dwell_attribution::Os;
use dwell_detect::{DetectConfig, OutboundConfig, UnseenConfig};
use serde::{Deserialize, Serialize};

use super::{Bytes, Period};

/// `[detect]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DetectLimits {
    /// `SessionDuration` of AN0146.
    #[serde(alias = "SessionDuration")]
    pub(crate) session_duration: Period,
    /// Systems whose sessions AN0146 judges; empty: all.
    pub(crate) platforms: Vec<Os>,
    /// A finding is not opened again for this long.
    pub(crate) suppress: Period,
    /// A session ends after this long without bytes and without an open connection.
    pub(crate) session_idle: Period,
    /// Most sessions kept.
    pub(crate) max_sessions: usize,
    /// `SessionDuration` of single applications, by the name shown.
    pub(crate) session_duration_of: BTreeMap<String, Period>,
    #[serde(rename = "AN0144")]
    pub(crate) an0144: OutboundTable,
    #[serde(rename = "AN0145")]
    pub(crate) an0145: UnseenTable,
}

impl Default for DetectLimits {
    fn default() -> Self {
        let defaults = DetectConfig::default();
        Self {
            session_duration: Period(defaults.session_duration),
            session_duration_of: BTreeMap::new(),
            platforms: Vec::new(),
            suppress: Period(defaults.suppress),
            session_idle: Period(defaults.session_idle),
            max_sessions: defaults.max_sessions,
            an0144: OutboundTable::default(),
            an0145: UnseenTable::default(),
        }
    }
}

impl DetectLimits {
    /// Settings of the detector.
    pub(crate) fn settings(&self) -> DetectConfig {
        let of_application = self.session_duration_of.iter();
        DetectConfig {
            session_duration: self.session_duration.0,
            session_duration_of: of_application
                .map(|(name, period)| (name.clone(), period.0))
                .collect(),
            platforms: self.platforms.clone(),
            outbound: self.an0144.settings(),
            unseen: self.an0145.settings(),
            suppress: self.suppress.0,
            session_idle: self.session_idle.0,
            max_sessions: self.max_sessions,
            ..DetectConfig::default()
        }
    }
}

/// `[detect.AN0144]`: applications that send far more than they receive.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OutboundTable {
    /// Whether it is looked for.
    pub(crate) enabled: bool,
    /// Bytes out for each byte in from which on a session is judged.
    #[serde(rename = "OutboundByteThreshold", deserialize_with = "ratio")]
    pub(crate) outbound_byte_threshold: f64,
    /// Applications, families or executables that may send as much as they like.
    #[serde(rename = "ProcessAllowlist")]
    pub(crate) process_allowlist: Vec<String>,
    /// Sessions that sent less are not judged.
    pub(crate) min_bytes_out: Bytes,
    /// Systems that are judged; empty: all.
    pub(crate) platforms: Vec<Os>,
}

/// `[detect.AN0145]`: applications new to their host that send much and are hardly answered.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UnseenTable {
    /// Whether it is looked for.
    pub(crate) enabled: bool,
    /// Applications, families or executables that are known before any host has run them.
    #[serde(rename = "UserProcessBaseline")]
    pub(crate) user_process_baseline: Vec<String>,
    /// Sessions that sent less are not judged.
    pub(crate) min_bytes_out: Bytes,
    /// Bytes in for each byte out above which an answer is no low one.
    #[serde(deserialize_with = "ratio")]
    pub(crate) max_response_share: f64,
    /// Systems that are judged; empty: all.
    pub(crate) platforms: Vec<Os>,
}

impl Default for OutboundTable {
    fn default() -> Self {
        let defaults = OutboundConfig::default();
        Self {
            enabled: defaults.enabled,
            outbound_byte_threshold: defaults.outbound_byte_threshold,
            process_allowlist: defaults.process_allowlist,
            min_bytes_out: Bytes(usize::try_from(defaults.min_bytes_out).unwrap_or(usize::MAX)),
            platforms: defaults.platforms,
        }
    }
}

impl Default for UnseenTable {
    fn default() -> Self {
        let defaults = UnseenConfig::default();
        Self {
            enabled: defaults.enabled,
            user_process_baseline: defaults.user_process_baseline,
            min_bytes_out: Bytes(usize::try_from(defaults.min_bytes_out).unwrap_or(usize::MAX)),
            max_response_share: defaults.max_response_share,
            platforms: defaults.platforms,
        }
    }
}

impl OutboundTable {
    /// Settings of the detector.
    pub(crate) fn settings(&self) -> OutboundConfig {
        OutboundConfig {
            enabled: self.enabled,
            outbound_byte_threshold: self.outbound_byte_threshold,
            process_allowlist: self.process_allowlist.clone(),
            min_bytes_out: u64::try_from(self.min_bytes_out.0).unwrap_or(u64::MAX),
            platforms: self.platforms.clone(),
        }
    }
}

impl UnseenTable {
    /// Settings of the detector.
    pub(crate) fn settings(&self) -> UnseenConfig {
        UnseenConfig {
            enabled: self.enabled,
            user_process_baseline: self.user_process_baseline.clone(),
            min_bytes_out: u64::try_from(self.min_bytes_out.0).unwrap_or(u64::MAX),
            max_response_share: self.max_response_share,
            platforms: self.platforms.clone(),
        }
    }
}

/// A number above zero.
fn ratio<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let ratio = f64::deserialize(deserializer)?;
    if ratio.is_finite() && ratio > 0.0 {
        return Ok(ratio);
    }
    Err(serde::de::Error::custom(format!("a number above zero is needed, not {ratio}")))
}
