//! What a policy says of an application on a host, and what it refuses to be told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::net::IpAddr;

use dwell_attribution::{
    AppRules, Attribution, Candidate, Category, Contradiction, Destination, EvidenceLevel, HostRef,
    NameSource, Os, OsGuess, Outcome, Policy, PolicyError, Subject, Unexpected, Verdict,
};
use dwell_packet::Timestamp;

/// 2026-11-24.
const NOW: Timestamp = Timestamp::from_parts(1_795_500_000, 0);

const POLICY: &str = r#"
version = 1

[[host_group]]
name = "everyone"
expected.families = ["Safari", "Chromium"]
expected.categories = ["system"]
never = [{ family = "remote access" }, { stack = "go", category = "unknown" }]

[[host_group]]
name = "staff"
inherits = "everyone"
os = ["macos"]
networks = ["10.20.0.0/16"]
expected.applications = ["Slack"]
only_expected = true

[[host_group]]
name = "developers"
inherits = "staff"
hosts = ["mac-042"]
os = ["macos"]
networks = ["10.20.0.0/16"]
expected.stacks = ["go"]
only_expected = true

[[exception]]
id = "EX-1"
application = "ngrok"
destination = "ngrok.io"
host = "mac-042"
until = "2026-11-24"
owner = "it@example.org"
reason = "demonstration"
"#;

fn host(addr: &str, name: &str, os: Option<Os>) -> HostRef {
    HostRef {
        name: (!name.is_empty()).then(|| name.into()),
        os: os.map(|os| OsGuess { os, or: None }),
        ..HostRef::of_address(addr.parse().unwrap(), NOW)
    }
}

fn app(application: &str, family: &str, category: Category) -> Attribution {
    Attribution {
        outcome: Outcome::Application,
        application: application.into(),
        family: (!family.is_empty()).then(|| family.into()),
        category,
        level: EvidenceLevel::Ja4,
        confidence: 0.6,
        ..Attribution::unattributed()
    }
}

fn destination(name: &str) -> Destination {
    let addr: IpAddr = "203.0.113.1".parse().unwrap();
    Destination::new(Some((name.as_bytes(), NameSource::Sni)), addr, 443)
}

fn check(host: &HostRef, app: &Attribution, to: &str, expected: (Verdict, Option<&str>)) {
    let policy = Policy::from_text("policy.toml", POLICY).unwrap();
    let to = destination(to);
    let subject = Subject { host, attribution: app, destination: &to, at: NOW };
    let judgement = policy.judge(&subject);
    assert_eq!((judgement.verdict, judgement.rule.as_deref()), expected);
}

#[test]
fn lists_of_the_narrowest_group_and_of_those_it_inherits_from_count() {
    let staff = host("10.20.3.4", "", Some(Os::Macos));
    let slack = app("Slack", "Slack", Category::Product);
    let safari = app("Safari/NSURLSession", "Safari", Category::Browser);
    let agent = app("Jamf", "Jamf", Category::System);
    check(
        &staff,
        &slack,
        "slack.com",
        (Verdict::Expected, Some("staff/expected/application/Slack")),
    );
    check(&staff, &safari, "bbc.co.uk", (Verdict::Expected, Some("staff/expected/family/Safari")));
    check(&staff, &agent, "x.net", (Verdict::Expected, Some("staff/expected/category/system")));
}

#[test]
fn a_group_that_lists_everything_finds_the_rest_unexpected() {
    let curl = app("curl", "curl", Category::Library);
    let not_listed = Verdict::Unexpected(Unexpected::NotListed);
    let staff = host("10.20.3.4", "", Some(Os::Macos));
    check(&staff, &curl, "x.net", (not_listed, Some("staff/only_expected")));
    check(&host("10.30.0.1", "", Some(Os::Macos)), &curl, "x.net", (Verdict::Unknown, None));
    check(&host("10.20.3.4", "", None), &curl, "x.net", (Verdict::Unknown, None));
}

