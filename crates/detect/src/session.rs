//! One session: who, where to, how long, and its statistics. Knows no table and no score.

use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::Verdict;
use dwell_packet::Timestamp;
use sha2::{Digest, Sha256};

use crate::lives::OpenFinding;
use crate::mark::{Mark, Marks};
use crate::slots::SLOT;
use crate::stats::Statistics;
use crate::view::View;
use crate::{Analytic, Burst, FlowFacts, Level, NameLookup, SessionId, SessionSummary, Visibility};

/// What makes flows one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub(crate) host: Mark,
    pub(crate) application: Mark,
    /// [`Mark::NONE`] for what an application does at rare destinations together.
    pub(crate) destination: Mark,
}

impl SessionKey {
    pub(crate) fn of(facts: &FlowFacts, marks: &Marks) -> Self {
        Self {
            host: marks.host(facts.host.id),
            application: marks.of(&facts.attribution.application),
            destination: marks.of(&facts.destination.group),
        }
    }

    /// The key of everything that the application does at rare destinations.
    pub(crate) const fn together(self) -> Self {
        Self { destination: Mark::NONE, ..self }
    }

    pub(crate) fn is_together(&self) -> bool {
        self.destination == Mark::NONE
    }

    /// A digest of what the key of `facts` stands for, and of `more`; each text with its length.
    pub(crate) fn digest(&self, facts: &FlowFacts, more: &[&[u8]]) -> [u8; 32] {
        let mut digest = Sha256::new();
        let host = facts.host.id.0.to_string();
        let group: &str = if self.is_together() { TOGETHER } else { &facts.destination.group };
        let own = [host.as_bytes(), facts.attribution.application.as_bytes(), group.as_bytes()];
        for part in own.iter().chain(more) {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// What rare destinations together are called where a destination is named.
pub(crate) const TOGETHER: &str = "several rare destinations";

/// One session as it is kept.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) key: SessionKey,
    /// Host, application and destination as they are best known; shared with the flow.
    pub(crate) facts: Arc<FlowFacts>,
    /// `None` before the first payload.
    pub(crate) statistics: Option<Statistics>,
    pub(crate) flows: u32,
    pub(crate) open_flows: u32,
    /// When the longest open connection opened, as far as it is known; else the end of time.
    pub(crate) oldest_open: Timestamp,
    /// The longest connection, without what open ones have added since.
    longest_s: f32,
    /// When something last opened, closed or carried payload.
    pub(crate) last_activity: Timestamp,
    /// Quarters of an hour with payload in which the host's user was browsing, and in which not; both
    /// are halved when one is full.
    attended: u8,
    unattended: u8,
    /// [`Visibility`] as bits.
    visibility: u16,
    pub(crate) lookup: NameLookup,
    /// Whether something happened since it was last judged.
    pub(crate) changed: bool,
    /// Whether payload came since the last tick.
    pub(crate) active: bool,
    /// Whether it changed since it was last saved.
    pub(crate) unsaved: bool,
    pub(crate) assessed: Option<Assessed>,
    findings: Option<Box<Findings>>,
}

/// Open findings; apart, for few sessions have any.
#[derive(Debug, Default)]
struct Findings(Vec<OpenFinding>);

/// What the last judgement of a session came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Assessed {
    pub(crate) verdict: Verdict,
    /// NaN while the session is too short or may not be judged.
    pub(crate) score_bits: f32,
    pub(crate) level: Option<Level>,
}

impl Session {
    /// A session without payload yet, that a flow starts at `opened`.
    pub(crate) fn new(key: SessionKey, facts: &Arc<FlowFacts>, opened: Timestamp) -> Self {
        let digest = key.digest(facts, &[&opened.as_nanos().to_be_bytes()]);
        let id = digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        Self {
            id: SessionId(id),
            key,
            facts: Arc::clone(facts),
            statistics: None,
            flows: 0,
            open_flows: 0,
            oldest_open: Timestamp::MAX,
            longest_s: 0.0,
            last_activity: opened,
            attended: 0,
            unattended: 0,
            visibility: facts.visibility.bits(),
            lookup: facts.lookup,
            changed: false,
            active: false,
            unsaved: true,
            assessed: None,
            findings: None,
        }
    }

    /// Takes in what is known of a flow that belongs to the session: its destination is the
    /// session's from now on; host and application stay as they are best known.
    pub(crate) fn learn(&mut self, facts: &Arc<FlowFacts>) {
        let known = &self.facts;
        let better = facts.attribution.level < known.attribution.level;
        let fuller = known.host.os.is_none() || known.host.name.is_none();
        let attribution = if better { &facts.attribution } else { &known.attribution };
        let host = if fuller { &facts.host } else { &known.host };
        if Arc::ptr_eq(attribution, &facts.attribution) && *host == facts.host {
            self.facts = Arc::clone(facts);
        } else {
            self.facts = Arc::new(FlowFacts {
                attribution: Arc::clone(attribution),
                host: host.clone(),
                ..FlowFacts::clone(facts)
            });
        }
        self.visibility = self.visibility().or(facts.visibility).bits();
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
        self.note_length(opened, burst.end);
        self.last_activity = self.last_activity.max(burst.end);
        self.changed = true;
        self.active = true;
        self.unsaved = true;
    }

    /// Takes note that the flow which opened at `opened` closed.
    pub(crate) fn close_flow(&mut self, opened: Timestamp, at: Timestamp) {
        self.open_flows = self.open_flows.saturating_sub(1);
        self.note_length(opened, at);
        if self.oldest_open == opened {
            self.oldest_open = Timestamp::MAX;
        }
        self.last_activity = self.last_activity.max(at);
        self.changed = true;
        self.unsaved = true;
    }

