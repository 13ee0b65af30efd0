//! A score in words: one reason a term, and one sentence for all. It weighs nothing.

use dwell_attribution::{Category, Outcome, Unexpected, Verdict};

use crate::baseline::{Arrival, DestinationClass, Expected, FIGURE_NAMES};
use crate::score::{Case, Feature, Score, Term};
use crate::{Analytic, Part, Reason, outbound, words};

/// The reasons of a score, the heaviest first.
pub(crate) fn reasons(case: &Case<'_>, score: &Score) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = score.terms.iter().map(|term| reason(case, term)).collect();
    reasons.sort_by(|a, b| b.weight_bits.abs().total_cmp(&a.weight_bits.abs()));
    reasons
}

/// One plain sentence: who did what, and the heaviest reason of each part.
pub(crate) fn sentence(analytic: Analytic, case: &Case<'_>, reasons: &[Reason]) -> String {
    let mut text = deed(analytic, case);
    let mut separator = ": ";
    // How long, and how much, is said already.
    let said = [Feature::SessionDuration, Feature::OutboundRatio, Feature::OutboundVolume]
        .map(Feature::name);
    for &part in analytic.parts() {
        let of_part =
            reasons.iter().filter(|reason| reason.part == part && !said.contains(&reason.feature));
        if let Some(reason) = of_part.max_by(|a, b| a.weight_bits.total_cmp(&b.weight_bits)) {
            text.push_str(separator);
            text.push_str(&reason.text);
            separator = "; ";
        }
    }
    text
}

/// Who has done what for how long, or how much of it.
fn deed(analytic: Analytic, case: &Case<'_>) -> String {
    let session = case.session;
    let (who, host) = (application(case), session.host().label());
    let to = destination(case);
    match analytic {
        Analytic::An0144 | Analytic::An0145 => format!(
            "{who} on {host} has sent {} to {to} within {} and received {}",
            words::bytes(session.up_bytes as f64),
            words::duration(session.duration),
            words::bytes(session.down_bytes as f64),
        ),
        Analytic::An0146 => {
            format!("{who} on {host} has held {to} for {}", words::duration(session.effective))
        }
    }
}

/// Why a finding is closed whose session may no longer be judged.
pub(crate) fn exception(case: &Case<'_>) -> Option<Reason> {
    let rule = case.judgement.rule.as_deref()?;
    (case.judgement.verdict == Verdict::Excepted).then(|| Reason {
        feature: Feature::Policy.name(),
        part: Part::Unexpected,
        value: 0.0,
        expected: None,
        weight_bits: 0.0,
        text: format!("exception {rule} allows it"),
    })
}

fn reason(case: &Case<'_>, term: &Term) -> Reason {
    Reason {
        feature: term.feature.name(),
        part: term.feature.part(),
        value: term.value,
        expected: term.expected,
        weight_bits: term.bits,
        text: text(case, term.feature),
    }
}

