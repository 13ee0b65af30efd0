//! What an operator can set. Keys that ATT&CK calls mutable elements keep its names.

use std::collections::BTreeMap;
use std::time::Duration;

use dwell_attribution::{HostRef, Os};

/// Settings of the detector.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectConfig {
    /// `SessionDuration` (AN0146's mutable element): shorter sessions are not judged.
    pub session_duration: Duration,
    /// `SessionDuration` for single applications, by the name shown.
    pub session_duration_of: BTreeMap<String, Duration>,
    /// Sessions of fewer bursts are not judged.
    pub min_bursts: u32,
    /// AN0144: applications that send far more than they receive.
    pub outbound: OutboundConfig,
    /// AN0145: applications new to their host that send much and are hardly answered.
    pub unseen: UnseenConfig,
    /// Scores at which a level of either begins, in bits.
    pub outbound_levels: LevelThresholds,
    /// The same while there is no baseline to judge by.
    pub provisional_outbound_levels: LevelThresholds,
    /// Systems that are judged; empty: all. A host whose system is not known is judged.
    pub platforms: Vec<Os>,
    /// Scores at which a level begins, in bits.
    pub levels: LevelThresholds,
    /// The same while there is no baseline to judge by.
    pub provisional_levels: LevelThresholds,
    /// Whether every judgement is reported, for evaluation.
    pub trace: bool,
    /// The level from which on findings are opened. Lower ones show in session summaries.
    pub open_from: crate::Level,
    /// A finding that was opened is not opened again for this long.
    pub suppress: Duration,
    /// A session ends after this long without bytes and without an open connection.
    pub session_idle: Duration,
    /// How late a burst may come after its start.
    pub reorder_window: Duration,
    /// Most sessions kept at a time.
    pub max_sessions: usize,
    /// Most open flows kept.
    pub max_flows: usize,
    /// Most bursts that wait to be put in order.
    pub max_pending: usize,
    /// Most destinations, applications or pairs of both whose hosts are counted.
    pub max_prevalence_entries: usize,
}

/// Settings of AN0144.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboundConfig {
    /// Whether it is looked for.
    pub enabled: bool,
    /// `OutboundByteThreshold` (AN0144's mutable element): bytes out for each byte in from which on a
    /// session is judged (dimensionless).
    pub outbound_byte_threshold: f64,
    /// `ProcessAllowlist` (AN0144's mutable element): applications, families, or executables by path
    /// or file name that may send as much as they like.
    pub process_allowlist: Vec<String>,
    /// Sessions that sent fewer bytes are not judged.
    pub min_bytes_out: u64,
    /// Systems that are judged; empty: all. A host whose system is not known is judged.
    pub platforms: Vec<Os>,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            outbound_byte_threshold: 4.0,
            process_allowlist: Vec::new(),
            min_bytes_out: DEFAULT_MIN_BYTES_OUT,
            platforms: Vec::new(),
        }
    }
}

/// Settings of AN0145.
#[derive(Clone, Debug, PartialEq)]
pub struct UnseenConfig {
    /// Whether it is looked for.
    pub enabled: bool,
    /// `UserProcessBaseline` (AN0145's mutable element): applications, families, or executables by
    /// path or file name that are known before any host has run them. What a host has run for a day
    /// joins them by itself, for that host.
    pub user_process_baseline: Vec<String>,
    /// Sessions that sent fewer bytes are not judged.
    pub min_bytes_out: u64,
    /// Bytes in for each byte out above which an answer is no low one (dimensionless).
    pub max_response_share: f64,
    /// Systems that are judged; empty: all. A host whose system is not known is judged.
    pub platforms: Vec<Os>,
}

impl Default for UnseenConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            user_process_baseline: Vec::new(),
            min_bytes_out: DEFAULT_MIN_BYTES_OUT,
            max_response_share: 0.1,
            platforms: Vec::new(),
        }
    }
}

/// Less is a form or a mail, and costs whoever steals it an hour for what a disk image takes.
const DEFAULT_MIN_BYTES_OUT: u64 = 2 << 20;

/// Scores at which levels begin, in bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelThresholds {
    /// Worth a look when there is time.
    pub watch: f64,
    /// Worth a look today.
    pub alert: f64,
    /// Worth a look now.
    pub high: f64,
}

impl LevelThresholds {
    /// With a baseline. On six simulated fleets, plain and restless, an alert at 8.3 bits is false
    /// twice per 100 hosts and day.
    pub const WARM: Self = Self { watch: 6.5, alert: 8.3, high: 9.5 };

    /// Of AN0144 and AN0145, by judgement: a script that sends to a place nobody knows has 8 bits
    /// before it is weighed how much it sends.
    pub const OUTBOUND: Self = Self { watch: 7.0, alert: 9.0, high: 11.0 };

    /// The same without a baseline, when who else goes there says little or nothing.
    pub const OUTBOUND_COLD: Self = Self { watch: 6.0, alert: 8.0, high: 10.0 };

    /// Without a baseline: by the catalogue, which two captures of twelve hosts were judged by.
    pub const COLD: Self = Self { watch: 6.9, alert: 8.5, high: 9.9 };
}

impl Default for DetectConfig {
    fn default() -> Self {
        Self {
            session_duration: Duration::from_secs(30 * 60),
            session_duration_of: BTreeMap::new(),
            min_bursts: 6,
            outbound: OutboundConfig::default(),
            unseen: UnseenConfig::default(),
            outbound_levels: LevelThresholds::OUTBOUND,
            provisional_outbound_levels: LevelThresholds::OUTBOUND_COLD,
            platforms: Vec::new(),
            levels: LevelThresholds::WARM,
            provisional_levels: LevelThresholds::COLD,
            trace: false,
            open_from: crate::Level::Alert,
            suppress: Duration::from_secs(24 * 3600),
            session_idle: Duration::from_secs(2 * 3600),
            reorder_window: Duration::from_secs(32),
            max_sessions: 262_144,
            max_flows: 1_048_576,
            max_pending: 1_048_576,
            max_prevalence_entries: 262_144,
        }
    }
}

impl DetectConfig {
    /// How long a session of `application` must last to be judged.
    #[must_use]
    pub fn session_duration(&self, application: &str) -> Duration {
        self.session_duration_of.get(application).copied().unwrap_or(self.session_duration)
    }

    /// Whether `host` may run one of `platforms`: all if there are none, and a host whose system is
    /// not known.
    pub(crate) fn asks_for(&self, platforms: &[Os], host: &HostRef) -> bool {
        platforms.is_empty()
            || host.os.is_none_or(|guess| platforms.iter().any(|&os| guess.allows(os)))
    }
}
