//! The detector to rows and back: what a restart must not lose. Stores nothing.

use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::{Attribution, Destination, HostId, HostRef, NameSource};
use dwell_packet::Timestamp;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use crate::lives::OpenFinding;
use crate::order::What;
use crate::saved::{Saved, SavedFinding, SavedSession};
use crate::session::{Session, SessionKey};
use crate::stats::Statistics;
use crate::{Burst, Detector, FindingId, FlowFacts, SessionId};

impl Detector {
    /// Rows of everything that was learnt and is open.
    #[must_use]
    pub fn snapshot(&self) -> Saved {
        let mut rows = Saved::default();
        self.baseline.save(&mut rows);
        let waiting = self.waiting();
        for place in self.tracker.places() {
            let session = self.tracker.session(place);
            let row = session.and_then(|session| session_row(session, waiting.get(&place.number)));
            rows.sessions.extend(row);
        }
        rows.findings.extend(self.lives.remembered());
        rows
    }

    /// Rows of what changed since the last call; of everything on the first. Call it every few
    /// seconds of a running sensor, and store what it gives: a restart then loses no more.
    ///
    /// Costs what changed, and a look at each session. The rows of sessions that
    /// [`Detector::take_ended`] gives are to be removed.
    pub fn take_changes(&mut self) -> Saved {
        let mut rows = Saved::default();
        self.baseline.take_changes(&mut rows);
        let waiting = self.waiting();
        for place in self.tracker.places() {
            let Some(session) = self.tracker.session_mut(place) else { continue };
            let waiting = waiting.get(&place.number);
            if std::mem::take(&mut session.unsaved) || waiting.is_some() {
                rows.sessions.extend(session_row(session, waiting));
            }
        }
        rows.findings.extend(self.lives.take_unsaved());
        rows
    }

    /// What waits to be put in order, by the number of its session: rows have it in them already, or
    /// a restart would lose it.
    fn waiting(&self) -> HashMap<usize, Waiting, RandomState> {
        let mut waiting: HashMap<usize, Waiting, RandomState> = HashMap::default();
        let mut uncounted = HashSet::with_hasher(RandomState::default());
        for pending in self.reorder.iter() {
            let (What::Burst(burst), Some(flow)) = (pending.what, self.tracker.flow(pending.flow))
            else {
                continue;
            };
            let of_session = waiting.entry(flow.session.number).or_default();
            of_session.bursts.push((flow.facts.opened, burst));
            let new = !flow.counted && !flow.facts.continued && uncounted.insert(pending.flow);
            of_session.flows = of_session.flows.saturating_add(u32::from(new));
        }
        for of_session in waiting.values_mut() {
            of_session.bursts.sort_by_key(|(_, burst)| burst.start);
        }
        waiting
    }

    /// Sessions that ended since the last call, if what they were was restored or is to be stored.
    pub fn take_ended(&mut self) -> Vec<SessionId> {
        self.ended.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes rows in: into a new detector, before anything else.
    ///
    /// Sessions go on where they stopped; their connections count as closed, for nobody knows
    /// whether they still are. A finding that was told is not told again.
    pub fn restore(&mut self, rows: &Saved) {
        self.ended = Some(Vec::new());
        self.baseline.restore(rows);
        let mut findings: Vec<&SavedFinding> = rows.findings.iter().collect();
        findings.sort_by_key(|row| (row.opened, row.analytic));
        for row in findings {
            let marks = &self.baseline.marks;
            let key = SessionKey {
                host: marks.host(HostId(row.host)),
                application: marks.of(&row.application),
                destination: if row.destination.is_empty() {
                    crate::mark::Mark::NONE
                } else {
                    marks.of(&row.destination)
                },
            };
            let group = self.lives.group_of(&key, row.told);
            self.lives.remember(key, &open_finding(row, group));
        }
        for row in &rows.sessions {
            self.restore_session(row);
        }
        self.lives.take_unsaved();
    }

    /// Takes in what was learnt alone, without sessions and findings: a baseline to judge by.
    pub fn learn_from(&mut self, rows: &Saved) {
        self.baseline.restore(rows);
    }

    fn restore_session(&mut self, row: &SavedSession) -> Option<()> {
        let statistics = Statistics::from_bytes(&row.statistics)?;
        let facts = Arc::new(facts_of(row));
        let key = SessionKey::of(&facts, &self.baseline.marks);
        let key = if row.together { key.together() } else { key };
        if self.tracker.is_full() || self.tracker.find(&key).is_some() {
            return None;
        }
        let mut session = Session::new(key, &facts, row.first);
        session.resume(row, statistics);
        for finding in &row.findings {
            let group = self.lives.group_of(&key, finding.told);
            session.put_finding(open_finding(finding, group));
        }
        session.unsaved = false;
        self.tracker.insert(session);
        Some(())
    }
}

impl Session {
    /// Goes on from what was stored.
    fn resume(&mut self, row: &SavedSession, statistics: Statistics) {
        self.id = SessionId(row.id);
        self.statistics = Some(statistics);
        self.flows = row.flows;
        self.last_activity = row.last_activity;
        self.resume_counts(row.longest, row.attendance);
    }
}

/// Bursts of a session that wait to be put in order, with when their flows opened, and how many of
/// these flows the session has not counted.
#[derive(Debug, Default)]
struct Waiting {
    bursts: Vec<(Timestamp, Burst)>,
    flows: u32,
}

impl Waiting {
    /// The statistics with what waits.
    fn add_to(&self, statistics: Option<&Statistics>) -> Option<Statistics> {
        let mut statistics = statistics.cloned();
        for (_, burst) in &self.bursts {
            match &mut statistics {
                Some(statistics) => statistics.add(burst),
                None => statistics = Some(Statistics::new(burst)),
            }
        }
        statistics
    }

