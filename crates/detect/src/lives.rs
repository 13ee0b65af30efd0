//! The life of findings: opened, updated, escalated, closed, and not opened twice a day. Knows no
//! sessions beyond their key, and no terms of a score.

use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::{Date, HostId};
use dwell_packet::Timestamp;
use hashbrown::HashMap;

use crate::mark::Mark;
use crate::saved::SavedFinding;
use crate::session::SessionKey;
use crate::{Analytic, DetectConfig, FindingId, FlowFacts, Level, Life};

/// A finding that is open, as its session keeps it.
#[derive(Clone, Debug)]
pub(crate) struct OpenFinding {
    pub(crate) analytic: Analytic,
    pub(crate) id: FindingId,
    /// The first finding of what may be one campaign; its own where it is alone.
    pub(crate) group: FindingId,
    pub(crate) opened_at: Timestamp,
    /// As last told, or as told earlier that day.
    pub(crate) level: Level,
    pub(crate) score_bits: f64,
    pub(crate) told_at: Timestamp,
}

impl OpenFinding {
    /// As it is stored, of a host, an application and a destination.
    pub(crate) fn row(
        &self,
        (host, application, destination): (HostId, &Arc<str>, &Arc<str>),
    ) -> SavedFinding {
        SavedFinding {
            id: Arc::clone(&self.id.0),
            analytic: self.analytic,
            host: host.0,
            application: Arc::clone(application),
            destination: Arc::clone(destination),
            opened: self.opened_at,
            told: self.told_at,
            level: self.level,
            score_bits: self.score_bits,
        }
    }
}

/// A judgement as far as the life of findings goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    pub(crate) analytic: Analytic,
    pub(crate) at: Timestamp,
    pub(crate) level: Option<Level>,
    pub(crate) score_bits: f64,
}

/// What becomes of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is told that this happened to it.
    Tell(Life),
    /// It was opened again within the suppression time: not told.
    Repeated,
    /// Nothing that anyone has to be told.
    Nothing,
}

/// Decides what is told of findings.
#[derive(Debug)]
pub(crate) struct Lives {
    open_from: Level,
    suppress: Duration,
    /// Findings told and not yet stored.
    unsaved: Vec<SavedFinding>,
    /// Findings opened within the suppression time, by what they are of.
    recent: HashMap<(SessionKey, Analytic), OpenFinding, foldhash::fast::RandomState>,
    /// Groups that findings of the suppression time belong to, by what findings share.
    groups: HashMap<Shared, (FindingId, Timestamp), foldhash::fast::RandomState>,
}

/// What two findings of one campaign have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shared {
    /// One program on one host, wherever it goes.
    Program { host: Mark, application: Mark },
    /// One destination, whoever goes there.
    Destination(Mark),
}

impl Shared {
    fn of(key: &SessionKey) -> impl Iterator<Item = Self> {
        let program = Self::Program { host: key.host, application: key.application };
        let destination = (!key.is_together()).then_some(Self::Destination(key.destination));
        std::iter::once(program).chain(destination)
    }
}

impl Lives {
    pub(crate) fn new(config: &DetectConfig) -> Self {
        Self {
            open_from: config.open_from,
            suppress: config.suppress,
            unsaved: Vec::new(),
            recent: HashMap::default(),
            groups: HashMap::default(),
        }
    }

    /// What becomes of a session's finding when the session has been judged: the finding that is
    /// open now, and the step.
    pub(crate) fn follow(
        &mut self,
        (key, facts): (&SessionKey, &FlowFacts),
        open: Option<OpenFinding>,
        reached: Reached,
    ) -> (Option<OpenFinding>, Step) {
        let (open, step) = match open {
            Some(mut open) => {
                let step = self.follow_open(&mut open, reached);
                (Some(open), step)
            }
            None => self.open((key, facts), reached),
        };
        if let (Step::Tell(_), Some(open)) = (step, &open) {
            self.remember(*key, open);
            let group = if key.is_together() { "".into() } else { facts.destination.group.clone() };
            if self.unsaved.len() < MAX_UNSAVED {
                self.unsaved.push(open.row((
                    facts.host.id,
                    &facts.attribution.application,
                    &group,
                )));
            }
        }
        (open, step)
    }

    /// Findings told since the last call.
    pub(crate) fn take_unsaved(&mut self) -> Vec<SavedFinding> {
        std::mem::take(&mut self.unsaved)
    }

