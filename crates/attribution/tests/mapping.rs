//! The rules that ship: every one loads, and the clients of our own captures are named by them.

use dwell_attribution::{
    AppRules, Category, Contradiction, Evidence, EvidenceLevel, Opening, Os, OsGuess, Outcome,
};
use dwell_packet::Timestamp;
use proptest::prelude::*;

/// 2026-11-24, the day of the captures.
const CAPTURED: Timestamp = Timestamp::from_parts(1_795_500_000, 0);

const LINUX: OsGuess = OsGuess { os: Os::Linux, or: Some(Os::Android) };

fn hello<'a>(ja4: &'a str, name: &'a str) -> Evidence<'a> {
    Evidence {
        opening: Opening::Hello,
        ja4: Some(ja4),
        server_name: (!name.is_empty()).then_some(name.as_bytes()),
        port: 443,
        at: CAPTURED,
        ..Evidence::default()
    }
}

fn check(evidence: &Evidence<'_>, application: &str, outcome: Outcome, level: EvidenceLevel) {
    let found = AppRules::builtin().attribute(evidence);
    assert_eq!(
        (&*found.application, found.outcome, found.level),
        (application, outcome, level),
        "{found:#?}"
    );
}

#[test]
fn every_shipped_rule_is_accepted() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/apps");
    let (rules, errors) = AppRules::load(&[directory.into()]).unwrap();
    assert_eq!(errors, []);
    assert!(rules.len() > 300, "{}", rules.len());
    assert_eq!(rules.len(), AppRules::builtin().len(), "a file is missing in the binary");
}

/// Fingerprints by tshark 4.0.17 (JA3) and ja4plus 1.4.0 (JA4), as `pcaps/fingerprints.tsv` has
/// them; the application is what the capture was made with (`pcaps/README.md`).
#[test]
fn clients_of_our_captures_are_named() {
    let expected = [
        ("chromium-1", "Chromium"),
        ("chromium-2", "Chromium"),
        ("chromium-quic", "Chromium"),
        ("curl-http1", "curl"),
        ("curl-ipv6", "curl"),
        ("curl-tls12", "curl"),
        ("curl", "curl"),
        ("firefox", "Firefox"),
        ("git", "git"),
        ("go", "Go net/http"),
        ("java", "Java HttpClient"),
        ("node-fetch", "Node.js fetch"),
        ("node-https", "Node.js https"),
        ("python-requests", "python-requests"),
        ("python-urllib", "OpenSSL default"),
        ("rustls", "Rust rustls"),
        ("wget", "wget"),
    ];
    let rules = AppRules::builtin();
    let table = include_str!("../../../pcaps/fingerprints.tsv");
    let mut checked = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [capture, name, _alpn, ja3, ja4, ..] = fields[..] else { panic!("{line}") };
        let Some((_, application)) = expected.iter().find(|(known, _)| *known == capture) else {
            continue;
        };
        let evidence = Evidence { ja3: Some(ja3), ..hello(ja4, name) };
        let found = rules.attribute(&evidence);
        assert_eq!(&*found.application, *application, "{capture}: {found:#?}");
        assert_eq!(found.outcome, Outcome::Application, "{capture}");
        checked += 1;
    }
    assert!(checked >= expected.len(), "{checked} rows");
}

#[test]
fn a_flow_whose_opening_was_not_seen_is_unattributed_not_unknown() {
    let evidence = Evidence { opening: Opening::Unseen, ..hello("t13d1516h2_0_0", "slack.com") };
    check(&evidence, "unattributed", Outcome::Unattributed, EvidenceLevel::None);
}

#[test]
fn a_fingerprint_that_no_rule_knows_is_unknown_and_told_apart() {
    let ja4 = "t12d1412h2_20a10634286c_ce3753e6c77f";
    let evidence =
        Evidence { stable: Some("t12d1410h2_20a10634286c_111111111111"), ..hello(ja4, "cdn.xyz") };
    let application = "unknown t12d1410h2_20a10634286c_111111111111";
    check(&evidence, application, Outcome::Unknown, EvidenceLevel::None);
}

