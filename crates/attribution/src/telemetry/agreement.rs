//! The process that telemetry names against the application that the wire suggests. Joins nothing.

use std::sync::Arc;

use super::process::{Join, ProcessFacts, ProcessIdentity, TelemetrySource};
use crate::{Attribution, Candidate, Category, Contradiction, EvidenceLevel, Outcome};

/// What the wire alone says of a flow that telemetry names.
#[derive(Clone, Debug, PartialEq)]
pub struct WireView {
    /// The application by fingerprint and destination.
    pub application: Arc<str>,
    /// Its evidence.
    pub level: EvidenceLevel,
    /// Its confidence, 0 to 1 (dimensionless).
    pub confidence: f64,
    /// Whether it goes together with the process.
    pub agreement: Agreement,
}

/// Whether process and wire go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The process is the application, or one of the candidates, or has the stack.
    Agrees,
    /// The process is known to have another stack, or the wire is sure of another program.
    Disagrees,
    /// The wire says too little: a library that any program can use, or nothing.
    CannotTell,
}

impl Agreement {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Disagrees => "disagrees",
            Self::CannotTell => "cannot_tell",
        }
    }
}

/// The attribution of a flow that telemetry names: the process counts, what the wire says stays
/// beside it, and a disagreement is a contradiction.
#[must_use]
pub fn with_process(
    wire: Attribution,
    facts: ProcessFacts,
    (source, join): (TelemetrySource, Join),
) -> Attribution {
    let agreement = compare(&facts, &wire);
    // The effective process gives the name; the rules may write it better.
    let counts = facts.effective.as_deref().unwrap_or(&facts);
    let same = (agreement == Agreement::Agrees).then(|| named(counts, &wire)).flatten();
    let (application, family) = match same {
        Some(candidate) => (candidate.application, candidate.family),
        None => (facts.label(), None),
    };
    let same_category = wire.category != Category::Unknown && facts.effective.is_none();
    let category = match agreement {
        Agreement::Agrees if same_category => wire.category,
        _ if runtime(counts).is_some_and(|runtime| runtime.library) => Category::Library,
        _ if facts.platform_binary == Some(true) => Category::System,
        _ if facts.team_id.is_some() => Category::Product,
        _ => Category::Unknown,
    };
    let mut contradictions = wire.contradictions;
    if agreement == Agreement::Disagrees {
        let process = facts.label();
        contradictions
            .push(Contradiction::Process { process, wire: Arc::clone(&wire.application) });
    }
    let view = WireView {
        application: wire.application,
        level: wire.level,
        confidence: wire.confidence,
        agreement,
    };
    let identity = ProcessIdentity { facts, source, join, wire: view };
    Attribution {
        outcome: Outcome::Application,
        application,
        family,
        category,
        level: EvidenceLevel::Endpoint,
        confidence: confidence(join),
        rule: Some(format!("telemetry/{}", source.name()).into()),
        contradictions,
        process: Some(Arc::new(identity)),
        ..wire
    }
}

/// How sure a join is, 0 to 1 (dimensionless). A judgement: what the kernel notes beside the packet
/// is certain; ports without addresses, or without a time, can be another's.
const fn confidence(join: Join) -> f64 {
    match join {
        Join::Capture => 1.0,
        Join::CommunityId | Join::FiveTuple => 0.99,
        Join::Untimed => 0.9,
        Join::Ports => 0.8,
    }
}

/// Whether the process can be what the wire shows.
fn compare(facts: &ProcessFacts, wire: &Attribution) -> Agreement {
    if matches!(wire.outcome, Outcome::Unattributed | Outcome::Unknown) {
        return Agreement::CannotTell;
    }
    if named(facts, wire).is_some() {
        return Agreement::Agrees;
    }
    let shown = [Some(&wire.application), wire.family.as_ref(), wire.stack.as_ref()];
    let shown: Vec<String> = shown.into_iter().flatten().map(|text| plain(text)).collect();
    if let Some(own) = runtime(facts) {
        if shown.iter().any(|text| own.fits(text)) {
            return Agreement::Agrees;
        }
        let other = RUNTIMES.iter().any(|other| shown.iter().any(|text| other.fits(text)));
        return if other { Agreement::Disagrees } else { Agreement::CannotTell };
    }
    let sure = wire.outcome == Outcome::Application
        && wire.category == Category::Product
        && wire.confidence >= SURE
        && wire.level < EvidenceLevel::Destination;
    if sure { Agreement::Disagrees } else { Agreement::CannotTell }
}

/// The application among the wire's candidates that goes by one of the process's names.
fn named(facts: &ProcessFacts, wire: &Attribution) -> Option<Candidate> {
    let names: Vec<String> = names(facts).map(|name| plain(&name)).collect();
    let fits = |text: &str| names.contains(&plain(text));
    let candidates = wire.candidates.iter().filter(|candidate| !candidate.hint);
    let mut known = candidates.clone().find(|candidate| fits(&candidate.application)).cloned();
    if known.is_none() && fits(&wire.application) {
        let first = candidates.clone().find(|other| other.application == wire.application);
        known = first.cloned();
    }
    known
}

/// Names that the process goes by, with the effective one's.
fn names(facts: &ProcessFacts) -> impl Iterator<Item = Arc<str>> {
    let of = |facts: &ProcessFacts| [facts.program(), facts.name.clone()];
    let effective = facts.effective.as_deref().map(of).into_iter().flatten();
    effective.chain(of(facts)).flatten()
}

