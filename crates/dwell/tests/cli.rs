//! The command as people and scripts meet it: outputs, errors, exit codes.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn dwell(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dwell")).args(arguments).output().unwrap()
}

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcaps").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The demo's one intruder: as `demo-office.labels.json`, written by the generator, has it.
#[test]
fn the_demo_has_exactly_the_finding_that_its_labels_name() {
    let labels = fs::read_to_string(capture("demo-office.labels.json")).unwrap();
    let labels: Value = serde_json::from_str(&labels).unwrap();
    let intruder = labels["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|session| session["unexpected"] == true)
        .map(|session| session["ip"].as_str().unwrap().to_owned())
        .collect::<std::collections::BTreeSet<_>>();
    let output = dwell(&["replay", "--format", "eve", text(&capture("demo-office.pcap.gz"))]);
    assert!(output.status.success());
    let alerts: Vec<Value> =
        lines(&output).into_iter().filter(|line| line["event_type"] == "alert").collect();
    let ids: std::collections::BTreeSet<&str> =
        alerts.iter().map(|alert| alert["dwell"]["finding_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1, "one finding");
    let hosts: std::collections::BTreeSet<String> =
        alerts.iter().map(|alert| alert["src_ip"].as_str().unwrap().to_owned()).collect();
    assert_eq!(hosts, intruder);
    let metadata = &alerts[0]["alert"]["metadata"];
    assert_eq!(metadata["mitre_analytic"][0], "AN0146");
    assert!(alerts[0]["dwell"]["reasons"].as_array().unwrap().len() >= 3);
}

#[test]
fn a_replay_twice_gives_the_same_bytes() {
    let run = || dwell(&["replay", "--format", "eve", text(&capture("demo-office.pcap.gz"))]);
    assert!(run().stdout == run().stdout);
}

/// However the bytes come, and however many threads take them.
#[test]
fn any_number_of_workers_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let stored = capture("demo-office.pcap.gz");
    let plain = folder.path().join("capture");
    let mut bytes = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(fs::File::open(&stored).unwrap());
    std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
    fs::write(&plain, &bytes).unwrap();
    let compressed = folder.path().join("capture.zst");
    fs::write(&compressed, zstd::encode_all(bytes.as_slice(), 1).unwrap()).unwrap();
    let run = |path: &Path, workers: &str| {
        let output = dwell(&["replay", "--format", "eve", "--workers", workers, text(path)]);
        assert!(output.status.success());
        // The file's name is in every line.
        stdout(&output).replace(text(path), "capture")
    };
    let one = run(&plain, "1");
    assert!(one.lines().count() > 100);
    for workers in ["1", "2", "8"] {
        for path in [&plain, &compressed, &stored] {
            assert!(run(path, workers) == one, "{workers} workers, {}", path.display());
        }
    }
}

#[test]
fn standard_input_is_a_capture_too() {
    let path = capture("curl.pcap");
    let from_file = dwell(&["fingerprint", "--format", "jsonl", text(&path)]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_dwell"))
        .args(["fingerprint", "--format", "jsonl", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(&path).unwrap()).unwrap();
    let from_stdin = child.wait_with_output().unwrap();
    assert_eq!(lines(&from_stdin)[0]["ja4"], lines(&from_file)[0]["ja4"]);
}

#[test]
fn a_cut_file_gives_what_comes_before_the_cut_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(capture("curl.pcap")).unwrap();
    let cut = folder.path().join("cut.pcap");
    fs::write(&cut, &whole[..whole.len() - 7]).unwrap();
    let output = dwell(&["fingerprint", "--format", "jsonl", text(&cut)]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(lines(&output).len(), 1);
    let error = stderr(&output);
    assert!(error.contains("cut.pcap") && error.contains("byte"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn what_cannot_be_opened_is_one_clear_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let text_file = folder.path().join("notes.txt");
    fs::write(&text_file, "these are not packets at all, only words").unwrap();
    let unknown_link = folder.path().join("link147.pcap");
    let mut bytes = fs::read(capture("curl.pcap")).unwrap();
    bytes[20..24].copy_from_slice(&147u32.to_le_bytes());
    fs::write(&unknown_link, bytes).unwrap();
    let missing = folder.path().join("missing.pcap");
    for (path, word) in [
        (text(&missing), "missing.pcap"),
        (text(folder.path()), "directory"),
        (text(&text_file), "notes.txt"),
        (text(&unknown_link), "link type 147"),
    ] {
        for command in ["fingerprint", "replay"] {
            let output = dwell(&[command, path]);
            let error = stderr(&output);
            assert_eq!(output.status.code(), Some(4), "{command} {path}: {error}");
            assert!(error.contains(word), "{command} {path}: {error}");
            assert_eq!(error.lines().count(), 1, "{command} {path}: {error}");
        }
    }
}

#[test]
fn one_bad_file_does_not_hide_the_others() {
    let output =
        dwell(&["fingerprint", "--format", "jsonl", "missing.pcap", text(&capture("go.pcap"))]);
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(lines(&output).len(), 1);
}

#[test]
fn fail_on_turns_findings_into_an_exit_code() {
    let demo = capture("demo-office.pcap.gz");
    let code = |level| dwell(&["replay", "--fail-on", level, text(&demo)]).status.code();
    assert_eq!(code("watch"), Some(10));
    let quiet = capture("curl.pcap");
    let output = dwell(&["replay", "--fail-on", "watch", text(&quiet)]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_longer_session_duration_finds_less() {
    let demo = capture("demo-office.pcap.gz");
    let output = dwell(&["replay", "--session-duration", "6h", text(&demo)]);
    assert!(stdout(&output).contains("no findings"), "{}", stdout(&output));
    let wrong = dwell(&["replay", "--session-duration", "6", text(&demo)]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("unit"));
}

#[test]
fn colour_is_for_terminals_and_for_who_asks() {
    let demo = capture("demo-office.pcap.gz");
    assert!(!stdout(&dwell(&["replay", text(&demo)])).contains('\x1b'));
    assert!(stdout(&dwell(&["--color", "always", "replay", text(&demo)])).contains('\x1b'));
}

#[test]
fn a_wrong_policy_names_file_and_key_and_ends_with_three() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "no_such_key = 1\n").unwrap();
    let output = dwell(&["replay", "--policy", text(&policy), text(&capture("curl.pcap"))]);
    assert_eq!(output.status.code(), Some(3));
    let error = stderr(&output);
    assert!(error.contains("policy.toml") && error.contains("no_such_key"), "{error}");
}

#[test]
fn a_filter_leaves_only_what_it_matches() {
    let demo = capture("demo-office.pcap.gz");
    let filter = "host 10.20.3.25 and tcp port 443";
    let output = dwell(&["replay", "--format", "eve", "--filter", filter, text(&demo)]);
    let all = lines(&output);
    assert!(all.iter().any(|line| line["event_type"] == "tls"));
    let other = |line: &&Value| line.get("src_ip").is_some_and(|ip| ip != "10.20.3.25");
    assert_eq!(all.iter().find(other), None);
    let wrong = dwell(&["replay", "--filter", "tcp prot 443", text(&demo)]);
    assert_eq!(wrong.status.code(), Some(3));
    assert!(stderr(&wrong).contains("tcp prot 443"), "{}", stderr(&wrong));
}

#[test]
fn lookups_name_their_rule() {
    let output = dwell(&["apps", "lookup", "--user-agent", "curl/8.5.0"]);
    assert!(output.status.success());
    assert!(stdout(&output).contains("curl"), "{}", stdout(&output));
    assert!(stdout(&output).contains("rule"), "{}", stdout(&output));
}

#[test]
fn every_frame_is_counted_once() {
    let output = dwell(&["replay", "--format", "eve", text(&capture("demo-office.pcap.gz"))]);
    let all = lines(&output);
    let stats = &all.last().unwrap()["stats"];
    let count = |value: &Value| value.as_u64().unwrap();
    let decode = &stats["decode"];
    let discarded: u64 = decode["discarded"].as_object().unwrap().values().map(count).sum();
    let given = count(&decode["tcp_segments"]) + count(&decode["udp_datagrams"]);
    assert_eq!(count(&decode["frames"]), given + discarded);
    assert_eq!(count(&stats["flow"]["opened"]), count(&stats["flow"]["ended"]));
    let ends =
        all.iter().filter(|line| line["event_type"] == "flow" && line["dwell"]["record"] == "end");
    assert_eq!(u64::try_from(ends.count()).unwrap(), count(&stats["flow"]["ended"]));
}