#[test]
fn a_stack_on_the_list_is_less_than_a_program_on_it() {
    let go =
        Attribution { stack: Some("go".into()), ..app("Go net/http", "Go", Category::Library) };
    let developer = host("10.20.3.5", "mac-042", Some(Os::Macos));
    let rule = "developers/expected/stack/go";
    check(&developer, &go, "x.net", (Verdict::ExpectedStack, Some(rule)));
}

#[test]
fn the_never_list_outranks_the_expected_list() {
    let tool = app("AnyDesk", "remote access", Category::System);
    let staff = host("10.20.3.4", "", Some(Os::Macos));
    let never = Verdict::Unexpected(Unexpected::Never);
    check(&staff, &tool, "anydesk.com", (never, Some("staff/never/remote access")));
    let part =
        Attribution { stack: Some("go".into()), ..app("Go net/http", "Go", Category::Library) };
    let elsewhere = host("10.30.0.1", "", None);
    check(&elsewhere, &part, "x.net", (Verdict::Unknown, None));
}

#[test]
fn an_exception_holds_for_its_host_destination_and_time() {
    let ngrok = app("ngrok", "ngrok", Category::Product);
    let developer = host("10.20.3.5", "mac-042", Some(Os::Macos));
    check(&developer, &ngrok, "tunnel.ngrok.io", (Verdict::Excepted, Some("EX-1")));
    let not_listed = Verdict::Unexpected(Unexpected::NotListed);
    check(&developer, &ngrok, "evil.net", (not_listed, Some("developers/only_expected")));
    let policy = Policy::from_text("policy.toml", POLICY).unwrap();
    let to = destination("tunnel.ngrok.io");
    let tomorrow = NOW.saturating_add(std::time::Duration::from_secs(86_400));
    let late = Subject { host: &developer, attribution: &ngrok, destination: &to, at: tomorrow };
    assert_eq!(policy.judge(&late).verdict, not_listed);
}

#[test]
fn contradictions_outrank_the_expected_list() {
    let mut safari = app("Safari/NSURLSession", "Safari", Category::Browser);
    safari.contradictions =
        vec![Contradiction::StackOs { stack: "Apple networking".into(), os: Os::Linux }];
    check(&host("10.9.9.9", "", Some(Os::Linux)), &safari, "x.net", (Verdict::Contradictory, None));
}

#[test]
fn an_ambiguous_answer_is_expected_by_the_mass_of_its_candidates() {
    let candidate = |application: &str, family: &str, confidence, hint| Candidate {
        application: application.into(),
        family: Some(family.into()),
        rule: "r".into(),
        level: EvidenceLevel::Ja4,
        confidence,
        hint,
    };
    let ambiguous = |expected, other| Attribution {
        outcome: Outcome::Ambiguous,
        candidates: vec![
            candidate("Chrome", "Chromium", expected, false),
            candidate("implant", "implant", other, false),
            candidate("Slack", "Slack", 5.0, true),
        ],
        ..app("either", "", Category::Unknown)
    };
    let anyone = host("10.9.9.9", "", None);
    let rule = Some("everyone/expected/candidates");
    check(&anyone, &ambiguous(0.4, 0.6), "x.net", (Verdict::Expected, rule));
    check(&anyone, &ambiguous(0.3, 0.7), "x.net", (Verdict::Unknown, None));
}

#[test]
fn nothing_is_said_of_an_unattributed_flow() {
    let staff = host("10.20.3.4", "", Some(Os::Macos));
    check(&staff, &Attribution::unattributed(), "x.net", (Verdict::Unknown, None));
}

#[test]
fn the_shipped_policy_is_accepted_and_knows_the_shipped_rules() {
    let policy = Policy::from_text("policy.toml", include_str!("../../../configs/policy.toml"));
    let policy = policy.unwrap();
    let evidence = dwell_attribution::Evidence {
        opening: dwell_attribution::Opening::Hello,
        ja4: Some("t12d880000_000000000000_000000000000"),
        server_name: Some(b"relay.net.anydesk.com"),
        at: NOW,
        ..Default::default()
    };
    let found = AppRules::builtin().attribute(&evidence);
    let (host, to) = (host("10.0.0.1", "", None), destination("relay.net.anydesk.com"));
    let subject = Subject { host: &host, attribution: &found, destination: &to, at: NOW };
    let judgement = policy.judge(&subject);
    assert_eq!(judgement.verdict, Verdict::Unexpected(Unexpected::Never), "{found:#?}");
    let builtin = Policy::builtin().judge(&subject);
    assert_eq!(builtin, judgement);
}

