//! The life of findings: opened, updated, escalated, closed, and not opened twice a day. Knows no
//! sessions beyond their summary, and no terms of a score.

use std::time::Duration;

use dwell_attribution::{Date, Judgement};
use dwell_packet::Timestamp;
use hashbrown::HashMap;

use crate::an0146::Score;
use crate::session::SessionKey;
use crate::tracker::OpenFinding;
use crate::{
    Analytic, DetectConfig, Finding, FindingId, Level, LevelThresholds, Life, SessionSummary,
};

/// Decides what is told of findings.
#[derive(Debug)]
pub(crate) struct Lives {
    levels: LevelThresholds,
    open_from: Level,
    suppress: Duration,
    /// Findings opened within the suppression time, by what they are of.
    recent: HashMap<SessionKey, Recent, foldhash::fast::RandomState>,
}

#[derive(Debug)]
struct Recent {
    id: FindingId,
    opened_at: Timestamp,
    /// As last told.
    level: Level,
    score_bits: f64,
}

/// What is told of a judgement.
#[derive(Debug)]
pub(crate) enum Told {
    Event(Box<Finding>),
    /// Nothing, because the same was told within the suppression time.
    Repeated,
    Nothing,
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

    /// A finding as a judgement would have it, not told yet.
    pub(crate) fn finding(&self, now: Timestamp, fresh: Fresh<'_>) -> Finding {
        let Fresh { key, session, judgement, score, sentence } = fresh;
        let analytic = Analytic::An0146;
        let day = Date::of(now).to_string();
        let digest = key.digest(&[analytic.id().as_bytes(), day.as_bytes()]);
        Finding {
            id: FindingId(hex(digest.get(..16).unwrap_or_default()).into()),
            life: Life::Opened,
            at: now,
            opened_at: now,
            analytic,
            level: session.level.unwrap_or(Level::Watch),
            score_bits: score.bits,
            parts: score.parts,
            provisional: true,
            judgement,
            reasons: score.reasons,
            sentence,
            session,
        }
    }

    /// What becomes of a session's finding when it has been judged again.
    pub(crate) fn follow(
        &mut self,
        key: &SessionKey,
        open: &mut Option<Box<OpenFinding>>,
        level: Option<Level>,
        mut fresh: Finding,
    ) -> Told {
        if let Some(open) = open {
            fresh.id = open.id.clone();
            fresh.opened_at = open.opened_at;
            return self.follow_open(key, open, level, fresh);
        }
        let Some(level) = level.filter(|&level| level >= self.open_from) else {
            return Told::Nothing;
        };
        let recent = self
            .recent
            .get(key)
            .filter(|recent| fresh.at.saturating_since(recent.opened_at) < self.suppress);
        // What was told today is not told again, unless it is worse now.
        let (told_level, told_bits) = recent.map_or((level, fresh.score_bits), |recent| {
            (level.max(recent.level), fresh.score_bits.max(recent.score_bits))
        });
        let told = recent.is_none_or(|recent| level > recent.level);
        if let Some(recent) = recent {
            fresh.id = recent.id.clone();
            fresh.opened_at = recent.opened_at;
            fresh.life = if told { Life::Escalated } else { Life::Updated };
        }
        *open = Some(Box::new(OpenFinding {
            id: fresh.id.clone(),
            opened_at: fresh.opened_at,
            level: told_level,
            score_bits: told_bits,
            told_at: fresh.at,
            last: fresh.clone(),
        }));
        if told {
            self.remember(key, &fresh);
        }
        if told { Told::Event(Box::new(fresh)) } else { Told::Repeated }
    }

    fn follow_open(
        &mut self,
        key: &SessionKey,
        open: &mut OpenFinding,
        level: Option<Level>,
        mut fresh: Finding,
    ) -> Told {
        let level = level.unwrap_or(Level::Watch);
        let escalated = level > open.level;
        let grown = fresh.score_bits >= open.score_bits + TELL_AGAIN_BITS;
        let due = fresh.at.saturating_since(open.told_at) >= self.suppress;
        fresh.life = if escalated { Life::Escalated } else { Life::Updated };
        fresh.level = level.max(open.level);
        open.last = fresh.clone();
        if !(escalated || grown || due) {
            return Told::Nothing;
        }
        open.level = fresh.level;
        open.score_bits = fresh.score_bits;
        open.told_at = fresh.at;
        self.remember(key, &fresh);
        Told::Event(Box::new(fresh))
    }

    /// The end of a finding whose session ended, or whose ground is gone.
    pub(crate) fn close(
        &self,
        open: OpenFinding,
        now: Timestamp,
        session: SessionSummary,
    ) -> Box<Finding> {
        Box::new(Finding { life: Life::Closed, at: now, session, ..open.last })
    }

    /// The last figures of a finding that is open when the run ends, if they were not told yet.
    pub(crate) fn last_word(
        &self,
        open: OpenFinding,
        now: Timestamp,
        session: SessionSummary,
    ) -> Option<Box<Finding>> {
        let untold = open.last.at > open.told_at;
        untold.then(|| Box::new(Finding { life: Life::Updated, at: now, session, ..open.last }))
    }

    fn remember(&mut self, key: &SessionKey, finding: &Finding) {
        let (now, suppress) = (finding.at, self.suppress);
        if self.recent.len() >= MAX_RECENT {
            self.recent.retain(|_, recent| now.saturating_since(recent.opened_at) < suppress);
        }
        if self.recent.len() < MAX_RECENT || self.recent.contains_key(key) {
            let Finding { opened_at, level, score_bits, .. } = *finding;
            let recent = Recent { id: finding.id.clone(), opened_at, level, score_bits };
            self.recent.insert(key.clone(), recent);
        }
    }
}

/// A judgement that may become a finding.
#[derive(Debug)]
pub(crate) struct Fresh<'a> {
    pub(crate) key: &'a SessionKey,
    pub(crate) session: SessionSummary,
    pub(crate) judgement: Judgement,
    pub(crate) score: Score,
    pub(crate) sentence: String,
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

/// A finding is told again when its score has risen by this much.
const TELL_AGAIN_BITS: f64 = 2.0;

/// Findings remembered for the suppression time: more than anyone reads in a day.
const MAX_RECENT: usize = 65_536;
