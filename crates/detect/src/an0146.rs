//! AN0146: unexpected applications that hold long-lived, irregular HTTP(S) sessions.
//!
//! A score in bits, the sum of named terms in three parts, judged without a stored baseline: by a
//! catalogue of how common long sessions to rare places are for each kind of application, by policy,
//! by what other hosts of the capture do, and by the session's own shape. It knows no words, no life
//! of findings, and keeps nothing.

use std::time::Duration;

use dwell_attribution::{Category, Judgement, Outcome, Unexpected, Verdict};

use crate::prevalence::{DestinationClass, Peers};
use crate::{DetectConfig, NameLookup, Part, Parts, SessionSummary};

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) config: &'a DetectConfig,
    pub(crate) session: &'a SessionSummary,
    pub(crate) judgement: &'a Judgement,
    pub(crate) peers: &'a Peers,
}

/// A score and the terms that it is the sum of.
#[derive(Clone, Debug)]
pub(crate) struct Score {
    pub(crate) bits: f64,
    pub(crate) parts: Parts,
    pub(crate) terms: Vec<Term>,
}

/// One measurement and its weight; zero for what is only said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) feature: Feature,
    pub(crate) value: f64,
    pub(crate) expected: Option<f64>,
    pub(crate) bits: f64,
}

/// What a term measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    Application,
    Policy,
    DestinationPrevalence,
    HomeDestination,
    NameLookup,
    SessionDuration,
    PeerDuration,
    OwnDuration,
    Coverage,
    TimerDriven,
    HeavyTailed,
    GapSpread,
    ReversedInteraction,
    CommandResponse,
    UploadShare,
}

impl Feature {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Policy => "policy",
            Self::DestinationPrevalence => "destination_prevalence",
            Self::HomeDestination => "home_destination",
            Self::NameLookup => "name_lookup",
            Self::SessionDuration => "session_duration",
            Self::PeerDuration => "peer_duration",
            Self::OwnDuration => "own_duration",
            Self::Coverage => "coverage",
            Self::TimerDriven => "timer_driven",
            Self::HeavyTailed => "heavy_tailed",
            Self::GapSpread => "gap_spread",
            Self::ReversedInteraction => "reversed_interaction",
            Self::CommandResponse => "command_response",
            Self::UploadShare => "upload_share",
        }
    }

    pub(crate) const fn part(self) -> Part {
        match self {
            Self::Application
            | Self::Policy
            | Self::DestinationPrevalence
            | Self::HomeDestination
            | Self::NameLookup => Part::Unexpected,
            Self::SessionDuration | Self::PeerDuration | Self::OwnDuration => Part::LongLived,
            Self::Coverage
            | Self::TimerDriven
            | Self::HeavyTailed
            | Self::GapSpread
            | Self::ReversedInteraction
            | Self::CommandResponse
            | Self::UploadShare => Part::Irregular,
        }
    }
}

/// The score of a session, or `None` if it may not be judged: too short, too few bursts, not
/// attributed, excepted, on a platform that is not asked for.
pub(crate) fn score(case: &Case<'_>) -> Option<Score> {
    if !may_be_judged(case) {
        return None;
    }
    let mut terms = Vec::with_capacity(MAX_TERMS);
    unexpected(case, &mut terms);
    long_lived(case, &mut terms);
    irregular(case, &mut terms);
    let sum = |part: Part| -> f64 {
        terms.iter().filter(|term| term.feature.part() == part).map(|term| term.bits).sum()
    };
    let parts = Parts {
        unexpected: sum(Part::Unexpected),
        long_lived: sum(Part::LongLived),
        irregular: sum(Part::Irregular),
    };
    let bits = parts.unexpected + parts.long_lived + parts.irregular;
    Some(Score { bits, parts, terms })
}

fn may_be_judged(case: &Case<'_>) -> bool {
    let Case { config, session, judgement, .. } = case;
    let wanted = config.session_duration(&session.attribution.application);
    let os = session.host.os;
    let platform = config.platforms.is_empty()
        || os.is_none_or(|guess| config.platforms.iter().any(|&os| guess.allows(os)));
    platform
        && session.effective >= wanted
        && session.shape.bursts >= config.min_bursts
        && session.attribution.outcome != Outcome::Unattributed
        && judgement.verdict != Verdict::Excepted
}

