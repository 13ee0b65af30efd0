//! What findings stand on: records of sessions until a finding wants them, then a folder for each
//! finding. Asks for packets and baselines; keeps no frames itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use dwell_attribution::HostId;
use dwell_detect::{Detector, Finding, Life, Outlook, SessionId};
use dwell_engine::{FlowIdentity, Record};
use dwell_evidence::{
    Folder, FolderLimits, Folders, KeptFrame, Order, Removed, Shelf, ShelfCounters,
};
use dwell_packet::{FiveTuple, Timestamp};
use serde_json::{Value, json};

/// Findings whose sessions are followed at a time.
const MAX_CASES: usize = 4096;

/// Records and flows kept of a session that has no finding.
const MAX_LINES: usize = 256;

/// Flows of one finding whose packets are asked for.
const MAX_FLOWS: usize = 4096;

/// The records of a finding itself, of its flows, and what it was judged by.
const FINDING: &str = "finding.jsonl";
const RECORDS: &str = "records.jsonl";
const BASELINE: &str = "baseline.json";

/// A record of a session, as far as evidence goes.
#[derive(Debug)]
pub(crate) struct Note {
    at: Timestamp,
    session: SessionId,
    what: What,
    /// The record as a line of EVE.
    line: Vec<u8>,
}

#[derive(Debug)]
enum What {
    /// Of one of its flows.
    Flow(Arc<FlowIdentity>),
    /// Of the session itself; whether it ended.
    Session { over: bool },
    /// A finding.
    Finding(Box<Finding>),
}

impl Note {
    /// What evidence needs of a record, if anything; `line` gives it as a line of EVE.
    pub(crate) fn of(record: &Record, line: impl FnOnce() -> Option<Vec<u8>>) -> Option<Self> {
        let of_flow = |at, identity: &Arc<FlowIdentity>| {
            Some((at, identity.session?, What::Flow(Arc::clone(identity))))
        };
        let (at, session, what) = match record {
            Record::Handshake(record) => of_flow(record.ts, &record.identity)?,
            Record::Http(record) => of_flow(record.ts, &record.identity)?,
            Record::Flow(record) => of_flow(record.ts, &record.identity)?,
            Record::Session(record) => {
                (record.ts, record.summary.id, What::Session { over: record.end.is_some() })
            }
            Record::Finding(finding) => {
                (finding.at, finding.session.id, What::Finding(finding.clone()))
            }
            _ => return None,
        };
        Some(Self { at, session, what, line: line()? })
    }
}

/// What a casebook needs from elsewhere.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// Packets.
    Packets(Order),
    /// What is expected of the session's application on its host towards its destination.
    Outlook {
        /// For whom.
        case: u64,
        /// The finding.
        finding: Box<Finding>,
    },
}

/// What became of what findings stand on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CaseCounters {
    /// Findings that have a folder.
    pub(crate) findings: u64,
    /// Findings that could not be followed, because there were too many.
    pub(crate) unfollowed: u64,
    /// Records written.
    pub(crate) records: u64,
    /// Records that found no room.
    pub(crate) records_refused: u64,
    /// Frames written.
    pub(crate) frames: u64,
    /// Frames that found no room.
    pub(crate) frames_refused: u64,
    /// Folders removed.
    pub(crate) removed: Removed,
    /// What could not be written.
    pub(crate) errors: u64,
}

/// Records of a session that has no finding.
#[derive(Debug, Default)]
struct SessionFile {
    lines: Vec<Vec<u8>>,
    flows: Vec<FiveTuple>,
    who: Option<(HostId, Arc<str>)>,
}

/// A finding whose session is followed.
#[derive(Debug)]
struct Case {
    id: String,
    folder: Folder,
    flows: BTreeSet<String>,
}

/// Findings, and the sessions that may become one.
#[derive(Debug)]
pub(crate) struct Casebook {
    folders: Folders,
    sessions: Shelf<u64, SessionFile>,
    /// By session.
    cases: BTreeMap<u64, Case>,
    /// Sessions that stand for all rare destinations of an application on a host.
    together: BTreeMap<(HostId, Arc<str>), u64>,
    ending: Ending,
    counters: CaseCounters,
}

/// What becomes of a finding whose session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing more comes for it.
    Closed,
    /// Its packets are still to come: a replay reads them afterwards.
    Kept,
}

impl Casebook {
    /// A casebook with folders under `root` and at most `bytes` of records in memory.
    ///
    /// # Errors
    /// When the root cannot be made.
    pub(crate) fn open(
        root: &Path,
        (limits, bytes): (FolderLimits, usize),
        ending: Ending,
    ) -> io::Result<Self> {
        Ok(Self {
            folders: Folders::open(root, limits)?,
            sessions: Shelf::new(bytes),
            cases: BTreeMap::new(),
            together: BTreeMap::new(),
            ending,
            counters: CaseCounters::default(),
        })
    }