#[test]
fn the_destination_tells_programs_of_one_stack_apart() {
    let chromium = "t13d1517h2_8daaf6152771_cb7bf5808d99";
    let level = EvidenceLevel::Ja4Destination;
    check(&hello(chromium, "wss-primary.slack.com"), "Slack", Outcome::Application, level);
    check(
        &hello(chromium, "www.bbc.co.uk"),
        "Chromium",
        Outcome::Application,
        EvidenceLevel::Stack,
    );
    let apple = "t13d2014h2_a09f3c656075_14788d8d241b";
    check(
        &hello(apple, "12-courier.push.apple.com"),
        "Apple Push (apsd)",
        Outcome::Application,
        EvidenceLevel::PrefixDestination,
    );
    check(
        &hello(apple, "www.bbc.co.uk"),
        "Safari/NSURLSession",
        Outcome::Application,
        EvidenceLevel::Stack,
    );
}

#[test]
fn a_site_visited_in_a_browser_is_the_browser() {
    let chromium = "t13d1517h2_8daaf6152771_cb7bf5808d99";
    for site in ["www.google.com", "github.com", "www.anydesk.com", "zoom.us"] {
        check(&hello(chromium, site), "Chromium", Outcome::Application, EvidenceLevel::Stack);
    }
}

#[test]
fn a_program_built_on_a_shared_stack_is_a_candidate_and_never_the_answer() {
    let found = AppRules::builtin()
        .attribute(&hello("t13d190900_9dc949149365_97f8aa674fd9", "cdn-82994.net"));
    assert_eq!(&*found.application, "Go net/http");
    assert_eq!(found.category, Category::Library);
    let hint = found.candidates.iter().find(|other| &*other.application == "Sliver Agent");
    assert!(hint.is_some_and(|candidate| candidate.hint), "{found:#?}");
}

#[test]
fn a_new_version_of_a_stack_is_known_by_its_cipher_part() {
    check(
        &hello("t13d1599h2_8daaf6152771_0123456789ab", "www.example.com"),
        "Chromium",
        Outcome::Application,
        EvidenceLevel::StackCipher,
    );
}

#[test]
fn a_resumed_session_keeps_its_application_by_the_normalised_key() {
    let evidence = Evidence {
        stable: Some("t13d4311h1_c7886603b240_375ca2c5e164"),
        ..hello("t13d4313h1_c7886603b240_0123456789ab", "")
    };
    check(&evidence, "python-requests", Outcome::Application, EvidenceLevel::Stable);
}

#[test]
fn safari_behind_a_linux_syn_contradicts_itself() {
    let evidence =
        Evidence { os: Some(LINUX), ..hello("t13d2014h2_a09f3c656075_e42f34c56612", "") };
    let found = AppRules::builtin().attribute(&evidence);
    let expected = Contradiction::StackOs { stack: "Apple networking".into(), os: Os::Linux };
    assert_eq!(found.contradictions, [expected]);
}

#[test]
fn a_user_agent_names_the_program_and_may_contradict_the_stack() {
    let http = Evidence {
        opening: Opening::HttpRequest,
        user_agent: Some(b"python-requests/2.31.0"),
        at: CAPTURED,
        ..Evidence::default()
    };
    check(&http, "python-requests", Outcome::Application, EvidenceLevel::UserAgent);

    let chrome: &[u8] = b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/131.0 Safari/537";
    let go = Evidence {
        user_agent: Some(chrome),
        os: Some(LINUX),
        ..hello("t13d1910h2_9dc949149365_97f8aa674fd9", "")
    };
    let found = AppRules::builtin().attribute(&go);
    assert!(found.contradictions.contains(&Contradiction::UserAgentStack {
        product: "Chrome".into(),
        stack: "Go net/http".into(),
    }));
    assert!(
        found
            .contradictions
            .contains(&Contradiction::UserAgentOs { claimed: Os::Macos, os: Os::Linux })
    );
}

