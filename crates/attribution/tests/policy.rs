//! What a policy says of an application on a host, and what it refuses to be told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::net::IpAddr;

use dwell_attribution::telemetry::{
    Agreement, Join, ProcessFacts, ProcessIdentity, TelemetrySource, WireView,
};
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
    let rule = Some("contradiction/stack_os");
    check(&host("10.9.9.9", "", Some(Os::Linux)), &safari, "x.net", (Verdict::Contradictory, rule));
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
    let error = match Policy::from_text("policy.toml", text) {
        Ok(policy) => {
            let [error] = policy.refused() else { panic!("{text}: {:?}", policy.refused()) };
            error.clone()
        }
        Err(PolicyError::Entry(error)) => error,
        Err(other) => panic!("{text}: {other}"),
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
    let paths = "[[host_group]]\nname = \"a\"\nexpected.paths = [\"/a/[\"]";
    refused(paths, 3, Some("expected.paths"), "unclosed");
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
    refused(twice, 4, Some("name"), "stands above");
}

#[test]
fn what_is_good_of_a_policy_stays_in_force() {
    let text = format!("{POLICY}\n[[exception]]\nid = \"EX-2\"\nowner = 3\n");
    let policy = Policy::from_text("policy.toml", &text).unwrap();
    assert_eq!(policy.refused().len(), 1);
    assert_eq!(policy.counts(), (3, 1, 0));
    let staff = host("10.20.3.4", "", Some(Os::Macos));
    let (slack, to) = (app("Slack", "Slack", Category::Product), destination("slack.com"));
    let subject = Subject { host: &staff, attribution: &slack, destination: &to, at: NOW };
    assert_eq!(policy.judge(&subject).verdict, Verdict::Expected);
}

fn judged(text: &str, host: &HostRef, app: &Attribution, to: &str) -> (Verdict, Option<String>) {
    let policy = Policy::from_text("policy.toml", text).unwrap();
    assert_eq!(policy.refused(), []);
    let to = destination(to);
    let judgement = policy.judge(&Subject { host, attribution: app, destination: &to, at: NOW });
    (judgement.verdict, judgement.rule.map(|rule| rule.to_string()))
}

#[test]
fn a_stack_outside_the_groups_list_is_unexpected() {
    let text = "[[host_group]]\nname = \"staff\"\nexpected.families = [\"Slack\"]\n\
                expected.categories = [\"library\"]\nexpected_stacks = [\"apple\", \"chromium\"]";
    let go = Attribution { stack: Some("go".into()), ..app("tool", "tool", Category::Unknown) };
    let staff = host("10.20.3.4", "", None);
    let rule = Some("staff/expected_stacks/go".to_owned());
    let not_listed = Verdict::Unexpected(Unexpected::NotListed);
    assert_eq!(judged(text, &staff, &go, "x.net"), (not_listed, rule));
    let slack = Attribution { family: Some("Slack".into()), ..go };
    let rule = Some("staff/expected/family/Slack".to_owned());
    assert_eq!(judged(text, &staff, &slack, "x.net"), (Verdict::Expected, rule));
}

#[test]
fn tags_put_hosts_into_groups() {
    let text = "[[tag]]\nname = \"engineering\"\nhosts = [\"mac-042\", \"10.30.0.0/16\"]\n\
                [[host_group]]\nname = \"dev\"\ntags = [\"engineering\"]\n\
                expected.applications = [\"curl\"]";
    let curl = app("curl", "curl", Category::Library);
    let rule = Some("dev/expected/application/curl".to_owned());
    for host in [host("10.20.3.5", "mac-042", None), host("10.30.9.9", "", None)] {
        assert_eq!(judged(text, &host, &curl, "x.net"), (Verdict::Expected, rule.clone()));
    }
    assert_eq!(judged(text, &host("10.9.9.9", "", None), &curl, "x.net"), (Verdict::Unknown, None));
}

#[test]
fn an_application_away_from_its_known_destinations_contradicts_itself() {
    let text = "[[known_destinations]]\napplication = \"Slack\"\n\
                destinations = [\"slack.com\", \"slack-edge.com\"]\n\
                [[host_group]]\nname = \"all\"\nexpected.applications = [\"Slack\"]";
    let slack = app("Slack", "Slack", Category::Product);
    let anyone = host("10.9.9.9", "", None);
    let home = judged(text, &anyone, &slack, "wss-primary.slack.com");
    assert_eq!(home.0, Verdict::Expected);
    let rule = Some("known_destinations/Slack".to_owned());
    assert_eq!(judged(text, &anyone, &slack, "cdn-7.xyz"), (Verdict::Contradictory, rule));
}

/// A process as endpoint telemetry names it.
fn process(path: &str, team: &str, bundle: &str) -> Attribution {
    let facts = ProcessFacts {
        path: Some(path.into()),
        team_id: Some(team.into()),
        signing_id: Some(bundle.into()),
        ..ProcessFacts::of_pid(7)
    };
    let identity = ProcessIdentity {
        facts,
        source: TelemetrySource::Santa,
        join: Join::FiveTuple,
        wire: WireView {
            application: "helper".into(),
            level: EvidenceLevel::None,
            confidence: 0.0,
            agreement: Agreement::CannotTell,
        },
    };
    Attribution { process: Some(identity.into()), ..app("helper", "", Category::Unknown) }
}