    /// Counts a quarter of an hour with payload.
    pub(crate) const fn note_quarter(&mut self, attended: bool) {
        if self.attended == u8::MAX || self.unattended == u8::MAX {
            self.attended /= 2;
            self.unattended /= 2;
        }
        if attended {
            self.attended = self.attended.saturating_add(1);
        } else {
            self.unattended = self.unattended.saturating_add(1);
        }
    }

    /// Counts the open burst as over.
    pub(crate) fn settle(&mut self) {
        if let Some(statistics) = &mut self.statistics {
            statistics.settle();
        }
    }

    /// What limits the trust in it.
    pub(crate) fn visibility(&self) -> Visibility {
        Visibility::from_bits(self.visibility)
    }

    /// Quarters of an hour with payload, with and without a browsing user.
    pub(crate) const fn attendance(&self) -> (u8, u8) {
        (self.attended, self.unattended)
    }

    /// Goes on from counts that were stored.
    pub(crate) fn resume_counts(&mut self, longest: Duration, (attended, unattended): (u8, u8)) {
        self.longest_s = longest.as_secs_f32();
        (self.attended, self.unattended) = (attended, unattended);
        self.oldest_open = Timestamp::MAX;
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
        now.saturating_since(self.oldest_open).max(Duration::from_secs_f32(self.longest_s))
    }

    /// What counts as long: the longest connection, or the ten-minute slots with payload as far as
    /// the duration reaches. Two visits two hours apart are not a long session.
    pub(crate) fn effective(&self, now: Timestamp) -> Duration {
        let slots = self.statistics.as_ref().map_or(0, |kept| kept.slots().covered());
        let active = SLOT.saturating_mul(slots);
        self.longest_connection(now).max(self.duration(now).min(active))
    }

    /// Bytes that the host sent, of payload.
    pub(crate) fn bytes_out(&self) -> u64 {
        self.statistics.as_ref().map_or(0, |statistics| statistics.bytes().0)
    }

    /// When the first payload came, if any has.
    pub(crate) fn began(&self) -> Timestamp {
        self.statistics.as_ref().map_or(self.last_activity, Statistics::first)
    }

    /// The finding of `analytic`, taken out.
    pub(crate) fn take_finding(&mut self, analytic: Analytic) -> Option<OpenFinding> {
        let Findings(findings) = self.findings.as_deref_mut()?;
        let place = findings.iter().position(|open| open.analytic == analytic)?;
        let open = findings.swap_remove(place);
        if findings.is_empty() {
            self.findings = None;
        }
        Some(open)
    }

    /// All findings, taken out.
    pub(crate) fn take_findings(&mut self) -> Vec<OpenFinding> {
        self.findings.take().map(|findings| findings.0).unwrap_or_default()
    }

    /// Keeps a finding.
    pub(crate) fn put_finding(&mut self, open: OpenFinding) {
        self.findings.get_or_insert_default().0.push(open);
        self.unsaved = true;
    }

    pub(crate) fn has_finding(&self) -> bool {
        self.findings.is_some()
    }

    pub(crate) fn findings(&self) -> &[OpenFinding] {
        self.findings.as_deref().map_or(&[], |Findings(findings)| findings)
    }

    /// What a judgement needs of the session at `now`; `None` before its first payload.
    pub(crate) fn view(&self, now: Timestamp) -> Option<View> {
        let statistics = self.statistics.as_ref()?;
        let duration = self.duration(now);
        let (up_bytes, down_bytes) = statistics.bytes();
        Some(View {
            facts: Arc::clone(&self.facts),
            together: self.key.is_together(),
            lookup: self.lookup,
            duration,
            effective: self.effective(now),
            longest_connection: self.longest_connection(now),
            flows: self.flows,
            up_bytes,
            down_bytes,
            addresses: statistics.addresses(),
            attended: u32::from(self.attended),
            unattended: u32::from(self.unattended),
            shape: statistics.judged_shape(duration),
        })
    }

    /// The session as it stands at `now`; `None` before its first payload.
    pub(crate) fn summary(&self, now: Timestamp) -> Option<SessionSummary> {
        let statistics = self.statistics.as_ref()?;
        let duration = self.duration(now);
        let (up_bytes, down_bytes) = statistics.bytes();
        let assessed = self.assessed;
        let score = assessed.map(|assessed| f64::from(assessed.score_bits));
        Some(SessionSummary {
            id: self.id,
            host: self.facts.host.clone(),
            attribution: Arc::clone(&self.facts.attribution),
            destination: self.facts.destination.clone(),
            together: self.key.is_together(),
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
            shape: statistics.shape(duration),
            slots: statistics.slots().recent(),
            gap_histogram: *statistics.gap_histogram(),
            visibility: self.visibility(),
            lookup: self.lookup,
            verdict: assessed.map(|assessed| assessed.verdict),
            score_bits: score.filter(|score| !score.is_nan()),
            level: assessed.and_then(|assessed| assessed.level),
        })
    }

    fn note_length(&mut self, opened: Timestamp, at: Timestamp) {
        self.longest_s = self.longest_s.max(at.saturating_since(opened).as_secs_f32());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million sessions then take 350 MB at most, with nothing aside but second addresses and
    /// open findings.
    #[test]
    fn a_session_takes_at_most_350_bytes() {
        assert!(size_of::<Session>() <= 350, "{}", size_of::<Session>());
    }
}