    /// Takes a record in; gives what is needed because of it.
    pub(crate) fn take(&mut self, note: Note) -> Vec<Wanted> {
        let Note { at, session, what, line } = note;
        match what {
            What::Flow(identity) => self.take_flow(at, session.0, &identity, line),
            What::Session { over } => {
                self.take_line(at, session.0, line);
                if over { self.close(session.0) } else { Vec::new() }
            }
            What::Finding(finding) => self.take_finding(finding, &line),
        }
    }

    /// Writes packets down.
    pub(crate) fn add_frames(&mut self, frames: Vec<KeptFrame>) {
        let mut by_case: BTreeMap<u64, Vec<KeptFrame>> = BTreeMap::new();
        for frame in frames {
            by_case.entry(frame.case).or_default().push(frame);
        }
        for (case, frames) in by_case {
            let all = u64::try_from(frames.len()).unwrap_or(u64::MAX);
            let Some(case) = self.cases.get_mut(&case) else {
                self.counters.frames_refused += all;
                continue;
            };
            match case.folder.append_frames(&frames) {
                Ok(refused) => {
                    self.counters.frames += all.saturating_sub(refused);
                    self.counters.frames_refused += refused;
                }
                Err(_) => self.counters.errors += 1,
            }
        }
    }

    /// Takes note of packets that were there and found no room elsewhere.
    pub(crate) fn note_refused(&mut self, frames: u64) {
        self.counters.frames_refused += frames;
    }

    /// Writes down what the finding was judged by.
    pub(crate) fn add_outlook(&mut self, case: u64, finding: &Finding, outlook: &Outlook) {
        let text = baseline(finding, outlook);
        let Some(case) = self.cases.get_mut(&case) else { return };
        if case.folder.put(BASELINE, format!("{text:#}\n").as_bytes()).is_err() {
            self.counters.errors += 1;
        }
    }

    /// Removes what is too old or too much; folders of open cases stay.
    pub(crate) fn tidy(&mut self, now: Timestamp) {
        let open: BTreeSet<&str> = self.cases.values().map(|case| case.id.as_str()).collect();
        match self.folders.tidy(now, |id| open.contains(id)) {
            Ok(removed) => {
                self.counters.removed.aged += removed.aged;
                self.counters.removed.crowded += removed.crowded;
            }
            Err(_) => self.counters.errors += 1,
        }
    }

    /// What became of everything so far, and the records in memory.
    pub(crate) fn counters(&self) -> (CaseCounters, ShelfCounters) {
        (self.counters, self.sessions.counters())
    }

    fn take_flow(
        &mut self,
        at: Timestamp,
        session: u64,
        identity: &FlowIdentity,
        line: Vec<u8>,
    ) -> Vec<Wanted> {
        let who = (identity.host.id, Arc::clone(&identity.application.application));
        let case = if self.cases.contains_key(&session) {
            Some(session)
        } else {
            self.together.get(&who).copied().filter(|_| !self.together.is_empty())
        };
        if let Some(number) = case {
            let wanted = self.want_flow(number, &identity.tuple);
            self.write_record(number, &line);
            return wanted.into_iter().collect();
        }
        let file = self.sessions.touch(session, at);
        file.who = Some(who);
        let mut grown = 0;
        if file.flows.len() < MAX_LINES && !file.flows.contains(&identity.tuple) {
            file.flows.push(identity.tuple);
            grown += size_of::<FiveTuple>();
        }
        self.sessions.grew(&session, grown, at);
        self.take_line(at, session, line);
        Vec::new()
    }

    fn take_line(&mut self, at: Timestamp, session: u64, line: Vec<u8>) {
        if self.cases.contains_key(&session) {
            self.write_record(session, &line);
            return;
        }
        let file = self.sessions.touch(session, at);
        if file.lines.len() >= MAX_LINES {
            self.counters.records_refused += 1;
            return;
        }
        let grown = line.capacity();
        file.lines.push(line);
        self.sessions.grew(&session, grown, at);
    }

    fn take_finding(&mut self, finding: Box<Finding>, line: &[u8]) -> Vec<Wanted> {
        let number = finding.session.id.0;
        let mut wanted = Vec::new();
        if !self.cases.contains_key(&number) {
            wanted = self.begin(&finding);
        }
        if let Some(case) = self.cases.get_mut(&number) {
            match case.folder.append_line(FINDING, line) {
                Ok(true) => {}
                Ok(false) => self.counters.records_refused += 1,
                Err(_) => self.counters.errors += 1,
            }
        }
        let over = finding.life == Life::Closed;
        wanted.push(Wanted::Outlook { case: number, finding });
        if over {
            // What was asked for comes before the end does.
            wanted.push(Wanted::Packets(Order::Stop { case: number }));
        }
        wanted
    }

