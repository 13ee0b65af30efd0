//! What findings stand on: what was kept of it, and what the bounds refused.

use prometheus::{Error, IntCounter, IntCounterVec, IntGaugeVec};

use super::family::{Family, gauge_value, raise};

/// What became of evidence since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvidenceFigures {
    /// Findings that have a folder.
    pub findings: u64,
    /// Findings that were not followed, because too many were.
    pub unfollowed: u64,
    /// Records: written, refused for want of room, dropped because a queue was full.
    pub records: [u64; 3],
    /// Frames, the same.
    pub frames: [u64; 3],
    /// Folders removed for their age, and for all of them being too much.
    pub removed: [u64; 2],
    /// What could not be written.
    pub errors: u64,
    /// Bytes in memory: first frames of flows, records of sessions.
    pub memory: [u64; 2],
    /// Flows and sessions whose frames and records made room for others.
    pub evicted: [u64; 2],
}

pub(super) struct Evidence {
    findings: IntCounterVec,
    records: IntCounterVec,
    frames: IntCounterVec,
    removed: IntCounterVec,
    errors: IntCounter,
    memory: IntGaugeVec,
    evicted: IntCounterVec,
}

/// What became of a record or a frame.
const RESULTS: [&str; 3] = ["written", "no_room", "queue_full"];

/// Whether a finding was followed.
const FOLLOWED: [&str; 2] = ["followed", "too_many"];

/// Why a folder was removed.
const REASONS: [&str; 2] = ["age", "total"];

/// What is kept in memory.
const STORES: [&str; 2] = ["handshakes", "records"];

impl Evidence {
    pub(super) fn new(family: &Family<'_>) -> Result<Self, Error> {
        let evidence = Self {
            findings: family.counters(
                "dwell_evidence_findings_total",
                "Findings whose sessions were followed for evidence, or were not.",
                &["result"],
            )?,
            records: family.counters(
                "dwell_evidence_records_total",
                "Records for the evidence of findings, by what became of them.",
                &["result"],
            )?,
            frames: family.counters(
                "dwell_evidence_frames_total",
                "Frames for the evidence of findings, by what became of them.",
                &["result"],
            )?,
            removed: family.counters(
                "dwell_evidence_removed_total",
                "Findings whose evidence was removed.",
                &["reason"],
            )?,
            errors: family.counter(
                "dwell_evidence_errors_total",
                "Times that evidence could not be written.",
            )?,
            memory: family.int_gauges(
                "dwell_evidence_memory_bytes",
                "What is kept in case a finding wants it.",
                &["store"],
            )?,
            evicted: family.counters(
                "dwell_evidence_evicted_total",
                "Flows (handshakes) and sessions (records) that made room for others.",
                &["store"],
            )?,
        };
        evidence.set(&EvidenceFigures::default());
        Ok(evidence)
    }

    pub(super) fn set(&self, figures: &EvidenceFigures) {
        let all = |counters: &IntCounterVec, names: &[&str], totals: &[u64]| {
            for (name, total) in names.iter().zip(totals) {
                raise(&counters.with_label_values(&[name]), *total);
            }
        };
        all(&self.findings, &FOLLOWED, &[figures.findings, figures.unfollowed]);
        all(&self.records, &RESULTS, &figures.records);
        all(&self.frames, &RESULTS, &figures.frames);
        all(&self.removed, &REASONS, &figures.removed);
        all(&self.evicted, &STORES, &figures.evicted);
        raise(&self.errors, figures.errors);
        for (name, bytes) in STORES.iter().zip(figures.memory) {
            self.memory.with_label_values(&[name]).set(gauge_value(bytes));
        }
    }
}
