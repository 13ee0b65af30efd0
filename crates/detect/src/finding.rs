//! What a person is told: findings with their life, level and reasons.

use std::fmt;
use std::sync::Arc;

use dwell_attribution::Judgement;
use dwell_packet::Timestamp;

use crate::{Analytic, SessionSummary};

/// One match of one analytic, as it stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The same for the same host, application, destination, analytic and day.
    pub id: FindingId,
    /// The first finding within a day or so of the same program on the same host, or of the same
    /// destination on any: what may be one campaign. Its own identity where it is alone.
    pub group: FindingId,
    /// What happened to it now.
    pub life: Life,
    /// When that happened.
    pub at: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Which analytic.
    pub analytic: Analytic,
    /// How urgent it is.
    pub level: Level,
    /// Score in bits: the sum of the parts.
    pub score_bits: f64,
    /// How much each part weighs.
    pub parts: Parts,
    /// Whether it was judged without a stored baseline.
    pub provisional: bool,
    /// What the policy says.
    pub judgement: Judgement,
    /// Why, the heaviest first.
    pub reasons: Vec<Reason>,
    /// One plain sentence. Printable.
    pub sentence: String,
    /// The session.
    pub session: SessionSummary,
}

/// How much each part of a finding weighs, in bits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts {
    /// The application is not expected there.
    pub unexpected: f64,
    /// The session lasts longer than it should.
    pub long_lived: f64,
    /// Its pattern in time is not that of what it claims to be.
    pub irregular: f64,
    /// It sends much and receives little.
    pub outbound: f64,
}

impl Parts {
    /// How much a part weighs, in bits.
    #[must_use]
    pub const fn of(&self, part: Part) -> f64 {
        match part {
            Part::Unexpected => self.unexpected,
            Part::LongLived => self.long_lived,
            Part::Irregular => self.irregular,
            Part::Outbound => self.outbound,
        }
    }
}

/// One of the parts of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The application is not expected there.
    Unexpected,
    /// The session lasts longer than it should.
    LongLived,
    /// Its pattern in time is not that of what it claims to be.
    Irregular,
    /// It sends much and receives little.
    Outbound,
}

impl Part {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unexpected => "unexpected",
            Self::LongLived => "long_lived",
            Self::Irregular => "irregular",
            Self::Outbound => "outbound",
        }
    }
}

/// One reason of a finding: a measurement, what was expected, and its weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// What was measured.
    pub feature: &'static str,
    /// Which part of the finding it counts for.
    pub part: Part,
    /// The measurement; its unit is in `text`.
    pub value: f64,
    /// What would have been usual, where that is known.
    pub expected: Option<f64>,
    /// What it adds to the score, in bits; zero for what is only said.
    pub weight_bits: f64,
    /// The same in words. Printable.
    pub text: String,
}

/// How urgent a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Worth a look when there is time.
    Watch,
    /// Worth a look today.
    Alert,
    /// Worth a look now.
    High,
}

impl Level {
    /// The name in records and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Alert => "alert",
            Self::High => "high",
        }
    }
}

/// What happened to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// It is new.
    Opened,
    /// Its figures changed.
    Updated,
    /// Its level rose.
    Escalated,
    /// Its session ended, or an exception or a better attribution took its ground away.
    Closed,
}

impl Life {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Escalated => "escalated",
            Self::Closed => "closed",
        }
    }
}

/// A finding's identity: 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FindingId(pub(crate) Arc<str>);

impl FindingId {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