    /// Opens the folder of a finding, writes down what is known, and asks for the rest.
    fn begin(&mut self, finding: &Finding) -> Vec<Wanted> {
        if self.cases.len() >= MAX_CASES {
            self.counters.unfollowed += 1;
            return Vec::new();
        }
        let session = &finding.session;
        let number = session.id.0;
        let id = finding.id.as_str().to_owned();
        let Ok(folder) = self.folders.folder(&id) else {
            self.counters.errors += 1;
            return Vec::new();
        };
        self.counters.findings += 1;
        self.cases.insert(number, Case { id, folder, flows: BTreeSet::new() });
        let mut known = vec![number];
        if session.together {
            let who = (session.host.id, Arc::clone(&session.attribution.application));
            let of_it = |(_, file): &(&u64, &SessionFile)| file.who.as_ref() == Some(&who);
            known.extend(self.sessions.iter().filter(of_it).map(|(number, _)| *number));
            known.sort_unstable();
            self.together.insert(who, number);
        }
        let mut wanted = Vec::new();
        for session in known {
            let Some(file) = self.sessions.take(&session) else { continue };
            for line in &file.lines {
                self.write_record(number, line);
            }
            wanted.extend(file.flows.iter().filter_map(|tuple| self.want_flow(number, tuple)));
        }
        wanted
    }

    /// Asks for the packets of a flow, once.
    fn want_flow(&mut self, number: u64, tuple: &FiveTuple) -> Option<Wanted> {
        let case = self.cases.get_mut(&number)?;
        let name = format!("{} {} {}", tuple.transport, tuple.src, tuple.dst);
        if case.flows.len() >= MAX_FLOWS || !case.flows.insert(name) {
            return None;
        }
        // Half of what is left: the headers of what comes shall find room as well.
        let bytes = usize::try_from(case.folder.room() / 2).unwrap_or(usize::MAX);
        Some(Wanted::Packets(Order::Slice { case: number, tuple: *tuple, bytes }))
    }

    fn write_record(&mut self, number: u64, line: &[u8]) {
        let Some(case) = self.cases.get_mut(&number) else { return };
        match case.folder.append_line(RECORDS, line) {
            Ok(true) => self.counters.records += 1,
            Ok(false) => self.counters.records_refused += 1,
            Err(_) => self.counters.errors += 1,
        }
    }

    /// The session is over: nothing more comes.
    fn close(&mut self, session: u64) -> Vec<Wanted> {
        self.sessions.note_over(session);
        if self.ending == Ending::Kept {
            return Vec::new();
        }
        self.together.retain(|_, number| *number != session);
        match self.cases.remove(&session) {
            Some(_) => vec![Wanted::Packets(Order::Stop { case: session })],
            None => Vec::new(),
        }
    }
}

/// What a finding was judged by: what was measured against what was expected, and what the baseline
/// knows of the application, the host and the destination.
fn baseline(finding: &Finding, outlook: &Outlook) -> Value {
    let session = &finding.session;
    let seconds = |known: Option<std::time::Duration>| known.map(|known| known.as_secs_f64());
    let reasons: Vec<Value> = finding
        .reasons
        .iter()
        .map(|reason| {
            json!({
                "feature": reason.feature,
                "part": reason.part.name(),
                "value": reason.value,
                "expected": reason.expected,
                "weight_bits": reason.weight_bits,
                "text": reason.text,
            })
        })
        .collect();
    let lengths: Vec<Value> = outlook
        .lengths
        .iter()
        .map(|length| {
            json!({
                "held_s": length.held.as_secs(),
                "host_days_with": length.such.0,
                "host_days": length.such.1,
                "host_days_with_of_kind": length.of_kind.0,
                "host_days_of_kind": length.of_kind.1,
            })
        })
        .collect();
    let [with_application, with_destination, with_both] = outlook.with;
    json!({
        "finding_id": finding.id.as_str(),
        "at_s": finding.at.as_secs_f64(),
        "host": session.host.id.0.to_string(),
        "application": &*session.attribution.application,
        "destination": &*session.destination.group,
        "provisional": finding.provisional,
        "policy": { "verdict": finding.judgement.verdict.name(), "rule": finding.judgement.rule.as_deref() },
        "reasons": reasons,
        "baseline": {
            "other_hosts": outlook.hosts,
            "other_hosts_with_application": with_application,
            "other_hosts_with_destination": with_destination,
            "other_hosts_with_both": with_both,
            "destination_class": outlook.class,
            "application_kind": outlook.kind,
            "known_here_s": seconds(outlook.known_for),
            "user_expected_s": seconds(outlook.user_expected),
            "longest_elsewhere_s": seconds(outlook.longest_elsewhere),
            "longest_here": outlook.longest_here.as_ref().map(|(held, place)| {
                json!({ "held_s": held.as_secs_f64(), "destination": &**place })
            }),
            "lengths": lengths,
        },
    })
}

/// What is expected of a finding's application on its host towards its destination.
pub(crate) fn outlook(detector: &Detector, finding: &Finding) -> Outlook {
    let session = &finding.session;
    detector.outlook(
        session.host.id,
        &session.attribution.application,
        &session.destination.group,
        finding.at,
    )
}
