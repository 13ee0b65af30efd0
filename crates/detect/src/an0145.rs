//! AN0145: applications that a host never had before send much and are hardly answered.

use crate::outbound::{is_listed, may_be_judged, ratio, volume, who};
use crate::score::{Case, Feature, Score, Term, term};

/// The score of a session, or `None` if it may not be judged: as for AN0144, and on a host that is
/// known for less than 20 hours, or in a fleet known for less than a day, nothing can be said to be
/// unseen. What the host has run for a day, or `UserProcessBaseline` names, is seen.
pub(crate) fn score(case: &Case<'_>) -> Option<Score> {
    let settings = &case.config.unseen;
    let least = settings.min_bytes_out;
    case.peers.expected?;
    let debut = case.peers.debut?;
    let ratio = ratio(case.session);
    if !settings.enabled
        || !may_be_judged(case, least, &settings.platforms)
        || ratio * settings.max_response_share < 1.0
        || is_listed(case.session.attribution(), &settings.user_process_baseline)
    {
        return None;
    }
    let mut terms = Vec::with_capacity(MAX_TERMS);
    let others = f64::from(case.peers.with_application);
    let share = (others + 0.5) / (f64::from(case.peers.hosts) + 1.0);
    let bits = (-share.log2() - COMMON_BITS).clamp(-2.0, MAX_NOVELTY_BITS);
    let age = Some(debut.as_secs_f64());
    terms.push(Term { expected: age, ..term(Feature::Novelty, others, bits) });
    who(case, &mut terms);
    let usual = settings.max_response_share.max(f64::MIN_POSITIVE);
    let octaves = (ratio * usual).log2();
    let bits = BASE_BITS + (RESPONSE_WEIGHT * octaves).clamp(0.0, MAX_RESPONSE_BITS);
    let response = 1.0 / ratio.max(f64::MIN_POSITIVE);
    terms.push(Term { expected: Some(usual), ..term(Feature::LowResponse, response, bits) });
    terms.push(volume(case.session, least));
    Some(Score::of(terms, false))
}

/// Each feature once at most.
const MAX_TERMS: usize = 9;

/// One host in four with the application: an installation on its way through the fleet, which
/// weighs nothing. Nobody else in a hundred hosts weighs the most.
const COMMON_BITS: f64 = 2.0;
const MAX_NOVELTY_BITS: f64 = 2.5;

const BASE_BITS: f64 = 1.0;
const RESPONSE_WEIGHT: f64 = 0.5;
const MAX_RESPONSE_BITS: f64 = 2.0;
