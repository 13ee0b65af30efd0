//! Rules that are learned: what they answer, how sure they are, and what is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use dwell_attribution::{
    AppRules, Attribution, Evidence, EvidenceLevel, Learned, Learner, Observation,
    ObservationError, Opening, Origin, Outcome, read_flow_line,
};
use dwell_packet::Timestamp;
use proptest::prelude::*;

/// 2026-11-24.
const NOW: Timestamp = Timestamp::from_parts(1_795_500_000, 0);

const CHROMIUM: &str = "t13d1517h2_8daaf6152771_cb7bf5808d99";
const FIREFOX: &str = "t13d1617h2_86a278354501_3cbfd9057e0d";

fn seen<'a>(application: &'a str, ja4: &'a str, name: &'a str, flows: u64) -> Observation<'a> {
    Observation {
        application,
        ja4: Some(ja4),
        server_name: Some(name),
        flows,
        ..Observation::default()
    }
}

fn learn(observations: &[Observation<'_>]) -> Learned {
    let mut learner = Learner::default();
    for observation in observations {
        learner.observe(observation).unwrap();
    }
    let date = "2026-11-24".parse().unwrap();
    learner
        .learn(&Origin { date, source: "test", licence: None, prefix: "t" }, &AppRules::default())
}

/// Through a file's text, as the sensor would read it.
fn rules(learned: &Learned) -> AppRules {
    let mut text = Vec::new();
    learned.write(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let (rules, errors) = AppRules::from_texts([("learned.toml", text.as_str())]);
    assert_eq!(errors, [], "{text}");
    rules
}

fn ask(rules: &AppRules, ja4: &str, name: &str) -> Attribution {
    rules.attribute(&Evidence {
        opening: Opening::Hello,
        ja4: Some(ja4),
        server_name: (!name.is_empty()).then_some(name.as_bytes()),
        port: 443,
        at: NOW,
        ..Evidence::default()
    })
}

fn fleet() -> Vec<Observation<'static>> {
    let mut rows = Vec::new();
    for name in ["a.com", "b.com", "c.com", "d.com", "e.com", "f.com"] {
        rows.push(seen("Chrome", CHROMIUM, name, 90));
        rows.push(seen("Firefox", FIREFOX, name, 60));
    }
    rows.push(seen("Slack", CHROMIUM, "wss-primary.slack.com", 400));
    rows
}

#[test]
fn the_destination_tells_programs_of_one_fingerprint_apart() {
    let rules = rules(&learn(&fleet()));
    let slack = ask(&rules, CHROMIUM, "edge.slack.com");
    assert_eq!((&*slack.application, slack.level), ("Slack", EvidenceLevel::Ja4Destination));
    let chrome = ask(&rules, CHROMIUM, "a.com");
    assert_eq!(&*chrome.application, "Chrome");
    assert!(chrome.confidence > 0.8, "{chrome:#?}");
}

#[test]
fn a_new_destination_goes_to_the_program_with_many_destinations() {
    // Slack has more flows under the fingerprint, Chrome more destinations.
    let found = ask(&rules(&learn(&fleet())), CHROMIUM, "never-seen.org");
    assert_eq!((&*found.application, found.level), ("Chrome", EvidenceLevel::Ja4));
}

#[test]
fn a_new_version_is_known_by_the_parts_that_stay() {
    let rules = rules(&learn(&fleet()));
    let found = ask(&rules, "t13d1618h2_86a278354501_0123456789ab", "a.com");
    assert_eq!((&*found.application, found.level), ("Firefox", EvidenceLevel::CipherDestination));
}

#[test]
fn what_was_never_seen_is_unknown() {
    let found = ask(&rules(&learn(&fleet())), "t12i000000_000000000000_000000000000", "x.org");
    assert_eq!(found.outcome, Outcome::Unknown);
}

#[test]
fn a_shared_key_is_ambiguous_and_names_its_candidates() {
    let mut rows = fleet();
    rows.push(seen("Teams", CHROMIUM, "wss-primary.slack.com", 300));
    let learned = learn(&rows);
    let found = ask(&rules(&learned), CHROMIUM, "slack.com");
    assert_eq!(found.outcome, Outcome::Ambiguous);
    let names: Vec<&str> =
        found.candidates.iter().take(2).map(|candidate| &*candidate.application).collect();
    assert_eq!(names, ["Slack", "Teams"]);
    let conflict = learned.conflicts.iter().find(|conflict| conflict.part == "ja4").unwrap();
    let applications = [("Chrome", 540), ("Slack", 400), ("Teams", 300)];
    assert_eq!(
        conflict.applications,
        applications.map(|(name, flows)| (name.to_owned(), flows)),
        "Chrome has six destinations of 90 flows"
    );
}

#[test]
fn a_shared_suffix_stands_for_itself_alone() {
    let mut rows = fleet();
    rows.push(seen("Pages", FIREFOX, "github.io", 50));
    let rules = rules(&learn(&rows));
    assert_eq!(&*ask(&rules, FIREFOX, "github.io").application, "Pages");
    assert_eq!(&*ask(&rules, FIREFOX, "somebody.github.io").application, "Firefox");
}

#[test]
fn learned_confidence_ages() {
    let rules = rules(&learn(&fleet()));
    let young = ask(&rules, FIREFOX, "a.com").confidence;
    let later = Evidence {
        opening: Opening::Hello,
        ja4: Some(FIREFOX),
        server_name: Some(b"a.com"),
        at: NOW.saturating_add(std::time::Duration::from_secs(840 * 86_400)),
        ..Evidence::default()
    };
    let old = rules.attribute(&later).confidence;
    assert!((old / young - 0.5).abs() < 0.01, "{young} {old}");
}

#[test]
fn facts_of_known_rules_are_lent_to_learned_ones() {
    let mut learner = Learner::default();
    learner.observe(&seen("slack", CHROMIUM, "corp.example", 9)).unwrap();
    let date = "2026-11-24".parse().unwrap();
    let origin = Origin { date, source: "test", licence: None, prefix: "t" };
    let found =
        ask(&rules(&learner.learn(&origin, &AppRules::builtin())), CHROMIUM, "corp.example");
    assert_eq!(found.family.as_deref(), Some("Slack"));
    assert_eq!(found.category, dwell_attribution::Category::Product);
}

#[test]
fn what_cannot_be_learned_from_is_refused_with_its_reason() {
    let mut learner = Learner::default();
    let refused = |learner: &mut Learner, observation| learner.observe(&observation).unwrap_err();
    let none = refused(&mut learner, seen("  ", CHROMIUM, "a.com", 1));
    assert_eq!(none, ObservationError::NoApplication);
    let keyless = Observation { application: "A", ..Observation::default() };
    assert_eq!(refused(&mut learner, keyless), ObservationError::NoKey);
    let wrong = refused(&mut learner, seen("A", "t13\u{1b}[31m", "a.com", 1));
    assert_eq!(wrong.to_string(), "`ja4`: `t13\\x1b[31m` is not of the right form");
    assert_eq!(learner.kinds(), 0);
}

#[test]
fn flow_lines_are_our_own_form_or_records_with_a_process() {
    let own = format!(r#"{{"application":"Slack","ja4":"{CHROMIUM}","server_name":"slack.com"}}"#);
    let flow = read_flow_line(&own).unwrap().unwrap();
    assert_eq!(flow.observation(), seen("Slack", CHROMIUM, "slack.com", 1));
    let unknown = read_flow_line(r#"{"application":"Slack","ja3s":"x"}"#).unwrap_err();
    assert!(unknown.to_string().contains("unknown field `ja3s`"), "{unknown}");
    assert!(read_flow_line("[1]").is_err());
    assert!(read_flow_line("{").is_err());

    let record = r#"{"event_type":"tls","tls":{"sni":"slack.com","ja4":"t13d1517h2_8daaf6152771_cb7bf5808d99"},"dwell":{"process":{"name":"Slack Helper"}}}"#;
    let flow = read_flow_line(record).unwrap().unwrap();
    assert_eq!(flow.observation(), seen("Slack Helper", CHROMIUM, "slack.com", 1));
    let unlabelled = record.replace("process", "host");
    assert_eq!(read_flow_line(&unlabelled).unwrap(), None);
}

proptest! {
    #[test]
    fn the_order_of_observations_changes_nothing(
        rows in prop::collection::vec((0_usize..4, 0_usize..3, 0_usize..5, 1_u64..500), 1..40),
        seed: u64,
    ) {
        let apps = ["A", "B", "C", "D"];
        let ja4 = [CHROMIUM, FIREFOX, "t13d1516h2_8daaf6152771_d8a2da3f94cd"];
        let names = ["a.com", "x.b.com", "c.org", "github.io", ""];
        let rows: Vec<_> = rows.iter().map(|&(a, j, n, f)| seen(apps[a], ja4[j], names[n], f)).collect();
        let mut other = rows.clone();
        other.sort_by_key(|row| (row.flows ^ seed, row.application));
        prop_assert_eq!(learn(&rows).rules, learn(&other).rules);
    }

    #[test]
    fn any_line_is_read_or_refused(line in ".{0,200}") {
        let _ = read_flow_line(&line);
    }
}
