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

    /// Without a baseline: by the catalogue, which two captures of twelve hosts were judged by.
    pub const COLD: Self = Self { watch: 6.9, alert: 8.5, high: 9.9 };
}

impl Default for DetectConfig {
    fn default() -> Self {
        Self {
            session_duration: Duration::from_secs(30 * 60),
            session_duration_of: BTreeMap::new(),
            min_bursts: 6,
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
