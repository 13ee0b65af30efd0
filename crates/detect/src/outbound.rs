//! What AN0144 and AN0145 have in common: who sends, how much goes out, and how little comes back.

use dwell_attribution::{Attribution, Category, Os, Outcome, Unexpected, Verdict};

use crate::an0146::{SEVERAL, no_lookup};
use crate::baseline::{Arrival, DestinationClass};
use crate::score::{Case, Feature, Term, term};
use crate::view::View;

/// Whether a session is attributed, not excepted, on a platform asked for, and sent enough.
///
/// What an application does at rare destinations together counts where each flow sent too little:
/// spreading what is sent over names hides nothing, and what one flow sent is told once.
pub(crate) fn may_be_judged(case: &Case<'_>, min_bytes_out: u64, platforms: &[Os]) -> bool {
    let Case { config, session, judgement, .. } = case;
    let spread = session.addresses >= SEVERAL
        && session.up_bytes / u64::from(session.flows.max(1)) < min_bytes_out;
    session.up_bytes >= min_bytes_out
        && (!session.together || spread)
        && session.attribution().outcome != Outcome::Unattributed
        && judgement.verdict != Verdict::Excepted
        && config.asks_for(platforms, session.host())
}

/// Bytes out for each byte in (dimensionless).
pub(crate) fn ratio(session: &View) -> f64 {
    session.up_bytes as f64 / session.down_bytes.max(1) as f64
}

/// Whether a list names the application, its family, or its executable by path or file name.
pub(crate) fn is_listed(attribution: &Attribution, list: &[String]) -> bool {
    let process = attribution.process.as_deref().map(|process| &process.facts);
    let path = process.and_then(|facts| facts.path.as_deref());
    let file = path.and_then(|path| path.rsplit('/').next());
    let name = process.and_then(|facts| facts.name.as_deref());
    let names = [Some(&*attribution.application), attribution.family.as_deref(), path, file, name];
    list.iter().any(|entry| names.iter().flatten().any(|name| entry.eq_ignore_ascii_case(name)))
}

/// Terms of the first part: what kind of application it is, and who else does this.
pub(crate) fn who(case: &Case<'_>, terms: &mut Vec<Term>) {
    let bits = kind_bits(case.session.attribution());
    terms.push(term(Feature::Application, bits, bits));
    terms.extend(policy_bits(case.judgement.verdict).map(|bits| term(Feature::Policy, bits, bits)));
    let peers = case.peers;
    let others = f64::from(peers.with_destination.unwrap_or(0));
    terms.push(term(Feature::DestinationPrevalence, others, destination_bits(case)));
    if peers.with_pair >= HOME_HOSTS {
        let share = f64::from(peers.with_pair) / f64::from(peers.with_application.max(1));
        terms.push(term(Feature::HomeDestination, share, HOME_BITS));
    }
    if let Some(usual) = peers.usual_up_share {
        let bits = match usual {
            SENDER_FROM.. => SENDER_BITS,
            ..RECEIVER_BELOW => RECEIVER_BITS,
            _ => 0.0,
        };
        let share = case.session.shape.up_share;
        terms.push(Term { expected: Some(usual), ..term(Feature::UsualUpload, share, bits) });
    }
    no_lookup(case, terms);
}

/// How much goes out, above `least` bytes.
pub(crate) fn volume(session: &View, least: u64) -> Term {
    let sent = session.up_bytes as f64;
    let bits = (sent / least.max(1) as f64).log10().clamp(0.0, MAX_VOLUME_BITS);
    Term { expected: Some(least as f64), ..term(Feature::OutboundVolume, sent, bits) }
}

fn kind_bits(attribution: &Attribution) -> f64 {
    match (attribution.outcome, attribution.category) {
        (Outcome::Unattributed, _) => 0.0,
        (Outcome::Unknown, _) => 2.5,
        (_, Category::Library) => 2.0,
        (_, Category::Product | Category::System | Category::Unknown) => 0.5,
        // People put files into pages: an upload says nothing against the browser.
        (_, Category::Browser) => -3.0,
    }
}

/// What a site expects may send. What it forbids it forbids whether that sends or not: AN0146 says
/// so.
const fn policy_bits(verdict: Verdict) -> Option<f64> {
    match verdict {
        Verdict::Expected => Some(-6.0),
        Verdict::ExpectedStack => Some(-2.0),
        Verdict::Unexpected(Unexpected::NotListed | Unexpected::Never) => Some(1.5),
        Verdict::Contradictory => Some(2.0),
        _ => None,
    }
}

/// Who else goes there, and since when this host does. Without a baseline the hosts of the capture
/// stand for everybody, if there are a few.
fn destination_bits(case: &Case<'_>) -> f64 {
    let peers = case.peers;
    if peers.hosts < FEW_HOSTS {
        return 0.0;
    }
    let others = match peers.class {
        DestinationClass::Rare | DestinationClass::Several => 1.5,
        DestinationClass::Uncommon => -1.0,
        DestinationClass::Common => -3.0,
    };
    let here = match peers.expected.map(|expected| expected.arrival) {
        Some(Arrival::New) => 1.5,
        Some(Arrival::Recent) => 0.0,
        Some(Arrival::Established) => -3.0,
        None => 0.0,
    };
    others + here
}

/// Fewer other hosts say nothing of who else goes somewhere.
const FEW_HOSTS: u32 = 3;

/// Other hosts with the same application there: it is what the application is for.
const HOME_HOSTS: u32 = 2;
const HOME_BITS: f64 = -4.0;

/// An application whose sessions on other hosts mostly send is a sender: backups, cameras, builds.
const SENDER_FROM: f64 = 0.5;
const SENDER_BITS: f64 = -3.0;
const RECEIVER_BELOW: f64 = 0.2;
const RECEIVER_BITS: f64 = 1.0;

/// A thousand times the least volume; more is a bigger disk, not a worse deed.
const MAX_VOLUME_BITS: f64 = 3.0;
