//! A score in words: one reason a term, and one sentence for all. It weighs nothing.

use dwell_attribution::{Category, Outcome, Unexpected, Verdict};

use crate::an0146::{Case, Feature, Score, Term};
use crate::{Part, Reason, words};

/// The reasons of a score, the heaviest first.
pub(crate) fn reasons(case: &Case<'_>, score: &Score) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = score.terms.iter().map(|term| reason(case, term)).collect();
    reasons.sort_by(|a, b| b.weight_bits.abs().total_cmp(&a.weight_bits.abs()));
    reasons
}

/// One plain sentence: who has held what for how long, and the heaviest reason of each part.
pub(crate) fn sentence(case: &Case<'_>, reasons: &[Reason]) -> String {
    let mut text = format!(
        "{} on {} has held {} for {}",
        application(case),
        case.session.host.label(),
        destination(case),
        words::duration(case.session.effective)
    );
    let mut separator = ": ";
    for part in [Part::Unexpected, Part::LongLived, Part::Irregular] {
        // How long is said already.
        let said = Feature::SessionDuration.name();
        let of_part = reasons.iter().filter(|reason| reason.part == part && reason.feature != said);
        if let Some(reason) = of_part.max_by(|a, b| a.weight_bits.total_cmp(&b.weight_bits)) {
            text.push_str(separator);
            text.push_str(&reason.text);
            separator = "; ";
        }
    }
    text
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
        Feature::UploadShare => format!("{} of the bytes go out", words::percent(shape.up_share)),
    }
}

fn kind(case: &Case<'_>) -> String {
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
            let contradictions = &case.session.attribution.contradictions;
            let all: Vec<String> = contradictions.iter().map(ToString::to_string).collect();
            format!("its evidence contradicts itself: {}", all.join("; "))
        }
        _ => "the policy says nothing of it".to_owned(),
    }
}

fn prevalence(case: &Case<'_>) -> String {
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

fn duration(case: &Case<'_>) -> String {
    let session = case.session;
    let mut text = format!(
        "held for {} over {} (longest connection {}); sessions count as long from {}",
        words::duration(session.effective),
        words::count(session.flows, "flow"),
        words::duration(session.longest_connection),
        words::duration(case.config.session_duration(application(case)))
    );
    if session.attribution.long_lived_normal == Some(true) {
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
    &case.session.attribution.application
}

fn destination<'a>(case: &Case<'a>) -> &'a str {
    &case.session.destination.group
}