    fn longest(&self) -> Duration {
        let lengths = self.bursts.iter().map(|(opened, burst)| burst.end.saturating_since(*opened));
        lengths.max().unwrap_or_default()
    }

    fn last(&self) -> Timestamp {
        self.bursts.iter().map(|(_, burst)| burst.end).max().unwrap_or(Timestamp::ZERO)
    }
}

fn session_row(session: &Session, waiting: Option<&Waiting>) -> Option<SavedSession> {
    let none = Waiting::default();
    let waiting = waiting.unwrap_or(&none);
    let statistics = waiting.add_to(session.statistics.as_ref())?;
    let FlowFacts { host, attribution, destination, .. } = &*session.facts;
    let together = session.key.is_together();
    let group = if together { Arc::from("") } else { Arc::clone(&destination.group) };
    let finding = |open: &OpenFinding| open.row((host.id, &attribution.application, &group));
    Some(SavedSession {
        id: session.id.0,
        host: host.id.0,
        host_addr: host.addr,
        host_name: host.name.clone(),
        application: Arc::clone(&attribution.application),
        outcome: attribution.outcome,
        category: attribution.category,
        destination: Arc::clone(&destination.group),
        name: destination.name.clone(),
        addr: destination.addr,
        port: destination.port,
        together,
        first: statistics.first(),
        last_activity: session.last_activity.max(waiting.last()),
        flows: session.flows.saturating_add(waiting.flows),
        longest: session.longest_connection(Timestamp::ZERO).max(waiting.longest()),
        bytes: statistics.bytes(),
        attendance: session.attendance(),
        lookup: session.lookup,
        visibility: session.visibility(),
        statistics: statistics.to_bytes(),
        findings: session.findings().iter().map(finding).collect(),
    })
}

fn facts_of(row: &SavedSession) -> FlowFacts {
    let host = HostRef {
        id: HostId(row.host),
        name: row.host_name.clone(),
        ..HostRef::of_address(row.host_addr, row.first)
    };
    let source = if row.name.is_some() { NameSource::Sni } else { NameSource::None };
    FlowFacts {
        flow_id: 0,
        host,
        attribution: Arc::new(Attribution {
            outcome: row.outcome,
            application: Arc::clone(&row.application),
            category: row.category,
            ..Attribution::unattributed()
        }),
        destination: Destination {
            group: Arc::clone(&row.destination),
            name: row.name.clone(),
            addr: row.addr,
            port: row.port,
            source,
        },
        opened: row.first,
        visibility: row.visibility,
        lookup: row.lookup,
        continued: false,
    }
}

fn open_finding(row: &SavedFinding, group: Option<FindingId>) -> OpenFinding {
    let id = FindingId(Arc::clone(&row.id));
    OpenFinding {
        analytic: row.analytic,
        group: group.unwrap_or_else(|| id.clone()),
        id,
        opened_at: row.opened,
        level: row.level,
        score_bits: row.score_bits,
        told_at: row.told,
    }
}