/// Terms of the first part: the application, and where it goes.
fn unexpected(case: &Case<'_>, terms: &mut Vec<Term>) {
    let kind = kind_bits(case);
    terms.push(term(Feature::Application, kind, kind));
    terms.extend(policy_bits(case, kind).map(|bits| term(Feature::Policy, bits, bits)));
    let class_bits = match case.peers.class() {
        DestinationClass::Rare => 0.0,
        DestinationClass::Uncommon => -1.0,
        DestinationClass::Common => -1.5,
    };
    let others = f64::from(case.peers.with_destination.unwrap_or(0));
    terms.push(term(Feature::DestinationPrevalence, others, class_bits));
    let Peers { with_application, with_pair, .. } = *case.peers;
    if with_application >= HOME_HOSTS && with_pair.saturating_mul(2) >= with_application {
        let share = f64::from(with_pair) / f64::from(with_application);
        terms.push(term(Feature::HomeDestination, share, HOME_BITS));
    }
    let nameless = case.session.destination.name.is_none();
    if nameless && case.session.lookup == NameLookup::Absent {
        terms.push(term(Feature::NameLookup, 1.0, NO_LOOKUP_BITS));
    }
}

/// How rare a long session to a rare place is for this kind of application, in bits.
fn kind_bits(case: &Case<'_>) -> f64 {
    let attribution = &case.session.attribution;
    match (attribution.outcome, attribution.category) {
        (Outcome::Unattributed, _) => 2.0,
        (Outcome::Unknown, _) => UNKNOWN_KIND_BITS,
        (_, Category::Library) => 5.5,
        (_, Category::Product | Category::System | Category::Unknown) => 3.0,
        (_, Category::Browser) => 2.5,
    }
}

/// What the policy adds or takes.
fn policy_bits(case: &Case<'_>, kind: f64) -> Option<f64> {
    match case.judgement.verdict {
        Verdict::Expected => Some((EXPECTED_KIND_BITS - kind).min(0.0)),
        Verdict::ExpectedStack => Some(EXPECTED_STACK_BITS),
        Verdict::Unexpected(Unexpected::NotListed) => Some(to_unknown(kind)),
        Verdict::Unexpected(Unexpected::Never) | Verdict::Contradictory => {
            Some(to_unknown(kind) + 1.0)
        }
        _ => None,
    }
}

/// What lifts an application of this kind to the weight of an unknown one.
fn to_unknown(kind: f64) -> f64 {
    (UNKNOWN_KIND_BITS - kind).max(0.0)
}

/// Terms of the second part: how long.
fn long_lived(case: &Case<'_>, terms: &mut Vec<Term>) {
    let session = case.session;
    let held = session.effective.as_secs_f64();
    let octaves = (held / REFERENCE_DURATION.as_secs_f64()).log2();
    let mut bits = (0.5 * octaves).clamp(0.0, MAX_DURATION_BITS);
    if session.attribution.long_lived_normal == Some(true) {
        bits *= 0.5;
    }
    let wanted = case.config.session_duration(&session.attribution.application);
    let expecting = |feature, expected: Duration, bits| Term {
        expected: Some(expected.as_secs_f64()),
        ..term(feature, held, bits)
    };
    terms.push(expecting(Feature::SessionDuration, wanted, bits));
    if let Some(longest) = case.peers.longest_elsewhere {
        terms.push(expecting(Feature::PeerDuration, longest, peer_bits(case, longest)));
    }
    if let Some((longest, _)) = &case.peers.longest_here {
        terms.push(expecting(Feature::OwnDuration, *longest, 0.0));
    }
}

/// The session against the longest that the application holds on other hosts.
fn peer_bits(case: &Case<'_>, longest: Duration) -> f64 {
    let held = case.session.effective;
    if case.peers.with_application < PEER_HOSTS {
        0.0
    } else if held >= longest.saturating_mul(PEER_RATIO) {
        PEER_BITS
    } else if longest >= held {
        -PEER_BITS
    } else {
        0.0
    }
}

