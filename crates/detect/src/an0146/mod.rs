//! AN0146: unexpected applications that hold long-lived, irregular HTTP(S) sessions.
//!
//! A score in bits, the sum of named terms in three parts. With a baseline, what other hosts do is
//! what is expected (`warm`); without one, a catalogue stands in for it (`cold`); policy and the
//! session's own shape count in either. It knows no words, no life of findings, and keeps nothing.

mod cold;
mod warm;

use std::time::Duration;

use dwell_attribution::{Outcome, Verdict};

use crate::NameLookup;
use crate::score::{Case, Feature, Score, Term, term};

/// The score of a session, or `None` if it may not be judged: too short, too few bursts, not
/// attributed, excepted, on a platform that is not asked for.
pub(crate) fn score(case: &Case<'_>) -> Option<Score> {
    if !may_be_judged(case) {
        return None;
    }
    let mut terms = Vec::with_capacity(MAX_TERMS);
    let provisional = match &case.peers.expected {
        Some(expected) => {
            warm::terms(case, expected, &mut terms);
            false
        }
        None if case.session.together => return None,
        None => {
            cold::terms(case, &mut terms);
            true
        }
    };
    no_lookup(case, &mut terms);
    durations(case, &mut terms);
    irregular(case, &mut terms);
    Some(Score::of(terms, provisional))
}

fn may_be_judged(case: &Case<'_>) -> bool {
    let Case { config, session, judgement, .. } = case;
    let wanted = config.session_duration(session.application_name());
    let platform = config.asks_for(&config.platforms, session.host());
    platform
        && session.effective >= wanted
        && session.shape.bursts >= config.min_bursts
        && session.attribution().outcome != Outcome::Unattributed
        && (!session.together || session.addresses >= SEVERAL)
        && judgement.verdict != Verdict::Excepted
}

/// An address that nobody looked up, and a hello that names no host.
pub(crate) fn no_lookup(case: &Case<'_>, terms: &mut Vec<Term>) {
    let nameless = case.session.destination().name.is_none();
    if nameless && case.session.lookup == NameLookup::Absent {
        terms.push(term(Feature::NameLookup, 1.0, NO_LOOKUP_BITS));
    }
}

/// Durations that are said and weigh nothing.
fn durations(case: &Case<'_>, terms: &mut Vec<Term>) {
    let held = case.session.effective.as_secs_f64();
    if let Some((longest, _)) = &case.peers.longest_here {
        let expected = Some(longest.as_secs_f64());
        terms.push(Term { expected, ..term(Feature::OwnDuration, held, 0.0) });
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
    let bulk = ((shape.mean_ln_down - BULK_FROM_LN) / 1.0).clamp(0.0, 1.0)
        * ((BULK_UP_SHARE - shape.up_share) / BULK_UP_SHARE).clamp(0.0, 1.0);
    if bulk > 0.0 {
        terms.push(term(Feature::BulkDelivery, shape.mean_ln_down.exp(), BULK_BITS * bulk));
    }
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

/// Each feature once at most.
const MAX_TERMS: usize = 20;

/// Rare destinations of one application that are judged together from this many on.
pub(crate) const SEVERAL: u32 = 3;

const NO_LOOKUP_BITS: f64 = 1.5;

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

/// A hundred kilobytes at a time and next to nothing sent: films and downloads.
const BULK_FROM_LN: f64 = 11.5;
const BULK_UP_SHARE: f64 = 0.03;
const BULK_BITS: f64 = -2.5;
