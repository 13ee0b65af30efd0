//! AN0144: applications that are not known for it send far more than they receive.

use crate::outbound::{is_listed, may_be_judged, ratio, volume, who};
use crate::score::{Case, Feature, Score, Term, term};

/// The score of a session, or `None` if it may not be judged: not attributed, excepted, allowed by
/// `ProcessAllowlist`, on a platform that is not asked for, too little sent, or a ratio of bytes out
/// to bytes in below `OutboundByteThreshold`.
pub(crate) fn score(case: &Case<'_>) -> Option<Score> {
    let settings = &case.config.outbound;
    let least = settings.min_bytes_out;
    let ratio = ratio(case.session);
    if !settings.enabled
        || !may_be_judged(case, least, &settings.platforms)
        || ratio < settings.outbound_byte_threshold
        || is_listed(case.session.attribution(), &settings.process_allowlist)
    {
        return None;
    }
    let mut terms = Vec::with_capacity(MAX_TERMS);
    who(case, &mut terms);
    let usual = settings.outbound_byte_threshold;
    let octaves = (ratio / usual.max(f64::MIN_POSITIVE)).log2();
    let bits = BASE_BITS + (RATIO_WEIGHT * octaves).clamp(0.0, MAX_RATIO_BITS);
    terms.push(Term { expected: Some(usual), ..term(Feature::OutboundRatio, ratio, bits) });
    terms.push(volume(case.session, least));
    Some(Score::of(terms, case.peers.expected.is_none()))
}

/// Each feature once at most.
const MAX_TERMS: usize = 8;

/// A ratio just above the threshold, and what each doubling adds: a hundred times the threshold
/// leaves nothing that answers could be.
const BASE_BITS: f64 = 1.5;
const RATIO_WEIGHT: f64 = 0.5;
const MAX_RATIO_BITS: f64 = 2.5;