fn text(case: &Case<'_>, feature: Feature) -> String {
    let shape = &case.session.shape;
    match feature {
        Feature::Application => kind(case),
        Feature::SessionPrevalence => said(case, such_sessions),
        Feature::Propensity => said(case, propensity),
        Feature::UserDuration => said(case, user_duration),
        Feature::ShapeDeviation => said(case, deviation),
        Feature::FanOut => format!(
            "{} has gone to {} that no other host knows",
            application(case),
            words::count(case.session.addresses, "destination")
        ),
        Feature::Unattended => format!(
            "it went on in {} of {} in which nobody browsed on this host",
            case.session.unattended,
            words::count(
                case.session.unattended.saturating_add(case.session.attended),
                "quarter-hour"
            )
        ),
        Feature::Policy => policy(case),
        Feature::DestinationPrevalence => prevalence(case),
        Feature::HomeDestination => format!(
            "{} of the {} with {} use {}: it is where it belongs",
            case.peers.with_pair,
            words::count(case.peers.with_application, "other host"),
            application(case),
            destination(case)
        ),
        Feature::NameLookup => {
            format!("nobody looked up {} and the hello names no host", destination(case))
        }
        Feature::SessionDuration => duration(case),
        Feature::PeerDuration => peer_duration(case),
        Feature::OwnDuration => own_duration(case),
        Feature::Coverage => format!(
            "payload in {} of its ten-minute slots, {} without a break",
            words::percent(shape.coverage),
            words::count(shape.longest_run_slots, "slot")
        ),
        Feature::TimerDriven => gaps(case, "as a timer makes them"),
        Feature::HeavyTailed => gaps(case, "in clusters with long silences between"),
        Feature::GapSpread => gaps(case, "neither a timer's nor clustered"),
        Feature::ReversedInteraction => format!(
            "the far side speaks first and this host answers with more in {}, {} of what it sent",
            words::count(shape.reversed_bursts, "burst"),
            words::percent(shape.reversed_bytes_share)
        ),
        Feature::CommandResponse => {
            "large answers are followed by large uploads, as commands by their results".to_owned()
        }
        Feature::BulkDelivery => format!(
            "it delivers {} at a time and sends next to nothing, as films and downloads do",
            words::bytes(shape.mean_ln_down.exp())
        ),
        Feature::UploadShare => format!("{} of the bytes go out", words::percent(shape.up_share)),
        Feature::Novelty => novelty(case),
        Feature::UsualUpload => usual_upload(case),
        Feature::OutboundRatio => outbound_ratio(case),
        Feature::OutboundVolume => {
            format!("{} went out", words::bytes(case.session.up_bytes as f64))
        }
        Feature::LowResponse => format!(
            "what came back is {:.1} % of what went out",
            100.0 / outbound::ratio(case.session).max(f64::MIN_POSITIVE)
        ),
    }
}

fn kind(case: &Case<'_>) -> String {
    let attribution = case.session.attribution();
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
    match &attribution.rule {
        Some(rule) => format!(
            "{name} {what} (rule {rule}, by {}, confidence {:.2})",
            attribution.level.name(),
            attribution.confidence
        ),
        None => format!("{name} {what}"),
    }
}

fn policy(case: &Case<'_>) -> String {
    let rule = case.judgement.rule.as_deref().unwrap_or("none");
    match case.judgement.verdict {
        Verdict::Expected => format!("the policy expects it ({rule})"),
        Verdict::ExpectedStack => {
            format!("the policy expects its stack, not the program ({rule})")
        }
        Verdict::Unexpected(Unexpected::Never) => format!("the policy says never ({rule})"),
        Verdict::Unexpected(Unexpected::NotListed) => {
            format!("the policy does not list it ({rule})")
        }
        Verdict::Contradictory => {
            let contradictions = &case.session.attribution().contradictions;
            let all: Vec<String> = contradictions.iter().map(ToString::to_string).collect();
            format!("its evidence contradicts itself: {}", all.join("; "))
        }
        _ => "the policy says nothing of it".to_owned(),
    }
}

/// A text that needs what the baseline expects.
fn said(case: &Case<'_>, text: impl Fn(&Case<'_>, &Expected) -> String) -> String {
    case.peers.expected.as_ref().map_or_else(String::new, |expected| text(case, expected))
}

fn such_sessions(case: &Case<'_>, expected: &Expected) -> String {
    let place = match case.peers.class {
        DestinationClass::Rare => "a place that at most one other host knows",
        DestinationClass::Uncommon => "a place that few other hosts know",
        DestinationClass::Common => "a place that many hosts know",
        DestinationClass::Several => "several places that no other host knows",
    };
    let when = match expected.arrival {
        Arrival::New => "new on its host",
        Arrival::Recent => "recent on its host",
        Arrival::Established => "known to its host",
    };
    format!(
        "{} of {} of other hosts had {} hold a session of {} or more to {place}, {when} ({} of {} \
         for any {} application)",
        expected.such,
        words::count(expected.host_days, "day"),
        application(case),
        words::duration(expected.such_from),
        expected.kind_such,
        expected.kind_host_days,
        expected.kind.name()
    )
}

fn propensity(case: &Case<'_>, expected: &Expected) -> String {
    format!(
        "of the {} that {} has on other hosts, {} no other copy's",
        words::count(expected.pairs, "destination"),
        application(case),
        match expected.lone_pairs {
            1 => "1 is".to_owned(),
            lone => format!("{lone} are"),
        }
    )
}

