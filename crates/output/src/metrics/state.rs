//! What became of the state that outlives a restart: stored, not stored, taken up again.

use prometheus::{Error, Gauge, IntCounter, IntGauge};

use super::family::{Family, gauge_value};

/// Figures of the thread that stores state.
#[derive(Clone, Debug)]
pub struct StateMetrics {
    checkpoints: IntCounter,
    failures: IntCounter,
    checkpoint_time: Gauge,
    restored: IntGauge,
    unsent: IntGauge,
    untold: IntCounter,
    sessions_dropped: IntCounter,
}

impl StateMetrics {
    pub(super) fn new(family: &Family<'_>) -> Result<Self, Error> {
        Ok(Self {
            checkpoints: family
                .counter("dwell_state_checkpoints_total", "Checkpoints that were stored.")?,
            failures: family.counter(
                "dwell_state_failures_total",
                "Times that the database could not store something; it is tried again.",
            )?,
            checkpoint_time: family.gauge(
                "dwell_state_last_checkpoint_timestamp_seconds",
                "When a checkpoint was stored last, in seconds since 1970; 0 if none was.",
            )?,
            restored: family.int_gauge(
                "dwell_state_restored_sessions",
                "Open sessions that this start took up again.",
            )?,
            unsent: family.int_gauge(
                "dwell_state_unsent_findings",
                "Findings that not every sink is done with, in each of their forms.",
            )?,
            untold: family.counter(
                "dwell_state_untold_total",
                "Findings that were sent before they could be stored.",
            )?,
            sessions_dropped: family.counter(
                "dwell_state_dropped_sessions_total",
                "Judged sessions that were not stored for dwell tune.",
            )?,
        })
    }

    /// Takes note of a checkpoint that was stored at `now_s` seconds since 1970.
    pub fn note_checkpoint(&self, now_s: f64) {
        self.checkpoints.inc();
        self.checkpoint_time.set(now_s);
    }

    /// Takes note of something that could not be stored.
    pub fn note_failure(&self) {
        self.failures.inc();
    }

    /// Sets how many open sessions were taken up again.
    pub fn set_restored(&self, sessions: usize) {
        self.restored.set(gauge_value(u64::try_from(sessions).unwrap_or(u64::MAX)));
    }

    /// Sets how many forms of findings wait for their sinks.
    pub fn set_unsent(&self, forms: usize) {
        self.unsent.set(gauge_value(u64::try_from(forms).unwrap_or(u64::MAX)));
    }

    /// Takes note of a finding that was sent before it could be stored.
    pub fn note_untold(&self) {
        self.untold.inc();
    }

    /// Takes note of a judged session that was not stored.
    pub fn note_session_dropped(&self) {
        self.sessions_dropped.inc();
    }
}
