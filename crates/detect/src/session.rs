//! One session: who, where to, how long, and its statistics. Knows no table and no score.

use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::{Attribution, Destination, HostId, HostRef, Verdict};
use dwell_packet::Timestamp;
use sha2::{Digest, Sha256};

use crate::lives::OpenFinding;
use crate::slots::SLOT;
use crate::stats::Statistics;
use crate::{Burst, FlowFacts, Level, NameLookup, SessionId, SessionSummary, Shape, Visibility};

/// What makes flows one session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey {
    pub(crate) host: HostId,
    pub(crate) application: Arc<str>,
    pub(crate) destination: Arc<str>,
}

impl SessionKey {
    pub(crate) fn of(facts: &FlowFacts) -> Self {
        Self {
            host: facts.host.id,
            application: Arc::clone(&facts.attribution.application),
            destination: Arc::clone(&facts.destination.group),
        }
    }

    /// A digest of the key and whatever else is added to it, each text with its length.
    pub(crate) fn digest(&self, more: &[&[u8]]) -> [u8; 32] {
        let mut digest = Sha256::new();
        let host = self.host.0.to_string();
        let own = [host.as_bytes(), self.application.as_bytes(), self.destination.as_bytes()];
        for part in own.iter().chain(more) {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// One session as it is kept.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) key: SessionKey,
    pub(crate) host: HostRef,
    pub(crate) attribution: Arc<Attribution>,
    pub(crate) destination: Destination,
    /// `None` before the first payload.
    pub(crate) statistics: Option<Statistics>,
    pub(crate) flows: u32,
    pub(crate) open_flows: u32,
    /// When the longest open connection opened, as far as it is known.
    pub(crate) oldest_open: Option<Timestamp>,
    /// The longest connection, without what open ones have added since.
    pub(crate) longest: Duration,
    /// When something last opened, closed or carried payload.
    pub(crate) last_activity: Timestamp,
    /// Whether something happened since it was last judged.
    pub(crate) changed: bool,
    pub(crate) visibility: Visibility,
    pub(crate) lookup: NameLookup,
    pub(crate) assessed: Option<Assessed>,
    pub(crate) finding: Option<Box<OpenFinding>>,
}

/// What the last judgement of a session came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Assessed {
    pub(crate) verdict: Verdict,
    /// `None` while the session is too short or may not be judged.
    pub(crate) score_bits: Option<f64>,
    pub(crate) level: Option<Level>,
}

impl Session {
    /// A session without payload yet, that a flow starts at `opened`.
    pub(crate) fn new(key: SessionKey, facts: &FlowFacts, opened: Timestamp) -> Self {
        let digest = key.digest(&[&opened.as_nanos().to_be_bytes()]);
        let id = digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        Self {
            id: SessionId(id),
            key,
            host: facts.host.clone(),
            attribution: Arc::clone(&facts.attribution),
            destination: facts.destination.clone(),
            statistics: None,
            flows: 0,
            open_flows: 0,
            oldest_open: None,
            longest: Duration::ZERO,
            last_activity: opened,
            changed: false,
            visibility: facts.visibility,
            lookup: facts.lookup,
            assessed: None,
            finding: None,
        }
    }

    /// Takes in what is known of a flow that belongs to the session.
    pub(crate) fn learn(&mut self, facts: &FlowFacts) {
        if facts.attribution.level < self.attribution.level {
            self.attribution = Arc::clone(&facts.attribution);
        }
        if self.host.os.is_none() || self.host.name.is_none() {
            self.host = facts.host.clone();
        }
        self.destination = facts.destination.clone();
        self.visibility = self.visibility.or(facts.visibility);
        self.lookup = match (self.lookup, facts.lookup) {
            (NameLookup::Seen, _) | (_, NameLookup::Seen) => NameLookup::Seen,
            (NameLookup::Absent, NameLookup::Absent) => NameLookup::Absent,
            (NameLookup::Unknown, _) | (_, NameLookup::Unknown) => NameLookup::Unknown,
        };
    }

    /// Takes in a burst of a flow that opened at `opened`.
    pub(crate) fn add(&mut self, burst: &Burst, opened: Timestamp) {
        match &mut self.statistics {
            Some(statistics) => statistics.add(burst),
            None => self.statistics = Some(Statistics::new(burst)),
        }
        self.longest = self.longest.max(burst.end.saturating_since(opened));
        self.last_activity = self.last_activity.max(burst.end);
        self.changed = true;
    }

    /// Takes note that the flow which opened at `opened` closed.
    pub(crate) fn close_flow(&mut self, opened: Timestamp, at: Timestamp) {
        self.open_flows = self.open_flows.saturating_sub(1);
        self.longest = self.longest.max(at.saturating_since(opened));
        if self.oldest_open == Some(opened) {
            self.oldest_open = None;
        }
        self.last_activity = self.last_activity.max(at);
        self.changed = true;
    }

    /// Counts the open burst as over.
    pub(crate) fn settle(&mut self) {
        if let Some(statistics) = &mut self.statistics {
            statistics.settle();
        }
    }

    /// Whether the session is over at `now`.
    pub(crate) fn is_over(&self, now: Timestamp, idle: Duration) -> bool {
        self.open_flows == 0 && now.saturating_since(self.last_activity) > idle
    }

    /// First to last payload, or to `now` while a connection is open.
    pub(crate) fn duration(&self, now: Timestamp) -> Duration {
        let Some(statistics) = &self.statistics else { return Duration::ZERO };
        let last = statistics.last();
        let end = if self.open_flows > 0 { last.max(now) } else { last };
        end.saturating_since(statistics.first())
    }

    /// The longest connection; open ones count up to `now`.
    pub(crate) fn longest_connection(&self, now: Timestamp) -> Duration {
        let open = self.oldest_open.map_or(Duration::ZERO, |opened| now.saturating_since(opened));
        self.longest.max(open)
    }

    /// What counts as long: the longest connection, or the ten-minute slots with payload as far as
    /// the duration reaches. Two visits two hours apart are not a long session.
    pub(crate) fn effective(&self, now: Timestamp) -> Duration {
        let slots = self.statistics.as_ref().map_or(0, |kept| kept.slots().covered());
        let active = SLOT.saturating_mul(slots);
        self.longest_connection(now).max(self.duration(now).min(active))
    }

    /// The session as it stands at `now`; `None` before its first payload.
    pub(crate) fn summary(&self, now: Timestamp) -> Option<SessionSummary> {
        let statistics = self.statistics.as_ref()?;
        let duration = self.duration(now);
        let (up_bytes, down_bytes) = statistics.bytes();
        let shape: Shape = statistics.shape(duration);
        Some(SessionSummary {
            id: self.id,
            host: self.host.clone(),
            attribution: Arc::clone(&self.attribution),
            destination: self.destination.clone(),
            first: statistics.first(),
            last: statistics.last(),
            duration,
            effective: self.effective(now),
            longest_connection: self.longest_connection(now),
            idle: now.saturating_since(statistics.last()),
            flows: self.flows,
            open_flows: self.open_flows,
            up_bytes,
            down_bytes,
            addresses: statistics.addresses(),
            shape,
            slots: statistics.slots().recent(),
            gap_histogram: *statistics.gap_histogram(),
            visibility: self.visibility,
            lookup: self.lookup,
            verdict: self.assessed.map(|assessed| assessed.verdict),
            score_bits: self.assessed.and_then(|assessed| assessed.score_bits),
            level: self.assessed.and_then(|assessed| assessed.level),
        })
    }
}
