//! What the console shows: the latest state of findings and sessions, as their lines. Bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dwell_engine::Record;
use dwell_packet::Timestamp;

/// Most findings kept; the one that changed longest ago goes first.
const MAX_FINDINGS: usize = 4096;

/// Most sessions kept; of those that are over the oldest goes first, else the shortest.
const MAX_SESSIONS: usize = 8192;

/// Findings and sessions as they stand, for readers that must not wait for each other long.
#[derive(Debug, Default)]
pub struct View {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    findings: BTreeMap<String, Kept>,
    sessions: BTreeMap<u64, Kept>,
}

/// The latest line of something, and what orders it among others.
#[derive(Clone, Debug)]
struct Kept {
    line: Arc<[u8]>,
    at: Timestamp,
    /// Score in bits for findings, seconds for sessions.
    weight: f64,
    over: bool,
}

impl View {
    /// Whether a record is shown at all.
    #[must_use]
    pub const fn wants(record: &Record) -> bool {
        matches!(record, Record::Finding(_) | Record::Session(_))
    }

    /// Takes the line of a record in.
    pub fn take(&self, record: &Record, line: &[u8]) {
        let mut state = self.lock();
        match record {
            Record::Finding(finding) => {
                let weight = finding.score_bits;
                let kept = Kept { line: line.into(), at: finding.at, weight, over: false };
                state.findings.insert(finding.id.to_string(), kept);
                drop_one(&mut state.findings, MAX_FINDINGS, |kept| (kept.at, 0));
            }
            Record::Session(session) => {
                let summary = &session.summary;
                let weight = summary.effective.as_secs_f64();
                let over = session.end.is_some();
                let kept = Kept { line: line.into(), at: session.ts, weight, over };
                state.sessions.insert(summary.id.0, kept);
                let seconds = |kept: &Kept| kept.weight.max(0.0).to_bits();
                drop_one(&mut state.sessions, MAX_SESSIONS, |kept| {
                    if kept.over { (kept.at, 0) } else { (Timestamp::MAX, seconds(kept)) }
                });
            }
            _ => {}
        }
    }

    /// The lines of all findings, the weightiest first.
    #[must_use]
    pub fn findings(&self) -> Vec<Arc<[u8]>> {
        sorted(&self.lock().findings)
    }

    /// The line of one finding.
    #[must_use]
    pub fn finding(&self, id: &str) -> Option<Arc<[u8]>> {
        self.lock().findings.get(id).map(|kept| Arc::clone(&kept.line))
    }

    /// The lines of all sessions, the longest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<Arc<[u8]>> {
        sorted(&self.lock().sessions)
    }

    /// Lines are whole whenever the lock is free: a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sorted<K>(kept: &BTreeMap<K, Kept>) -> Vec<Arc<[u8]>> {
    let mut kept: Vec<&Kept> = kept.values().collect();
    kept.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    kept.into_iter().map(|kept| Arc::clone(&kept.line)).collect()
}

/// Removes the least of more than `max` entries.
fn drop_one<K: Ord + Clone, O: Ord>(
    entries: &mut BTreeMap<K, Kept>,
    max: usize,
    order: impl Fn(&Kept) -> O,
) {
    if entries.len() <= max {
        return;
    }
    let least = entries.iter().min_by_key(|(_, kept)| order(kept)).map(|(key, _)| key.clone());
    if let Some(key) = least {
        entries.remove(&key);
    }
}