#[test]
fn signing_teams_and_paths_count_where_telemetry_names_the_process() {
    let text = "[[host_group]]\nname = \"staff\"\nexpected.teams = [\"BQR82RBBHL\"]\n\
                expected.paths = [\"/System/**\", \"/Applications/*.app/Contents/**\"]\n\
                never = [{ path = \"/private/tmp/**\" }, { team = \"EVIL000000\" }]\nonly_expected = true";
    let staff = host("10.20.3.4", "", None);
    let verdict = |path: &str, team: &str| judged(text, &staff, &process(path, team, "x"), "x.net");
    let rule = |text: &str| Some(format!("staff/{text}"));
    assert_eq!(
        verdict("/opt/slack", "BQR82RBBHL"),
        (Verdict::Expected, rule("expected/team/BQR82RBBHL"))
    );
    let system = verdict("/System/Library/x/apsd", "");
    assert_eq!(system, (Verdict::Expected, rule("expected/path//System/**")));
    let never = Verdict::Unexpected(Unexpected::Never);
    assert_eq!(verdict("/private/tmp/a", "BQR82RBBHL"), (never, rule("never//private/tmp/**")));
    assert_eq!(verdict("/opt/x", "EVIL000000"), (never, rule("never/EVIL000000")));
    let other = Verdict::Unexpected(Unexpected::NotListed);
    assert_eq!(verdict("/opt/x", "OTHER00000"), (other, rule("only_expected")));
}

/// Files with the columns and keys that the tools' own documents name.
#[test]
fn approved_software_of_all_exports_is_united_per_host() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "jamf.csv",
        "Computer Name,Application Title,Application Version,Bundle ID\n\
         mac-042,Slack.app,4.1,com.tinyspeck.slackmacgap\nmac-042,,1,\nmac-043,Zoom.us.app,6,us.zoom.xos\n",
    );
    write(
        "munki.plist",
        "<?xml version=\"1.0\"?><!DOCTYPE plist><plist version=\"1.0\"><dict>\
         <key>managed_installs</key><array><string>Firefox</string></array></dict></plist>",
    );
    write(
        "report.json",
        "{\"MachineInfo\": {\"hostname\": \"MAC-043\"}, \"ManagedInstalls\": [{\"name\": \"OBS\"}]}",
    );
    write(
        "apps.ndjson",
        "{\"hostIdentifier\": \"mac-044\", \"columns\": {\"name\": \"Notion.app\", \"bundle_identifier\": \"notion.id\"}}\n\
         {\"snapshot\": [{\"name\": \"Linear.app\"}, {\"path\": \"/x\"}], \"hostIdentifier\": \"mac-044\"}\n{broken\n",
    );
    write(
        "policy.toml",
        "[[inventory]]\ntype = \"jamf_csv\"\npath = \"jamf.csv\"\n\
         [[inventory]]\ntype = \"munki\"\npath = \"munki.plist\"\n\
         [[inventory]]\ntype = \"munki\"\npath = \"report.json\"\n\
         [[inventory]]\ntype = \"osquery_apps\"\npath = \"apps.ndjson\"\n\
         [[inventory]]\ntype = \"munki\"\npath = \"absent.plist\"\n\
         [[host_group]]\nname = \"all\"\nonly_expected = true",
    );
    let policy = Policy::load(&folder.path().join("policy.toml")).unwrap();
    let told: Vec<(String, usize, Option<String>)> = policy
        .refused()
        .iter()
        .map(|error| {
            let file = error.file.rsplit('/').next().unwrap().to_owned();
            (file, error.line, error.key.clone())
        })
        .collect();
    let expected = [
        ("jamf.csv", 3, Some("Application Title")),
        ("apps.ndjson", 2, Some("name")),
        ("apps.ndjson", 3, None),
        ("absent.plist", 0, None),
    ];
    let expected =
        expected.map(|(file, line, key)| (file.to_owned(), line, key.map(str::to_owned)));
    assert_eq!(told, expected);
    let verdict = |name: &str, attribution: &Attribution| {
        let (host, to) = (host("10.9.9.9", name, None), destination("x.net"));
        policy.judge(&Subject { host: &host, attribution, destination: &to, at: NOW }).verdict
    };
    let not_listed = Verdict::Unexpected(Unexpected::NotListed);
    let plain = |name: &str| app(name, "", Category::Product);
    for (host, name, approved) in [
        ("mac-042", "Slack", true),
        ("mac-043", "Slack", false),
        ("mac-043", "zoom.us", true),
        ("mac-043", "OBS", true),
        ("mac-042", "OBS", false),
        ("mac-999", "Firefox", true),
        ("mac-044", "Notion", true),
        ("mac-044", "Linear", true),
        ("mac-042", "Notion", false),
    ] {
        let expected = if approved { Verdict::Expected } else { not_listed };
        assert_eq!(verdict(host, &plain(name)), expected, "{host} {name}");
    }
    let by_bundle = process("/Applications/x", "", "com.tinyspeck.slackmacgap");
    assert_eq!(verdict("mac-042", &by_bundle), Verdict::Expected);
}

#[test]
fn an_explanation_tells_every_rule_looked_at() {
    let policy = Policy::from_text("policy.toml", POLICY).unwrap();
    let (staff, to) = (host("10.20.3.4", "", Some(Os::Macos)), destination("evil.net"));
    let ngrok = app("ngrok", "ngrok", Category::Product);
    let subject = Subject { host: &staff, attribution: &ngrok, destination: &to, at: NOW };
    let explanation = policy.explain(&subject);
    assert_eq!(explanation.judgement, policy.judge(&subject));
    let steps: Vec<(&str, &str)> =
        explanation.steps.iter().map(|step| (step.rule.as_str(), step.outcome.as_str())).collect();
    assert_eq!(
        steps,
        [
            ("developers", "does not hold the host: not among its hosts"),
            ("staff", "holds the host"),
            ("EX-1", "is for the destination ngrok.io"),
            ("staff/only_expected", "nothing that is listed fits"),
        ]
    );
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