    /// Findings told and not yet taken by [`Lives::take_unsaved`].
    pub(crate) fn remembered(&self) -> impl Iterator<Item = SavedFinding> + '_ {
        self.unsaved.iter().cloned()
    }

    fn open(
        &self,
        (key, facts): (&SessionKey, &FlowFacts),
        reached: Reached,
    ) -> (Option<OpenFinding>, Step) {
        let Reached { analytic, at, score_bits, .. } = reached;
        let Some(level) = reached.level.filter(|&level| level >= self.open_from) else {
            return (None, Step::Nothing);
        };
        let recent = self
            .recent
            .get(&(*key, analytic))
            .filter(|recent| at.saturating_since(recent.opened_at) < self.suppress);
        let Some(recent) = recent else {
            let id = finding_id((key, facts), analytic, at);
            let group = self.group_of(key, at).unwrap_or_else(|| id.clone());
            let (opened_at, told_at) = (at, at);
            let open = OpenFinding { analytic, id, group, opened_at, level, score_bits, told_at };
            return (Some(open), Step::Tell(Life::Opened));
        };
        // What was told today is not told again, unless it is worse now.
        let worse = level > recent.level;
        let open = OpenFinding {
            level: level.max(recent.level),
            score_bits: score_bits.max(recent.score_bits),
            told_at: at,
            ..recent.clone()
        };
        (Some(open), if worse { Step::Tell(Life::Escalated) } else { Step::Repeated })
    }

    fn follow_open(&self, open: &mut OpenFinding, reached: Reached) -> Step {
        let escalated = reached.level.is_some_and(|level| level > open.level);
        let grown = reached.score_bits >= open.score_bits + TELL_AGAIN_BITS;
        let due = reached.at.saturating_since(open.told_at) >= self.suppress;
        if !(escalated || grown || due) {
            return Step::Nothing;
        }
        open.level = reached.level.map_or(open.level, |level| level.max(open.level));
        open.score_bits = reached.score_bits;
        open.told_at = reached.at;
        Step::Tell(if escalated { Life::Escalated } else { Life::Updated })
    }

    /// The group of a finding that opens at `at`: that of the last one within the suppression time
    /// with the same program on the same host, or else with the same destination.
    pub(crate) fn group_of(&self, key: &SessionKey, at: Timestamp) -> Option<FindingId> {
        Shared::of(key).find_map(|shared| {
            let (group, told_at) = self.groups.get(&shared)?;
            (at.saturating_since(*told_at) < self.suppress).then(|| group.clone())
        })
    }

    /// Keeps in mind that a finding was told.
    pub(crate) fn remember(&mut self, key: SessionKey, open: &OpenFinding) {
        let (now, suppress) = (open.told_at, self.suppress);
        if self.groups.len() >= MAX_RECENT {
            self.groups.retain(|_, (_, told_at)| now.saturating_since(*told_at) < suppress);
        }
        for shared in Shared::of(&key) {
            if self.groups.len() < MAX_RECENT || self.groups.contains_key(&shared) {
                self.groups.insert(shared, (open.group.clone(), now));
            }
        }
        if self.recent.len() >= MAX_RECENT {
            self.recent.retain(|_, recent| now.saturating_since(recent.opened_at) < suppress);
        }
        let key = (key, open.analytic);
        if self.recent.len() < MAX_RECENT || self.recent.contains_key(&key) {
            self.recent.insert(key, open.clone());
        }
    }
}

/// The same for the same host, application, destination, analytic and day.
fn finding_id(
    (key, facts): (&SessionKey, &FlowFacts),
    analytic: Analytic,
    at: Timestamp,
) -> FindingId {
    let day = Date::of(at).to_string();
    let digest = key.digest(facts, &[analytic.id().as_bytes(), day.as_bytes()]);
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let digits = digest.iter().take(16).flat_map(|&byte| [digit(byte >> 4), digit(byte & 0x0f)]);
    FindingId(digits.collect::<String>().into())
}

/// A finding is told again when its score has risen by this much.
const TELL_AGAIN_BITS: f64 = 2.0;

/// Findings told between two savings; without a store they are not kept.
const MAX_UNSAVED: usize = 4096;

/// Findings remembered for the suppression time: more than anyone reads in a day.
const MAX_RECENT: usize = 65_536;
