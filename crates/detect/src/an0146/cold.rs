//! The terms of a session without a baseline: how rare a long session to a rare place is for each
//! kind of application, by a catalogue, and what other hosts of the capture do.

use std::time::Duration;

use dwell_attribution::{Category, Outcome, Unexpected, Verdict};

use super::{Case, Feature, Term, term};
use crate::baseline::{DestinationClass, Peers};

/// Terms of the first two parts.
pub(super) fn terms(case: &Case<'_>, terms: &mut Vec<Term>) {
    unexpected(case, terms);
    long_lived(case, terms);
}

/// Terms of the first part: the application, and where it goes.
fn unexpected(case: &Case<'_>, terms: &mut Vec<Term>) {
    let kind = kind_bits(case);
    terms.push(term(Feature::Application, kind, kind));
    terms.extend(policy_bits(case, kind).map(|bits| term(Feature::Policy, bits, bits)));
    let class_bits = match case.peers.class {
        DestinationClass::Rare | DestinationClass::Several => 0.0,
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
}

/// How rare a long session to a rare place is for this kind of application, in bits.
fn kind_bits(case: &Case<'_>) -> f64 {
    let attribution = case.session.attribution();
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
    if session.attribution().long_lived_normal == Some(true) {
        bits *= 0.5;
    }
    let wanted = case.config.session_duration(session.application_name());
    let expecting = |feature, expected: Duration, bits| Term {
        expected: Some(expected.as_secs_f64()),
        ..term(feature, held, bits)
    };
    terms.push(expecting(Feature::SessionDuration, wanted, bits));
    if let Some(longest) = case.peers.longest_elsewhere {
        terms.push(expecting(Feature::PeerDuration, longest, peer_bits(case, longest)));
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

const UNKNOWN_KIND_BITS: f64 = 6.0;

/// An expected application weighs no more than this, whatever its kind.
const EXPECTED_KIND_BITS: f64 = 2.0;
const EXPECTED_STACK_BITS: f64 = -1.5;

/// The destination that an application is for: at least this many other hosts agree.
pub(super) const HOME_HOSTS: u32 = 3;
pub(super) const HOME_BITS: f64 = -3.0;

/// Duration at which the weight starts, and its most (eight hours): beyond, it would reward the
/// longest push and agent sessions.
const REFERENCE_DURATION: Duration = Duration::from_secs(30 * 60);
const MAX_DURATION_BITS: f64 = 2.0;

/// Other hosts that must have the application before their durations weigh.
const PEER_HOSTS: u32 = 3;
const PEER_RATIO: u32 = 4;
const PEER_BITS: f64 = 0.5;
