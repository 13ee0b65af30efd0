//! AN0146: unexpected applications that hold long-lived, irregular HTTP(S) sessions.
//!
//! A score in bits, the sum of named terms in three parts, judged without a stored baseline: by a
//! catalogue of how common long sessions to rare places are for each kind of application, by policy,
//! by what other hosts of the capture do, and by the session's own shape. It knows no life of
//! findings and keeps nothing.

use std::time::Duration;

use dwell_attribution::{Category, Judgement, Outcome, Unexpected, Verdict};

use crate::prevalence::{DestinationClass, Peers};
use crate::{DetectConfig, NameLookup, Part, Parts, Reason, SessionSummary, words};

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) config: &'a DetectConfig,
    pub(crate) session: &'a SessionSummary,
    pub(crate) judgement: &'a Judgement,
    pub(crate) peers: &'a Peers,
}

/// A score and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Score {
    pub(crate) bits: f64,
    pub(crate) parts: Parts,
    pub(crate) reasons: Vec<Reason>,
}

/// The score of a session, or `None` if it may not be judged: too short, too few bursts, not
/// attributed, excepted, on a platform that is not asked for.
pub(crate) fn score(case: &Case<'_>) -> Option<Score> {
    if !may_be_judged(case) {
        return None;
    }
    let mut reasons = Vec::with_capacity(16);
    unexpected(case, &mut reasons);
    long_lived(case, &mut reasons);
    irregular(case, &mut reasons);
    let sum = |part: Part| {
        reasons.iter().filter(|reason| reason.part == part).map(|reason| reason.weight_bits).sum()
    };
    let parts = Parts {
        unexpected: sum(Part::Unexpected),
        long_lived: sum(Part::LongLived),
        irregular: sum(Part::Irregular),
    };
    reasons.sort_by(|a: &Reason, b| b.weight_bits.abs().total_cmp(&a.weight_bits.abs()));
    let bits = parts.unexpected + parts.long_lived + parts.irregular;
    Some(Score { bits, parts, reasons })
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
fn unexpected(case: &Case<'_>, reasons: &mut Vec<Reason>) {
    let kind = kind_bits(case);
    reasons.push(kind_reason(case, kind));
    reasons.extend(policy_reason(case, kind));
    reasons.push(destination_reason(case));
    let Peers { with_application, with_pair, .. } = *case.peers;
    if with_application >= HOME_HOSTS && with_pair.saturating_mul(2) >= with_application {
        let text = format!(
            "{with_pair} of the {with_application} other hosts with {} use {}: it is where it belongs",
            application(case),
            destination(case)
        );
        let share = f64::from(with_pair) / f64::from(with_application);
        reasons.push(reason("home_destination", Part::Unexpected, share, HOME_BITS, text));
    }
    let nameless = case.session.destination.name.is_none();
    if nameless && case.session.lookup == NameLookup::Absent {
        let text = format!("nobody looked up {} and the hello names no host", destination(case));
        reasons.push(reason("name_lookup", Part::Unexpected, 1.0, NO_LOOKUP_BITS, text));
    }
}

/// How rare a long session to a rare place is for this kind of application, in bits.
fn kind_bits(case: &Case<'_>) -> f64 {
    let attribution = &case.session.attribution;
    match (attribution.outcome, attribution.category) {
        (Outcome::Unattributed, _) => 2.0,
        (Outcome::Unknown, _) => 6.0,
        (_, Category::Library) => 5.5,
        (_, Category::Product | Category::System | Category::Unknown) => 3.0,
        (_, Category::Browser) => 2.5,
    }
}

fn kind_reason(case: &Case<'_>, bits: f64) -> Reason {
    let attribution = &case.session.attribution;
    let name = application(case);
    let what = match (attribution.outcome, attribution.category) {
        (Outcome::Unattributed, _) => "is not attributed: its opening was not seen",
        (Outcome::Unknown, _) => "is an application that no rule knows",
        (_, Category::Library) => "is a library or tool that any program can use",
        (_, Category::Product) => "is a known product",
        (_, Category::System) => "is part of the system or its management",
        (_, Category::Unknown) => "is known, but not what it is for",
        (_, Category::Browser) => "is a browser, or shares a browser's stack",
    };
    let text = match &attribution.rule {
        Some(rule) => format!(
            "{name} {what} (rule {rule}, by {}, confidence {:.2})",
            attribution.level.name(),
            attribution.confidence
        ),
        None => format!("{name} {what}"),
    };
    reason("application", Part::Unexpected, bits, bits, text)
}

fn policy_reason(case: &Case<'_>, kind: f64) -> Option<Reason> {
    let rule = case.judgement.rule.as_deref().unwrap_or("none");
    let (bits, text) = match case.judgement.verdict {
        Verdict::Expected => {
            ((EXPECTED_KIND_BITS - kind).min(0.0), format!("the policy expects it ({rule})"))
        }
        Verdict::ExpectedStack => {
            (EXPECTED_STACK_BITS, format!("the policy expects its stack, not the program ({rule})"))
        }
        Verdict::Unexpected(Unexpected::Never) => {
            (to_unknown(kind) + 1.0, format!("the policy says never ({rule})"))
        }
        Verdict::Unexpected(Unexpected::NotListed) => {
            (to_unknown(kind), format!("the policy does not list it ({rule})"))
        }
        Verdict::Contradictory => {
            let contradictions = &case.session.attribution.contradictions;
            let all: Vec<String> = contradictions.iter().map(ToString::to_string).collect();
            (to_unknown(kind) + 1.0, format!("its evidence contradicts itself: {}", all.join("; ")))
        }
        _ => return None,
    };
    Some(reason("policy", Part::Unexpected, bits, bits, text))
}

/// What lifts an application of this kind to the weight of an unknown one.
fn to_unknown(kind: f64) -> f64 {
    (6.0 - kind).max(0.0)
}

fn destination_reason(case: &Case<'_>) -> Reason {
    let (others, hosts) = (case.peers.with_destination, case.peers.hosts);
    let bits = match case.peers.class() {
        DestinationClass::Rare => 0.0,
        DestinationClass::Uncommon => -1.0,
        DestinationClass::Common => -1.5,
    };
    let text = match others {
        Some(others) => format!(
            "{} of {hosts} seen here {} to {}",
            words::count(others, "other host"),
            if others > 1 { "talk" } else { "talks" },
            destination(case)
        ),
        None => format!("how many hosts talk to {} was not counted", destination(case)),
    };
    let value = f64::from(others.unwrap_or(0));
    reason("destination_prevalence", Part::Unexpected, value, bits, text)
}

/// Terms of the second part: how long.
fn long_lived(case: &Case<'_>, reasons: &mut Vec<Reason>) {
    let session = case.session;
    let held = session.effective;
    let octaves = (held.as_secs_f64() / REFERENCE_DURATION.as_secs_f64()).log2();
    let mut bits = (0.5 * octaves).clamp(0.0, MAX_DURATION_BITS);
    let mut text = format!(
        "held for {} over {} (longest connection {}); sessions count as long from {}",
        words::duration(held),
        words::count(session.flows, "flow"),
        words::duration(session.longest_connection),
        words::duration(case.config.session_duration(&session.attribution.application))
    );
    if session.attribution.long_lived_normal == Some(true) {
        bits *= 0.5;
        text.push_str("; long sessions are normal for this application, which halves it");
    }
    let expected = case.config.session_duration(&session.attribution.application).as_secs_f64();
    reasons.push(Reason {
        expected: Some(expected),
        ..reason("session_duration", Part::LongLived, held.as_secs_f64(), bits, text)
    });
    reasons.extend(peer_duration(case));
    if let Some((longest, elsewhere)) = &case.peers.longest_here {
        let text = format!(
            "the longest {} held any other destination on this host is {} ({elsewhere})",
            application(case),
            words::duration(*longest)
        );
        reasons.push(Reason {
            expected: Some(longest.as_secs_f64()),
            ..reason("own_duration", Part::LongLived, held.as_secs_f64(), 0.0, text)
        });
    }
}

/// The session against what the application holds on other hosts.
fn peer_duration(case: &Case<'_>) -> Option<Reason> {
    let longest = case.peers.longest_elsewhere?;
    let held = case.session.effective;
    let enough = case.peers.with_application >= PEER_HOSTS;
    let bits = if enough && held >= longest.saturating_mul(PEER_RATIO) {
        PEER_BITS
    } else if enough && longest >= held {
        -PEER_BITS
    } else {
        0.0
    };
    let text = format!(
        "the longest {} held any destination on {} is {}",
        application(case),
        words::count(case.peers.with_application, "other host"),
        words::duration(longest)
    );
    Some(Reason {
        expected: Some(longest.as_secs_f64()),
        ..reason("peer_duration", Part::LongLived, held.as_secs_f64(), bits, text)
    })
}

/// Terms of the third part: the pattern in time and bytes.
fn irregular(case: &Case<'_>, reasons: &mut Vec<Reason>) {
    reasons.extend(coverage(case));
    reasons.extend(gaps(case));
    reasons.extend(direction(case));
}

fn coverage(case: &Case<'_>) -> Option<Reason> {
    let shape = &case.session.shape;
    if case.session.duration < COVERAGE_FROM {
        return None;
    }
    let text = format!(
        "payload in {} of its ten-minute slots, {} without a break",
        words::percent(shape.coverage),
        words::count(shape.longest_run_slots, "slot")
    );
    Some(reason("coverage", Part::Irregular, shape.coverage, COVERAGE_BITS * shape.coverage, text))
}

/// Whether a timer drives it, or bursts of activity with long silences.
fn gaps(case: &Case<'_>) -> Option<Reason> {
    let shape = &case.session.shape;
    if shape.bursts < GAPS_FROM_BURSTS {
        return None;
    }
    let timer = ((TIMER_BELOW - shape.sd_ln_gap) / 0.5).clamp(0.0, 1.0);
    let heavy = ((shape.sd_ln_gap - HEAVY_ABOVE) / 0.8).clamp(0.0, 1.0);
    let (feature, bits, what) = if timer > 0.0 {
        ("timer_driven", TIMER_BITS * timer, "as a timer makes them")
    } else if heavy > 0.0 {
        ("heavy_tailed", HEAVY_BITS * heavy, "in clusters with long silences between")
    } else {
        ("gap_spread", 0.0, "neither a timer's nor clustered")
    };
    let [q1, median, q3] = shape.gap_quartiles_s;
    let text = format!(
        "silences between its {} are {what}: median {}, half of them from {} to {}, \
         standard deviation of their logarithm {:.2} (random arrivals have 1.28)",
        words::count(shape.bursts, "burst"),
        words::seconds(median),
        words::seconds(q1),
        words::seconds(q3),
        shape.sd_ln_gap
    );
    Some(Reason {
        expected: Some(POISSON_SD_LN),
        ..reason(feature, Part::Irregular, shape.sd_ln_gap, bits, text)
    })
}

/// Who leads, and which way the bytes go.
fn direction(case: &Case<'_>) -> Vec<Reason> {
    let shape = &case.session.shape;
    let mut reasons = Vec::new();
    let often = (f64::from(shape.reversed_bursts) / 8.0).min(1.0);
    let much = (shape.reversed_bytes_share / 0.3).min(1.0);
    let reversed = REVERSE_BITS * often * much;
    if reversed > 0.0 {
        let text = format!(
            "the far side speaks first and this host answers with more in {}, {} of what it sent",
            words::count(shape.reversed_bursts, "burst"),
            words::percent(shape.reversed_bytes_share)
        );
        let value = f64::from(shape.reversed_bursts);
        reasons.push(reason("reversed_interaction", Part::Irregular, value, reversed, text));
    }
    let coupling = (shape.coupling_bits / 4.0).clamp(0.0, 1.0) * COUPLING_BITS;
    if coupling > 0.0 {
        let text = "large answers are followed by large uploads, as commands by their results";
        let value = shape.coupling_bits;
        reasons.push(reason("command_response", Part::Irregular, value, coupling, text.to_owned()));
    }
    let sent = case.session.up_bytes as f64;
    let upload = ((shape.up_share - 0.7) / 0.25).clamp(0.0, 1.0)
        * ((sent + 1.0).log10() - 4.5).clamp(0.0, 1.0)
        * UPLOAD_BITS;
    if upload > 0.0 {
        let text = format!("{} of the bytes go out", words::percent(shape.up_share));
        reasons.push(reason("upload_share", Part::Irregular, shape.up_share, upload, text));
    }
    reasons
}

/// One plain sentence: who has held what for how long, and the heaviest reason of each part.
pub(crate) fn sentence(case: &Case<'_>, score: &Score) -> String {
    let mut text = format!(
        "{} on {} has held {} for {}",
        application(case),
        case.session.host.label(),
        destination(case),
        words::duration(case.session.effective)
    );
    let mut separator = ": ";
    for part in [Part::Unexpected, Part::LongLived, Part::Irregular] {
        let heaviest = score
            .reasons
            .iter()
            .filter(|reason| reason.part == part && reason.feature != "session_duration")
            .max_by(|a, b| a.weight_bits.total_cmp(&b.weight_bits));
        if let Some(reason) = heaviest {
            text.push_str(separator);
            text.push_str(&reason.text);
            separator = "; ";
        }
    }
    text
}

fn application<'a>(case: &Case<'a>) -> &'a str {
    &case.session.attribution.application
}

fn destination<'a>(case: &Case<'a>) -> &'a str {
    &case.session.destination.group
}

fn reason(feature: &'static str, part: Part, value: f64, bits: f64, text: String) -> Reason {
    Reason { feature, part, value, expected: None, weight_bits: bits, text }
}

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

const COVERAGE_FROM: Duration = Duration::from_secs(3600);
const COVERAGE_BITS: f64 = 1.0;

const GAPS_FROM_BURSTS: u32 = 16;
const TIMER_BELOW: f64 = 0.75;
const TIMER_BITS: f64 = 0.75;
const HEAVY_ABOVE: f64 = 1.5;
const HEAVY_BITS: f64 = 0.5;

/// Standard deviation of the logarithm of an exponential variable: pi over the root of six.
const POISSON_SD_LN: f64 = 1.283;

const REVERSE_BITS: f64 = 1.5;
const COUPLING_BITS: f64 = 0.5;
const UPLOAD_BITS: f64 = 0.5;
