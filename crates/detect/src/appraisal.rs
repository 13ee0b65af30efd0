//! What a session comes to, and the finding that this makes. It decides nothing.

use dwell_attribution::Judgement;
use dwell_packet::Timestamp;

use crate::baseline::Peers;
use crate::explain;
use crate::lives::OpenFinding;
use crate::score::{Case, Score};
use crate::session::Assessed;
use crate::view::View;
use crate::{Analytic, DetectConfig, Finding, Level, Life, SessionSummary};

/// A session with everything that was said of it.
#[derive(Debug)]
pub(crate) struct Appraisal {
    pub(crate) analytic: Analytic,
    pub(crate) view: View,
    pub(crate) judgement: Judgement,
    pub(crate) peers: Peers,
    /// `None` if the session may not be judged.
    pub(crate) score: Option<Score>,
    pub(crate) level: Option<Level>,
}

impl Appraisal {
    /// What the session keeps of it.
    pub(crate) fn assessed(&self) -> Assessed {
        let bits = self.score.as_ref().map_or(f64::NAN, |score| score.bits);
        Assessed {
            verdict: self.judgement.verdict,
            score_bits: crate::stats::narrow(bits),
            level: self.level,
        }
    }

    /// The finding as it is told. Without a score it keeps the figures last told.
    pub(crate) fn finding(
        &self,
        config: &DetectConfig,
        (open, life): (&OpenFinding, Life),
        now: Timestamp,
        session: SessionSummary,
    ) -> Box<Finding> {
        let Self { analytic, view, judgement, peers, score, .. } = self;
        // What is told has the histogram's figures too, which judging went without.
        let view = View { shape: session.shape, ..view.clone() };
        let case = Case { config, session: &view, judgement, peers };
        let reasons = match score {
            Some(score) => explain::reasons(&case, score),
            None => explain::exception(&case).into_iter().collect(),
        };
        Box::new(Finding {
            id: open.id.clone(),
            group: open.group.clone(),
            life,
            at: now,
            opened_at: open.opened_at,
            analytic: *analytic,
            level: open.level,
            score_bits: score.as_ref().map_or(open.score_bits, |score| score.bits),
            parts: score.as_ref().map(|score| score.parts).unwrap_or_default(),
            provisional: peers.expected.is_none(),
            judgement: judgement.clone(),
            sentence: explain::sentence(*analytic, &case, &reasons),
            reasons,
            session,
        })
    }
}
