//! The terms of a session with a baseline: how often other hosts' days have had such a session.

use dwell_attribution::{Unexpected, Verdict};

use super::cold::{HOME_BITS, HOME_HOSTS};
use super::{Case, Feature, Term, term};
use crate::baseline::{Arrival, DestinationClass, Expected, Kind};

/// Terms of the first two parts, and how unlike other hosts' its shape is.
pub(super) fn terms(case: &Case<'_>, expected: &Expected, terms: &mut Vec<Term>) {
    let peers = case.peers;
    let usual = Some(f64::from(expected.host_days));
    let bits = prevalence_bits(case, expected);
    let such = f64::from(expected.such);
    terms.push(Term { expected: usual, ..term(Feature::SessionPrevalence, such, bits) });
    terms.extend(policy_bits(case).map(|bits| term(Feature::Policy, bits, bits)));
    let others = f64::from(peers.with_destination.unwrap_or(0));
    let bits = context_bits(expected.arrival, peers.class);
    terms.push(term(Feature::DestinationPrevalence, others, bits));
    if peers.with_application >= HOME_HOSTS
        && peers.with_pair.saturating_mul(2) >= peers.with_application
    {
        let share = f64::from(peers.with_pair) / f64::from(peers.with_application);
        terms.push(term(Feature::HomeDestination, share, HOME_BITS));
    }
    let propensity = propensity_bits(case, expected);
    terms.push(term(Feature::Propensity, propensity, PROPENSITY_WEIGHT * propensity));
    if case.session.together && case.session.addresses >= FAN_OUT_FROM {
        let destinations = f64::from(case.session.addresses);
        terms.push(term(Feature::FanOut, destinations, FAN_OUT_BITS));
    }
    durations(case, expected, terms);
    if expected.kind == Kind::Browser && expected.arrival.is_fresh() {
        let session = case.session;
        let all = f64::from(session.attended.saturating_add(session.unattended)).max(1.0);
        let share = f64::from(session.unattended) / all;
        let bits = if all >= ATTENDANCE_FROM { unattended_bits(share) } else { 0.0 };
        terms.push(Term { expected: Some(all), ..term(Feature::Unattended, share, bits) });
    }
    if let Some(deviation) = expected.deviation {
        let bits = DEVIATION_WEIGHT * deviation.bits.clamp(0.0, 4.0);
        let usual = Some(deviation.expected);
        terms
            .push(Term { expected: usual, ..term(Feature::ShapeDeviation, deviation.value, bits) });
    }
}

/// What it says that a browser's session goes on while nobody browses: a page is read by somebody.
/// The first and last quarter of an hour are often cut short, hence the share that says nothing.
fn unattended_bits(share: f64) -> f64 {
    let beyond = share - USUALLY_UNATTENDED;
    if beyond < 0.0 {
        beyond / USUALLY_UNATTENDED
    } else {
        (beyond / (CLEARLY_UNATTENDED - USUALLY_UNATTENDED)).min(1.0)
    }
}

/// How rare such a session is on other hosts: minus the logarithm of the share of their days that
/// had one at least as long, of the same application, to a place as rare and as new. The kind's
/// share is blended in as [`BLEND_DAYS`] days, and is all there is of an unknown application: a
/// fingerprint that nobody has seen is judged by how often any such one does this.
fn prevalence_bits(case: &Case<'_>, expected: &Expected) -> f64 {
    let of_kind =
        (f64::from(expected.kind_such) + 0.5) / (f64::from(expected.kind_host_days) + 1.0);
    let rate = match expected.kind {
        Kind::Unknown => of_kind,
        Kind::Browser | Kind::Library | Kind::Known => {
            (f64::from(expected.such) + BLEND_DAYS * of_kind.min(1.0))
                / (f64::from(expected.host_days) + BLEND_DAYS)
        }
    };
    let mut bits = -rate.min(1.0).log2();
    let peers = case.peers;
    if !case.session.together {
        let pair = (f64::from(peers.with_pair) + 0.5) / (f64::from(peers.hosts) + 2.0);
        bits = bits.min(2.0 - pair.log2());
    }
    bits.clamp(0.0, MAX_PREVALENCE_BITS)
}

