//! The life of findings: opened, updated, escalated, closed, and not opened twice a day. Knows no
//! sessions beyond their key, and no terms of a score.

use std::time::Duration;

use dwell_attribution::Date;
use dwell_packet::Timestamp;
use hashbrown::HashMap;

use crate::an0146::Score;
use crate::session::SessionKey;
use crate::{Analytic, DetectConfig, FindingId, Level, LevelThresholds, Life};

/// A finding that is open, as its session keeps it.
#[derive(Clone, Debug)]
pub(crate) struct OpenFinding {
    pub(crate) id: FindingId,
    pub(crate) opened_at: Timestamp,
    /// As last told, or as told earlier that day.
    pub(crate) level: Level,
    pub(crate) score_bits: f64,
    pub(crate) told_at: Timestamp,
}

/// A judgement as far as the life of findings goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
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
    levels: LevelThresholds,
    open_from: Level,
    suppress: Duration,
    /// Findings opened within the suppression time, by what they are of.
    recent: HashMap<SessionKey, OpenFinding, foldhash::fast::RandomState>,
}

impl Lives {
    pub(crate) fn new(config: &DetectConfig) -> Self {
        Self {
            levels: config.levels,
            open_from: config.open_from,
            suppress: config.suppress,
            recent: HashMap::default(),
        }
    }

    /// The level that a score reaches; none unless the application is unexpected and the pattern
    /// irregular, however long it lasts.
    pub(crate) fn level(&self, score: &Score) -> Option<Level> {
        if score.parts.unexpected <= 0.0 || score.parts.irregular <= 0.0 {
            return None;
        }
        [(self.levels.high, Level::High), (self.levels.alert, Level::Alert)]
            .into_iter()
            .chain([(self.levels.watch, Level::Watch)])
            .find_map(|(threshold, level)| (score.bits >= threshold).then_some(level))
    }

    /// What becomes of a session's finding when the session has been judged.
    pub(crate) fn follow(
        &mut self,
        key: &SessionKey,
        open: &mut Option<Box<OpenFinding>>,
        reached: Reached,
    ) -> Step {
        let step = match open {
            Some(open) => self.follow_open(open, reached),
            None => self.open(key, open, reached),
        };
        if let (Step::Tell(_), Some(open)) = (step, open) {
            self.remember(key, open);
        }
        step
    }

    fn open(
        &mut self,
        key: &SessionKey,
        open: &mut Option<Box<OpenFinding>>,
        reached: Reached,
    ) -> Step {
        let Some(level) = reached.level.filter(|&level| level >= self.open_from) else {
            return Step::Nothing;
        };
        let Reached { at, score_bits, .. } = reached;
        let recent = self
            .recent
            .get(key)
            .filter(|recent| at.saturating_since(recent.opened_at) < self.suppress);
        let Some(recent) = recent else {
            let id = finding_id(key, at);
            *open =
                Some(Box::new(OpenFinding { id, opened_at: at, level, score_bits, told_at: at }));
            return Step::Tell(Life::Opened);
        };
        // What was told today is not told again, unless it is worse now.
        let worse = level > recent.level;
        *open = Some(Box::new(OpenFinding {
            level: level.max(recent.level),
            score_bits: score_bits.max(recent.score_bits),
            told_at: at,
            ..recent.clone()
        }));
        if worse { Step::Tell(Life::Escalated) } else { Step::Repeated }
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

    fn remember(&mut self, key: &SessionKey, open: &OpenFinding) {
        let (now, suppress) = (open.told_at, self.suppress);
        if self.recent.len() >= MAX_RECENT {
            self.recent.retain(|_, recent| now.saturating_since(recent.opened_at) < suppress);
        }
        if self.recent.len() < MAX_RECENT || self.recent.contains_key(key) {
            self.recent.insert(key.clone(), open.clone());
        }
    }
}

/// The same for the same host, application, destination, analytic and day.
fn finding_id(key: &SessionKey, at: Timestamp) -> FindingId {
    let day = Date::of(at).to_string();
    let digest = key.digest(&[Analytic::An0146.id().as_bytes(), day.as_bytes()]);
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let digits = digest.iter().take(16).flat_map(|&byte| [digit(byte >> 4), digit(byte & 0x0f)]);
    FindingId(digits.collect::<String>().into())
}

/// A finding is told again when its score has risen by this much.
const TELL_AGAIN_BITS: f64 = 2.0;

/// Findings remembered for the suppression time: more than anyone reads in a day.
const MAX_RECENT: usize = 65_536;