/// Terms of the third part: the pattern in time and bytes.
fn irregular(case: &Case<'_>, terms: &mut Vec<Term>) {
    let shape = &case.session.shape;
    if case.session.duration >= COVERAGE_FROM {
        let bits = COVERAGE_BITS * shape.coverage;
        terms.push(term(Feature::Coverage, shape.coverage, bits));
    }
    if shape.bursts >= GAPS_FROM_BURSTS {
        terms.push(gap_term(shape.sd_ln_gap));
    }
    let often = (f64::from(shape.reversed_bursts) / 8.0).min(1.0);
    let much = (shape.reversed_bytes_share / 0.3).min(1.0);
    let reversed = f64::from(shape.reversed_bursts);
    let coupling = (shape.coupling_bits / 4.0).clamp(0.0, 1.0);
    let sent = case.session.up_bytes as f64;
    let upload = ((shape.up_share - 0.7) / 0.25).clamp(0.0, 1.0)
        * ((sent + 1.0).log10() - 4.5).clamp(0.0, 1.0);
    let further = [
        term(Feature::ReversedInteraction, reversed, REVERSE_BITS * often * much),
        term(Feature::CommandResponse, shape.coupling_bits, COUPLING_BITS * coupling),
        term(Feature::UploadShare, shape.up_share, UPLOAD_BITS * upload),
    ];
    terms.extend(further.into_iter().filter(|term| term.bits > 0.0));
}

/// Whether a timer drives the session, or activity in clusters with long silences.
fn gap_term(sd_ln_gap: f64) -> Term {
    let timer = ((TIMER_BELOW - sd_ln_gap) / 0.5).clamp(0.0, 1.0);
    let heavy = ((sd_ln_gap - HEAVY_ABOVE) / 0.8).clamp(0.0, 1.0);
    let (feature, bits) = if timer > 0.0 {
        (Feature::TimerDriven, TIMER_BITS * timer)
    } else if heavy > 0.0 {
        (Feature::HeavyTailed, HEAVY_BITS * heavy)
    } else {
        (Feature::GapSpread, 0.0)
    };
    Term { expected: Some(POISSON_SD_LN), ..term(feature, sd_ln_gap, bits) }
}

fn term(feature: Feature, value: f64, bits: f64) -> Term {
    Term { feature, value, expected: None, bits }
}

/// Each feature once at most.
const MAX_TERMS: usize = 15;

const UNKNOWN_KIND_BITS: f64 = 6.0;

/// An expected application weighs no more than this, whatever its kind.
const EXPECTED_KIND_BITS: f64 = 2.0;
const EXPECTED_STACK_BITS: f64 = -1.5;

/// The destination that an application is for: at least this many other hosts agree.
const HOME_HOSTS: u32 = 3;
const HOME_BITS: f64 = -3.0;

const NO_LOOKUP_BITS: f64 = 1.5;

/// Duration at which the weight starts, and its most (eight hours): beyond, it would reward the
/// longest push and agent sessions.
const REFERENCE_DURATION: Duration = Duration::from_secs(30 * 60);
const MAX_DURATION_BITS: f64 = 2.0;

/// Other hosts that must have the application before their durations weigh.
const PEER_HOSTS: u32 = 3;
const PEER_RATIO: u32 = 4;
const PEER_BITS: f64 = 0.5;

/// Shorter sessions fill their few slots anyway.
const COVERAGE_FROM: Duration = Duration::from_secs(3600);
const COVERAGE_BITS: f64 = 1.0;

/// Below, the spread of gaps is chance.
const GAPS_FROM_BURSTS: u32 = 16;
const TIMER_BELOW: f64 = 0.75;
const TIMER_BITS: f64 = 0.75;
const HEAVY_ABOVE: f64 = 1.5;
const HEAVY_BITS: f64 = 0.5;

/// Standard deviation of the logarithm of an exponential variable: pi over the root of six.
const POISSON_SD_LN: f64 = 1.283;

/// Weights set by hand on open scenario families and rounded; halving or raising them by half
/// moves recall by .03 at most.
const REVERSE_BITS: f64 = 1.5;
const COUPLING_BITS: f64 = 0.5;
const UPLOAD_BITS: f64 = 0.5;
