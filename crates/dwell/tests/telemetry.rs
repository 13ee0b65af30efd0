//! Endpoint telemetry as the command takes it: joined, told in records, and refused where bad.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcaps").join(name)
}

fn replay(capture: &Path, telemetry: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dwell"));
    command.args(["replay", "--format", "eve"]).arg(capture);
    for path in telemetry {
        command.arg("--telemetry").arg(path);
    }
    command.output().unwrap()
}

fn records(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn flow(output: &Output) -> Value {
    let is_flow = |record: &Value| {
        record["event_type"] == "flow"
            && record["dwell"]["record"] == "end"
            && record["dest_port"] == 443
    };
    records(output).into_iter().find(is_flow).unwrap()
}

/// A line in dwell's own shape for the TLS flow of `pcaps/curl.pcap`, by Community ID.
fn line(process: &str) -> String {
    let flow = flow(&replay(&capture("curl.pcap"), &[]));
    format!(
        "{{\"timestamp\":\"{}\",\"community_id\":{},\"pid\":77,\"path\":\"{process}\"}}\n",
        flow["flow"]["start"].as_str().unwrap(),
        flow["community_id"],
    )
}

fn write(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("telemetry.ndjson");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn the_endpoints_word_counts_and_agrees_with_the_wire() {
    let (_folder, path) = write(&line("/usr/bin/curl"));
    let flow = flow(&replay(&capture("curl.pcap"), &[&path]));
    assert_eq!(flow["dwell"]["app"]["source"], "endpoint");
    assert_eq!(flow["dwell"]["process"]["pid"], 77);
    assert_eq!(flow["dwell"]["process"]["join"], "community_id");
    assert_eq!(flow["dwell"]["process"]["wire"]["agreement"], "agrees");
}

#[test]
fn a_process_that_cannot_be_what_the_wire_shows_is_a_contradiction() {
    let (_folder, path) = write(&line("/Applications/Firefox.app/Contents/MacOS/firefox"));
    let output = replay(&capture("curl.pcap"), &[&path]);
    let flow = flow(&output);
    assert_eq!(flow["dwell"]["app"]["name"], "Firefox");
    assert_eq!(flow["dwell"]["process"]["wire"]["agreement"], "disagrees");
    let told = flow["dwell"]["app"]["contradictions"][0].as_str().unwrap();
    assert!(told.starts_with("the endpoint names the process Firefox"), "{told}");
    let stats = records(&output).pop().unwrap();
    assert_eq!(stats["stats"]["telemetry"]["disagreements"], 1);
}

#[test]
fn a_bad_line_is_named_and_the_rest_is_kept() {
    let (_folder, path) = write(&format!("{{\"pid\":\"x\"}}\n{}", line("/usr/bin/curl")));
    let output = replay(&capture("curl.pcap"), &[&path]);
    assert!(output.status.success());
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(told.contains(":1: `pid`: a whole number is needed"), "{told}");
    assert_eq!(flow(&output)["dwell"]["process"]["pid"], 77);
}

#[test]
fn telemetry_that_is_not_there_is_an_error() {
    let output = replay(&capture("curl.pcap"), &[Path::new("nowhere.ndjson")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere.ndjson"));
}

/// What Apple's headers say, checked against the values that the generator of the captures wrote.
#[test]
fn captures_that_name_processes_need_no_telemetry() {
    for name in ["apple-pktap-v1.pcap", "apple-pktap-v2.pcap", "apple-processes.pcapng"] {
        let output = replay(&capture(name), &[]);
        let records = records(&output);
        let of_port = |port: u64| {
            let is_end =
                |record: &&Value| record["dwell"]["record"] == "end" && record["src_port"] == port;
            records.iter().find(is_end).unwrap()["dwell"].clone()
        };
        let python = of_port(56232);
        assert_eq!(python["process"]["pid"], 4711, "{name}");
        assert_eq!(python["process"]["name"], "Python", "{name}");
        assert_eq!(python["process"]["effective"]["pid"], 4700, "{name}");
        assert_eq!(python["app"]["name"], "osascript", "{name}: the effective process counts");
        assert_eq!(of_port(39742)["app"]["name"], "Safari", "{name}");
    }
}

#[test]
fn coverage_tells_what_could_not_be_seen_of_each_host() {
    let coverage = |telemetry: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dwell"));
        command.args(["coverage", "--format", "jsonl"]).arg(capture("curl.pcap"));
        if let Some(path) = telemetry {
            command.arg("--telemetry").arg(path);
        }
        records(&command.output().unwrap())
    };
    let blind = coverage(None);
    assert_eq!(blind.len(), 2, "one host, and all");
    assert_eq!(blind[0]["limits"]["no_telemetry"], blind[0]["flows"]);
    assert_eq!(blind[1]["flows"], blind[0]["flows"]);
    let (_folder, path) = write(&line("/usr/bin/curl"));
    let seeing = coverage(Some(&path));
    assert_eq!(seeing[0]["limits"]["no_telemetry"], Value::Null);
}

#[test]
fn an_inventory_names_hosts_and_a_bad_line_is_told() {
    let (_folder, path) = write("address,name,user,tags\nnowhere,x,,\n192.0.2.2,mac-9,eva,lab\n");
    let blind = flow(&replay(&capture("curl.pcap"), &[]));
    let address = blind["src_ip"].as_str().unwrap();
    fs::write(&path, format!("address,name,user,tags\nnowhere,x,,\n{address},mac-9,eva,lab\n"))
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dwell"))
        .args(["replay", "--format", "eve", "--inventory"])
        .arg(&path)
        .arg(capture("curl.pcap"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(":2: `address`: no IP address"), "{told}");
    let host = flow(&output)["dwell"]["host"].clone();
    assert_eq!(host["name"], "mac-9");
    assert_eq!(host["owner"], "eva");
    assert_eq!(host["tags"][0], "lab");
}