#[test]
fn confidence_falls_with_the_age_of_a_rule() {
    let old = Evidence {
        at: Timestamp::from_parts(1_795_500_000 + 840 * 86_400, 0),
        ..hello("t13d1910h2_9dc949149365_97f8aa674fd9", "")
    };
    let rules = AppRules::builtin();
    let young = rules.attribute(&Evidence { at: CAPTURED, ..old }).confidence;
    let aged = rules.attribute(&old).confidence;
    assert!((aged / young - 0.5).abs() < 0.01, "{young} {aged}");
}

#[test]
fn a_stale_row_rules_no_destination_out() {
    let evidence = Evidence {
        stable: Some("t12d150600_0707305c9f76_dccb52d5fcaf"),
        ..hello("t12d150700_0707305c9f76_0f3b2bcde21d", "client.dropbox.com")
    };
    check(&evidence, "Dropbox", Outcome::Application, EvidenceLevel::Destination);
}

/// JA4 of a row that only warns, and whose stack is Apple's (Safari 15.3's cipher list).
#[test]
fn a_known_stack_without_a_known_program_is_told_as_the_stack() {
    let text = r#"
[[stack]]
name = "apple"
label = "Apple networking"
category = "browser"

[[rule]]
id = "warning"
application = "osascript"
scope = "hint"
ja4 = ["t13d2014h2_a09f3c656075_*"]
stack = ["apple"]
confidence = 0.3
source = "test"
"#;
    let (rules, errors) = AppRules::from_texts([("apps.toml", text)]);
    assert_eq!(errors, []);
    let found = rules.attribute(&hello("t13d2014h2_a09f3c656075_14788d8d241b", "x.net"));
    assert_eq!((&*found.application, found.outcome), ("Apple networking", Outcome::Ambiguous));
    assert_eq!(found.category, Category::Browser);
}

#[test]
fn an_application_outside_all_its_destinations_contradicts_itself() {
    let text = r#"
[[rule]]
id = "helper"
application = "Updater"
ja4 = ["t13d1516h2_8daaf6152771_02713d6af862"]
destinations = ["updates.example"]
confidence = 0.8
source = "test"
"#;
    let (rules, errors) = AppRules::from_texts([("apps.toml", text)]);
    assert_eq!(errors, []);
    let ask = |name| rules.attribute(&hello("t13d1516h2_8daaf6152771_02713d6af862", name));
    assert_eq!(ask("cdn.updates.example").contradictions, []);
    assert_eq!(ask("").contradictions, []);
    let astray = Contradiction::Destination {
        application: "Updater".into(),
        destination: "c2.example".into(),
    };
    assert_eq!(ask("c2.example").contradictions, [astray]);
}

#[test]
fn the_order_of_files_changes_no_answer() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/apps");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (forward, _) = AppRules::load(&files).unwrap();
    files.reverse();
    let (backward, _) = AppRules::load(&files).unwrap();
    let table = include_str!("../../../pcaps/fingerprints.tsv");
    for ja4 in table.lines().skip(1).filter_map(|line| line.split('\t').nth(4)) {
        for name in ["", "slack.com", "zoom.us", "gateway.icloud.com", "anydesk.com"] {
            let evidence = hello(ja4, name);
            assert_eq!(forward.attribute(&evidence), backward.attribute(&evidence), "{ja4} {name}");
        }
    }
}

proptest! {
    #[test]
    fn any_evidence_is_answered_in_printable_text(
        ja4 in ".{0,40}",
        name: Vec<u8>,
        user_agent: Vec<u8>,
        port: u16,
        at: u64,
    ) {
        static RULES: std::sync::LazyLock<AppRules> =
            std::sync::LazyLock::new(AppRules::builtin);
        let evidence = Evidence {
            server_name: Some(&name),
            user_agent: Some(&user_agent),
            port,
            at: Timestamp::from_nanos(at),
            ..hello(&ja4, "")
        };
        let found = RULES.attribute(&evidence);
        prop_assert!(found.application.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
        prop_assert!((0.0..=1.0).contains(&found.confidence));
    }
}
