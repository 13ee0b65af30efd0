//! What became of records: written, queued, dropped, and which errors sinks met.

use prometheus::{Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::family::{Family, gauge_value};

/// Why a sink dropped records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkDrop {
    /// Its queue was full.
    QueueFull,
    /// The far side refused them for good.
    Refused,
    /// The sensor stopped before they could be written.
    Stopped,
    /// They are longer than the sink can carry.
    TooLong,
}

impl SinkDrop {
    const ALL: [Self; 4] = [Self::QueueFull, Self::Refused, Self::Stopped, Self::TooLong];

    /// The name in metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
            Self::TooLong => "too_long",
        }
    }
}

/// What went wrong when a sink tried to write; it tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkError {
    /// No space is left on the disk, or in the quota.
    DiskFull,
    /// The far side cannot be reached.
    Unreachable,
    /// The far side does not take records fast enough.
    Timeout,
    /// The far side, or its certificate, is refused.
    Rejected,
    /// Anything else.
    Other,
}

impl SinkError {
    const ALL: [Self; 5] =
        [Self::DiskFull, Self::Unreachable, Self::Timeout, Self::Rejected, Self::Other];

    /// The name in metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Rejected => "rejected",
            Self::Other => "other",
        }
    }
}

/// The kinds of records, as `event_type` says them.
const KINDS: [&str; 7] = ["flow", "tls", "quic", "http", "session", "alert", "stats"];

/// The counters of one sink.
#[derive(Clone, Debug)]
pub struct SinkMetrics {
    name: String,
    records: IntCounterVec,
    dropped: IntCounterVec,
    errors: IntCounterVec,
    queued: IntGauge,
}

/// What became of a sink's records since the sensor started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkFigures {
    /// Its name in the configuration.
    pub name: String,
    /// Records written.
    pub written: u64,
    /// Records dropped, for whatever reason.
    pub dropped: u64,
    /// Attempts to write that failed; each is followed by another.
    pub errors: u64,
    /// Records that wait.
    pub queued: u64,
}

impl SinkMetrics {
    /// All of it, while `queued` records wait.
    #[must_use]
    pub fn figures(&self, queued: usize) -> SinkFigures {
        SinkFigures {
            name: self.name.clone(),
            written: KINDS.into_iter().map(|kind| self.written_so_far(kind)).sum(),
            dropped: self.dropped_so_far(),
            errors: SinkError::ALL.into_iter().map(|error| self.failed_so_far(error)).sum(),
            queued: u64::try_from(queued).unwrap_or(u64::MAX),
        }
    }

    /// Takes note of a record that was written.
    pub fn written(&self, kind: &str) {
        self.records.with_label_values(&[&self.name, kind]).inc();
    }

    /// Takes note of records that were dropped.
    pub fn dropped(&self, reason: SinkDrop, records: u64) {
        self.dropped.with_label_values(&[&self.name, reason.name()]).inc_by(records);
    }

    /// Takes note of an error.
    pub fn failed(&self, error: SinkError) {
        self.errors.with_label_values(&[&self.name, error.name()]).inc();
    }

    /// How many records wait.
    pub fn queued(&self, records: usize) {
        self.queued.set(gauge_value(u64::try_from(records).unwrap_or(u64::MAX)));
    }

    /// How many records were dropped so far, for whatever reason.
    #[must_use]
    pub fn dropped_so_far(&self) -> u64 {
        let of = |reason: SinkDrop| {
            self.dropped.with_label_values(&[self.name.as_str(), reason.name()]).get()
        };
        SinkDrop::ALL.into_iter().map(of).sum()
    }

    /// How many records of a kind were written so far.
    #[must_use]
    pub fn written_so_far(&self, kind: &str) -> u64 {
        self.records.with_label_values(&[self.name.as_str(), kind]).get()
    }

    /// How often an error was met so far.
    #[must_use]
    pub fn failed_so_far(&self, error: SinkError) -> u64 {
        self.errors.with_label_values(&[self.name.as_str(), error.name()]).get()
    }
}

pub(super) struct Sinks {
    records: IntCounterVec,
    dropped: IntCounterVec,
    errors: IntCounterVec,
    queued: IntGaugeVec,
    unqueued: IntCounter,
}

impl Sinks {
    pub(super) fn new(family: &Family<'_>) -> Result<Self, Error> {
        Ok(Self {
            records: family.counters(
                "dwell_output_records_total",
                "Records written by a sink.",
                &["sink", "type"],
            )?,
            dropped: family.counters(
                "dwell_output_dropped_total",
                "Records that a sink dropped.",
                &["sink", "reason"],
            )?,
            errors: family.counters(
                "dwell_output_errors_total",
                "Errors that a sink met; it tries again.",
                &["sink", "reason"],
            )?,
            queued: family.int_gauges(
                "dwell_output_queue_records",
                "Records that wait for a sink.",
                &["sink"],
            )?,
            unqueued: family.counter(
                "dwell_output_unqueued_total",
                "Records dropped before any sink, because the packet thread never waits.",
            )?,
        })
    }

    pub(super) fn note_unqueued(&self, records: u64) {
        self.unqueued.inc_by(records);
    }

    pub(super) fn of(&self, name: &str) -> SinkMetrics {
        for kind in KINDS {
            self.records.with_label_values(&[name, kind]);
        }
        for reason in SinkDrop::ALL {
            self.dropped.with_label_values(&[name, reason.name()]);
        }
        for error in SinkError::ALL {
            self.errors.with_label_values(&[name, error.name()]);
        }
        SinkMetrics {
            name: name.to_owned(),
            records: self.records.clone(),
            dropped: self.dropped.clone(),
            errors: self.errors.clone(),
            queued: self.queued.with_label_values(&[name]),
        }
    }
}
