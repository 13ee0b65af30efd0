//! `dwell apps` as people meet it: explanations, imports, learning, conflicts.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn dwell(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dwell")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn pcaps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcaps")
}

/// The client captures: one application each, by `pcaps/README.md`.
fn clients() -> Vec<String> {
    let names = ["curl", "wget", "git", "go", "java", "node-https", "node-fetch", "python-urllib"];
    let names = names.into_iter().chain(["python-requests", "rustls", "firefox", "chromium-1"]);
    names.map(str::to_owned).collect()
}

#[test]
fn a_lookup_prints_the_chain_of_rules_tried() {
    let ja4 = "t13d1517h2_8daaf6152771_cb7bf5808d99";
    let lookup =
        ["apps", "lookup", "--ja4", ja4, "--sni", "wss-primary.slack.com", "--at", "2026-11-24"];
    let output = dwell(&lookup);
    assert!(output.status.success());
    let text = stdout(&output);
    assert!(text.starts_with("application  Slack (application)\n"), "{text}");
    assert!(text.contains(&format!("  ja4 {ja4} + slack.com\n  > ")), "{text}");
    assert!(text.contains("Chromium by S"), "{text}");
    assert!(text.contains("outranked"), "{text}");
}

/// Learned from the captures, every hello of theirs is looked up and named as it was learned;
/// clients that share a hello are ambiguous and name each other.
#[test]
fn what_is_learned_from_captures_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("learned.toml");
    let mut arguments = vec!["apps".to_owned(), "learn".to_owned()];
    arguments.extend(["--out".to_owned(), rules.display().to_string()]);
    for client in clients() {
        arguments.push(format!("{client}={}", pcaps().join(format!("{client}.pcap")).display()));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = dwell(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let mut checked = 0;
    for client in clients() {
        let golden = fs::read_to_string(pcaps().join(format!("{client}.jsonl"))).unwrap();
        for row in golden.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let field = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let (ja4, sni) = (field("ja4"), field("sni"));
            let lookup = ["apps", "lookup", "--apps", rules.to_str().unwrap(), "--ja4", &ja4];
            let mut lookup = lookup.to_vec();
            if !sni.is_empty() {
                lookup.extend(["--sni", &sni]);
            }
            let text = stdout(&dwell(&lookup));
            let named = text
                .lines()
                .any(|line| line.starts_with(&format!("candidate    {client} by learned-ja4")));
            assert!(named, "{client} {ja4} {sni}: {text}");
            checked += 1;
        }
    }
    assert!(checked >= clients().len(), "{checked}");
}

#[test]
fn bad_lines_of_labelled_flows_are_named_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let flows = folder.path().join("flows.jsonl");
    let good = r#"{"application":"Slack","ja4":"t13d1517h2_8daaf6152771_cb7bf5808d99","server_name":"slack.com","flows":4}"#;
    fs::write(
        &flows,
        format!("{good}\n{{\"aplication\":1}}\n\n{{\"application\":\"A\",\"ja4\":\"x\"}}\n"),
    )
    .unwrap();
    let output =
        dwell(&["apps", "learn", "--flows", flows.to_str().unwrap(), "--date", "2026-11-24"]);
    assert_eq!(output.status.code(), Some(5));
    let errors = stderr(&output);
    assert!(errors.contains("flows.jsonl:2: unknown field `aplication`"), "{errors}");
    assert!(errors.contains("flows.jsonl:4: `ja4`: `x` is not of the right form"), "{errors}");
    assert!(errors.contains("2 refused"), "{errors}");
    let rules = stdout(&output);
    assert!(rules.contains("application = \"Slack\"") && rules.contains("2026-11-24"), "{rules}");
}

#[test]
fn an_imported_list_can_be_looked_up() {
    let folder = tempfile::tempdir().unwrap();
    let (list, rules) = (folder.path().join("ja3.csv"), folder.path().join("ja3.toml"));
    fs::write(&list, "61d50e7771aee7f2f4b89a7200b4d45e,\"AcroCEF\"\nxyz,\"B\"\n").unwrap();
    let output =
        dwell(&["apps", "import", list.to_str().unwrap(), "--out", rules.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(5), "one line is refused");
    assert!(stderr(&output).contains("ja3.csv:2: `ja3`: `xyz` is not a JA3"));
    let lookup = ["apps", "lookup", "--ja3", "61d50e7771aee7f2f4b89a7200b4d45e", "--apps"];
    let output = dwell(&[&lookup[..], &[rules.to_str().unwrap()]].concat());
    assert!(stdout(&output).starts_with("application  AcroCEF (application)\n"));
}

#[test]
fn shared_fingerprints_are_listed_with_their_applications() {
    let output = dwell(&["apps", "conflicts", "--key", "t13d1517h2_8daaf6152771_cb7bf5808d99"]);
    let text = stdout(&output);
    assert!(text.starts_with("ja4 t13d1517h2_8daaf6152771_cb7bf5808d99\n"), "{text}");
    assert!(text.contains("  Slack: "), "{text}");
    assert!(text.ends_with("1 fingerprints are shared by several applications\n"), "{text}");
}