fn user_duration(case: &Case<'_>, expected: &Expected) -> String {
    format!(
        "sessions of this user usually last {}, this one {}",
        words::duration(expected.user.expected()),
        words::duration(case.session.effective)
    )
}

fn deviation(_: &Case<'_>, expected: &Expected) -> String {
    let deviation = expected.deviation.unwrap_or_default();
    format!(
        "its {} is not that of such sessions on other hosts ({:.2}, there {:.2})",
        FIGURE_NAMES.get(deviation.most).unwrap_or(&"shape"),
        deviation.value,
        deviation.expected
    )
}

fn prevalence(case: &Case<'_>) -> String {
    let when = match case.peers.expected.map(|expected| (expected.arrival, expected.age)) {
        Some((Arrival::New | Arrival::Recent, age)) => {
            format!("; this host went there first {} ago", words::duration(age))
        }
        Some((Arrival::Established, _)) => "; this host has gone there for long".to_owned(),
        None => String::new(),
    };
    format!("{}{when}", prevalence_now(case))
}

fn prevalence_now(case: &Case<'_>) -> String {
    if case.session.together {
        return "no other host talks to any of them".to_owned();
    }
    match case.peers.with_destination {
        Some(others) => format!(
            "{} of {} seen here {} to {}",
            words::count(others, "other host"),
            case.peers.hosts,
            if others > 1 { "talk" } else { "talks" },
            destination(case)
        ),
        None => format!("how many hosts talk to {} was not counted", destination(case)),
    }
}

fn novelty(case: &Case<'_>) -> String {
    format!(
        "this host first ran {} {} ago, and {} of {} seen here {} it",
        application(case),
        words::duration(case.peers.debut.unwrap_or_default()),
        words::count(case.peers.with_application, "other host"),
        case.peers.hosts,
        if case.peers.with_application > 1 { "have" } else { "has" }
    )
}

fn outbound_ratio(case: &Case<'_>) -> String {
    format!(
        "{:.0} bytes out for each byte in; sessions count from {:.0}",
        outbound::ratio(case.session),
        case.config.outbound.outbound_byte_threshold
    )
}

fn usual_upload(case: &Case<'_>) -> String {
    format!(
        "{} of the bytes go out; on other hosts {} of what {} exchanges does",
        words::percent(case.session.shape.up_share),
        words::percent(case.peers.usual_up_share.unwrap_or_default()),
        application(case)
    )
}

fn duration(case: &Case<'_>) -> String {
    let session = case.session;
    let mut text = format!(
        "held for {} over {} (longest connection {}); sessions count as long from {}",
        words::duration(session.effective),
        words::count(session.flows, "flow"),
        words::duration(session.longest_connection),
        words::duration(case.config.session_duration(application(case)))
    );
    if session.attribution().long_lived_normal == Some(true) && case.peers.expected.is_none() {
        text.push_str("; long sessions are normal for this application, which halves it");
    }
    text
}

fn peer_duration(case: &Case<'_>) -> String {
    format!(
        "the longest {} held any destination on {} is {}",
        application(case),
        words::count(case.peers.with_application, "other host"),
        words::duration(case.peers.longest_elsewhere.unwrap_or_default())
    )
}

fn own_duration(case: &Case<'_>) -> String {
    let (longest, elsewhere) = case.peers.longest_here.clone().unwrap_or_default();
    format!(
        "the longest {} held any other destination on this host is {} ({elsewhere})",
        application(case),
        words::duration(longest)
    )
}

fn gaps(case: &Case<'_>, what: &str) -> String {
    let shape = &case.session.shape;
    let [q1, median, q3] = shape.gap_quartiles_s;
    format!(
        "silences between its {} are {what}: median {}, half of them from {} to {}, \
         standard deviation of their logarithm {:.2} (random arrivals have 1.28)",
        words::count(shape.bursts, "burst"),
        words::seconds(median),
        words::seconds(q1),
        words::seconds(q3),
        shape.sd_ln_gap
    )
}

fn application<'a>(case: &Case<'a>) -> &'a str {
    case.session.application_name()
}

fn destination<'a>(case: &Case<'a>) -> &'a str {
    case.session.destination_name()
}