/// Letters and digits in lower case, without what helpers add.
fn plain(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let text = lower.split(" helper").next().unwrap_or(&lower);
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// A program whose TLS stack is known.
struct Runtime {
    /// How its executable's plain name begins.
    process: &'static str,
    /// Words that its stack's, family's or application's plain name holds.
    shows: &'static [&'static str],
    /// Whether it runs scripts or serves other programs.
    library: bool,
}

impl Runtime {
    fn fits(&self, shown: &str) -> bool {
        self.shows.iter().any(|word| shown.contains(word))
    }
}

/// The runtime that a process is, by its own name (not the effective one's: it holds the socket).
fn runtime(facts: &ProcessFacts) -> Option<&'static Runtime> {
    let own = [facts.program(), facts.name.clone()];
    let mut names = own.iter().flatten().map(|name| plain(name));
    names.find_map(|name| RUNTIMES.iter().find(|runtime| name.starts_with(runtime.process)))
}

/// From our own captures of these clients, and for browsers from what they ship.
const RUNTIMES: [Runtime; 15] = [
    Runtime { process: "googlechrome", shows: &["chrom"], library: false },
    Runtime { process: "chrom", shows: &["chrom"], library: false },
    Runtime { process: "microsoftedge", shows: &["chrom", "edge"], library: false },
    Runtime { process: "brave", shows: &["chrom", "brave"], library: false },
    Runtime { process: "firefox", shows: &["firefox", "mozilla"], library: false },
    Runtime { process: "safari", shows: &["safari", "apple"], library: false },
    Runtime { process: "comapplewebkit", shows: &["safari", "apple"], library: false },
    Runtime { process: "python", shows: &["python", "openssl"], library: true },
    Runtime { process: "node", shows: &["node", "undici"], library: true },
    Runtime { process: "java", shows: &["java", "jsse"], library: true },
    Runtime { process: "ruby", shows: &["ruby", "openssl"], library: true },
    Runtime { process: "perl", shows: &["perl", "openssl"], library: true },
    Runtime {
        process: "curl",
        shows: &["curl", "openssl", "libressl", "securetransport", "gnutls"],
        library: true,
    },
    Runtime { process: "wget", shows: &["wget", "gnutls", "openssl"], library: true },
    Runtime { process: "osascript", shows: &["safari", "apple"], library: true },
];

/// From this confidence on the wire is sure of a product.
const SURE: f64 = 0.7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::process::label;

    fn process(path: &str) -> ProcessFacts {
        ProcessFacts { path: label(path.as_bytes()), ..ProcessFacts::of_pid(7) }
    }

    fn wire(application: &str, category: Category) -> Attribution {
        let name: Arc<str> = application.into();
        let candidate = Candidate {
            application: Arc::clone(&name),
            family: None,
            rule: "r".into(),
            level: EvidenceLevel::Ja4,
            confidence: 0.9,
            hint: false,
        };
        Attribution {
            level: EvidenceLevel::Ja4,
            confidence: 0.9,
            category,
            candidates: vec![candidate],
            ..Attribution::bare(Outcome::Application, name)
        }
    }

    fn check(path: &str, application: &str, category: Category, expected: Agreement) {
        assert_eq!(compare(&process(path), &wire(application, category)), expected, "{path}");
    }

    const CHROME: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

    #[test]
    fn process_and_fingerprint_agree_disagree_or_say_too_little() {
        check(CHROME, "Google Chrome", Category::Browser, Agreement::Agrees);
        check(CHROME, "Chromium", Category::Browser, Agreement::Agrees);
        check(CHROME, "Safari/NSURLSession", Category::Browser, Agreement::Disagrees);
        check("/usr/bin/curl", "Chromium", Category::Browser, Agreement::Disagrees);
        check("/usr/bin/curl", "curl", Category::Library, Agreement::Agrees);
        check("/opt/bin/python3.12", "Python urllib", Category::Library, Agreement::Agrees);
        check("/opt/bin/python3.12", "Node.js", Category::Library, Agreement::Disagrees);
        check("/Users/a/updater", "Go net/http", Category::Library, Agreement::CannotTell);
        check("/Users/a/updater", "Slack", Category::Product, Agreement::Disagrees);
    }

    #[test]
    fn telemetry_outranks_the_wire_and_the_disagreement_is_told() {
        let source = (TelemetrySource::Santa, Join::FiveTuple);
        let answer = with_process(wire("Slack", Category::Product), process("/tmp/x"), source);
        assert_eq!(&*answer.application, "x");
        assert_eq!(answer.level, EvidenceLevel::Endpoint);
        let told: Vec<String> = answer.contradictions.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["the endpoint names the process x, the wire looks like Slack"]);
        let process = answer.process.unwrap();
        assert_eq!(&*process.wire.application, "Slack");
        assert_eq!(process.wire.agreement, Agreement::Disagrees);
    }

    #[test]
    fn a_flow_without_hello_is_named_too() {
        let source = (TelemetrySource::Santa, Join::FiveTuple);
        let answer = with_process(Attribution::unattributed(), process("/bin/x"), source);
        assert_eq!(answer.outcome, Outcome::Application);
        assert!(answer.contradictions.is_empty());
    }
}
