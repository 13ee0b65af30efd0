//! What the detector did, in numbers. Knows nothing else.

/// What the detector did, and what its bounds refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetectCounters {
    /// Bursts taken in.
    pub bursts: u64,
    /// Bursts and closes of flows that were never opened or not kept.
    pub orphans: u64,
    /// Bursts that came later than the reorder window: their gaps are off.
    pub late_bursts: u64,
    /// Bursts handed on before their turn because too many waited.
    pub hurried_bursts: u64,
    /// Flows that found the flow table full.
    pub flows_refused: u64,
    /// Sessions that started.
    pub sessions_started: u64,
    /// Sessions that ended, evicted ones included.
    pub sessions_ended: u64,
    /// Sessions removed to make room.
    pub sessions_evicted: u64,
    /// Sessions that found the table full of better ones.
    pub sessions_refused: u64,
    /// Counts of peers that found their table full.
    pub prevalence_refused: u64,
    /// Findings opened.
    pub findings_opened: u64,
    /// Findings not opened because an exception allows them.
    pub findings_excepted: u64,
    /// Findings not opened again within the suppression time.
    pub findings_repeated: u64,
    /// Ticks left out because packet time leapt.
    pub ticks_skipped: u64,
}