fn refused(text: &str, line: usize, key: Option<&str>, message: &str) {
    let Err(PolicyError::Entry(error)) = Policy::from_text("policy.toml", text) else {
        panic!("accepted: {text}");
    };
    assert_eq!((error.line, error.key.as_deref()), (line, key), "{error}");
    assert!(error.message.contains(message), "{error}");
    assert!(error.to_string().starts_with(&format!("policy.toml:{line}: ")), "{error}");
}

#[test]
fn errors_name_file_line_and_key() {
    refused("version = 2", 1, Some("version"), "version 1 is needed, not 2");
    refused("version = 1\nhost_groups = []", 2, Some("host_groups"), "unknown key");
    refused("[[host_group]]\nname = \"a\"\nnetwork = []", 3, Some("network"), "unknown field");
    refused("[[host_group]]\nname = \"a\"\nnetworks = [\"10/8\"]", 3, Some("networks"), "10/8");
    refused(
        "[[exception]]\nid = \"x\"\napplication = \"a\"",
        1,
        Some("exception"),
        "missing field",
    );
    refused("[[host_group]]\nname = 3", 2, Some("name"), "expected a string");
    refused("x = ", 1, Some("x"), "");
}

#[test]
fn groups_inherit_from_groups_above_them_only() {
    let text = "[[host_group]]\nname = \"a\"\ninherits = \"a\"";
    refused(text, 2, Some("name"), "inherits from `a`");
    let twice = "[[host_group]]\nname = \"a\"\n[[host_group]]\nname = \"a\"";
    refused(twice, 2, Some("name"), "stands above");
}

#[test]
fn a_bad_rule_is_named_and_the_rest_is_kept() {
    let good = "[[rule]]\nid = \"good\"\napplication = \"A\"\nja3 = [\"0149f47eabf9a20d0893e2a44e5a6323\"]\nconfidence = 0.5\nsource = \"test\"\n";
    let cases = [
        (
            "[[rule]]\nid = \"b\"\napplication = \"B\"\nsni = [\"x.net\"]\nconfidence = 0.5\nsorce = \"t\"\n",
            12,
            "sorce",
        ),
        ("[[rule]]\nid = \"b\"\napplication = \"B\"\nconfidence = 0.5\nsource = \"t\"\n", 7, "id"),
        (
            "[[rule]]\nid = \"b\"\napplication = \"B\"\nja4 = [\"t13\"]\nconfidence = 0.5\nsource = \"t\"\n",
            7,
            "ja4",
        ),
        (
            "[[rule]]\nid = \"b\"\napplication = \"B\"\nsni = [\"x.net\"]\nconfidence = 5\nsource = \"t\"\n",
            7,
            "confidence",
        ),
        (
            "[[rule]]\nid = \"good\"\napplication = \"B\"\nsni = [\"x.net\"]\nconfidence = 0.5\nsource = \"t\"\n",
            7,
            "id",
        ),
    ];
    let stackless = "[[rule]]\nid = \"b\"\napplication = \"B\"\nsni = [\"x.net\"]\nstack = [\"none\"]\n\
                     confidence = 0.5\nsource = \"t\"\n";
    for (bad, line, key) in cases.into_iter().chain([(stackless, 7, "stack")]) {
        let text = format!("{good}{bad}");
        let (rules, errors) = AppRules::from_texts([("apps.toml", text.as_str())]);
        assert_eq!(rules.len(), 1, "{bad}");
        let [error] = &errors[..] else { panic!("{bad}: {errors:?}") };
        assert_eq!((&*error.file, error.key.as_deref()), ("apps.toml", Some(key)), "{error}");
        assert_eq!(error.line, line, "{error}");
    }
}