/// What a place that others have, or that the host has had for long, takes away.
const fn context_bits(arrival: Arrival, class: DestinationClass) -> f64 {
    match (arrival, class) {
        (Arrival::New, DestinationClass::Rare | DestinationClass::Several) => 0.0,
        (Arrival::New, DestinationClass::Uncommon) => -1.0,
        (Arrival::New, DestinationClass::Common) => -1.5,
        (Arrival::Recent, DestinationClass::Rare | DestinationClass::Several) => -2.0,
        (Arrival::Recent, DestinationClass::Uncommon) => -3.0,
        (Arrival::Recent, DestinationClass::Common) => -4.0,
        (Arrival::Established, DestinationClass::Rare | DestinationClass::Several) => -4.0,
        (Arrival::Established, DestinationClass::Uncommon) => -5.0,
        (Arrival::Established, DestinationClass::Common) => -6.0,
    }
}

/// How seldom the application goes where no other host's copy goes.
fn propensity_bits(case: &Case<'_>, expected: &Expected) -> f64 {
    let lone = (f64::from(expected.lone_pairs) + 1.0) / (f64::from(expected.pairs) + 2.0);
    let mut bits = -lone.log2();
    let peers = case.peers;
    if peers.with_pair > 0 {
        let share = (f64::from(peers.with_pair) + 0.5) / (f64::from(peers.with_application) + 1.0);
        bits = bits.min(-share.log2());
    }
    bits.clamp(0.0, 6.0)
}

fn durations(case: &Case<'_>, expected: &Expected, terms: &mut Vec<Term>) {
    let held = case.session.effective;
    let said = |feature, usual: f64, bits| Term {
        expected: Some(usual),
        ..term(feature, held.as_secs_f64(), bits)
    };
    let wanted = case.config.session_duration(case.session.application_name());
    terms.push(said(Feature::SessionDuration, wanted.as_secs_f64(), 0.0));
    let bits = USER_WEIGHT * expected.user.deviation(held).clamp(0.0, 3.0);
    terms.push(said(Feature::UserDuration, expected.user.expected().as_secs_f64(), bits));
    if let Some(longest) = case.peers.longest_elsewhere {
        terms.push(said(Feature::PeerDuration, longest.as_secs_f64(), 0.0));
    }
}

/// What the policy adds to what others do, or takes from it. By judgement, not measured: what a
/// site forbids is worth a look at a third of the usual evidence, what it expects at half more.
const fn policy_bits(case: &Case<'_>) -> Option<f64> {
    match case.judgement.verdict {
        Verdict::Expected => Some(-1.5),
        Verdict::ExpectedStack => Some(-0.5),
        Verdict::Unexpected(Unexpected::NotListed) => Some(1.0),
        Verdict::Unexpected(Unexpected::Never) => Some(2.5),
        Verdict::Contradictory => Some(2.0),
        _ => None,
    }
}

/// Days of the kind's evidence that an application's own is blended with.
const BLEND_DAYS: f64 = 60.0;

/// Above nine bits (one day in 512) the counts are too small to tell apart.
const MAX_PREVALENCE_BITS: f64 = 9.0;

/// Weights set by hand on the open scenario families and rounded.
const PROPENSITY_WEIGHT: f64 = 0.3;
const USER_WEIGHT: f64 = 0.3;
const DEVIATION_WEIGHT: f64 = 0.5;

/// Quarters of an hour with payload from which on it counts whether somebody browsed in them.
const ATTENDANCE_FROM: f64 = 5.0;
const USUALLY_UNATTENDED: f64 = 0.06;
const CLEARLY_UNATTENDED: f64 = 0.25;

/// Rare destinations together from which on they are a fan.
const FAN_OUT_FROM: u32 = 4;
const FAN_OUT_BITS: f64 = 0.25;
