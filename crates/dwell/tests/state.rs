//! A sensor that is killed at any moment and started again: what it told, and what it still knows.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcaps/demo-office.pcap.gz")
}

/// A configuration that keeps everything in `folder`.
fn configure(folder: &Path) -> PathBuf {
    let path = folder.join("dwell.toml");
    let at = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "[state]\ndatabase = {:?}\nevery = \"1s\"\n[evidence]\ndir = {:?}\nrecent = \"4MiB\"\n\
         [[output]]\nname = \"eve\"\ntype = \"file\"\npath = {:?}\n[http]\nlisten = \"off\"\n",
        at("dwell.db"),
        at("evidence"),
        at("eve.json"),
    );
    fs::write(&path, text).unwrap();
    path
}

fn sensor(folder: &Path, speed: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_dwell"))
        .args(["replay", "--speed", speed, "--config"])
        .arg(configure(folder))
        .arg(demo())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs to the end of the capture.
fn run(folder: &Path, speed: &str) {
    let output = sensor(folder, speed).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The lines of the log; every one of them is whole.
fn lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("eve.json")).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How often each step of each finding was told.
fn told(lines: &[Value]) -> BTreeMap<(String, String, String), usize> {
    let mut told = BTreeMap::new();
    for line in lines.iter().filter(|line| line["event_type"] == "alert") {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let step = (
            text(&line["dwell"]["finding_id"]),
            text(&line["dwell"]["record"]),
            text(&line["timestamp"]),
        );
        *told.entry(step).or_insert(0) += 1;
    }
    told
}

/// Kills a sensor once its log has grown by `more` bytes; gives whether it was still running.
fn kill_after(folder: &Path, more: u64) -> bool {
    let size = || fs::metadata(folder.join("eve.json")).map_or(0, |known| known.len());
    let wanted = size() + more;
    let mut sensor = sensor(folder, "3000");
    while size() < wanted {
        if sensor.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    sensor.kill().unwrap();
    sensor.wait().unwrap();
    true
}

#[test]
fn a_sensor_that_is_killed_tells_each_finding_once_and_goes_on_with_its_sessions() {
    let (reference, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(reference.path(), "max");
    let kills = (0..6).filter(|_| kill_after(killed.path(), 1_200_000)).count();
    assert!(kills >= 4, "killed {kills} times only");
    run(killed.path(), "3000");
    let (whole, pieces) = (lines(reference.path()), lines(killed.path()));
    let (expected, found) = (told(&whole), told(&pieces));
    assert!(!expected.is_empty());
    let opened = |told: &BTreeMap<(String, String, String), usize>| {
        let opened = told.iter().filter(|((_, record, _), _)| record == "opened");
        opened.map(|((id, ..), count)| (id.clone(), *count)).collect::<Vec<_>>()
    };
    assert_eq!(opened(&found), opened(&expected));
    assert!(found.values().all(|count| *count == 1), "{found:#?}");
    // The session of the finding is the one that it was, all of its connections counted once.
    let last = |lines: &[Value], what: &str| {
        let alerts = lines.iter().rfind(|line| line["event_type"] == "alert").unwrap();
        alerts["dwell"]["session"][what].clone()
    };
    for what in ["session_id", "start", "parts", "bytes_out", "bytes_in"] {
        assert_eq!(last(&pieces, what), last(&whole, what), "{what}");
    }
}

#[test]
fn a_sensor_that_ends_goes_on_with_its_sessions_and_closes_none() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), "max");
    let first = lines(folder.path());
    assert!(told(&first).keys().all(|(_, record, _)| record != "closed"), "{:#?}", told(&first));
    // The capture again: everything in it was taken in.
    run(folder.path(), "max");
    let again = lines(folder.path());
    assert_eq!(told(&first), told(&again));
    let stats: Vec<&Value> = again.iter().filter(|line| line["event_type"] == "stats").collect();
    assert_eq!(stats.last().unwrap()["stats"]["decode"]["frames"], 0);
}

/// A piece of a line is what a killed process can leave behind.
#[test]
fn a_torn_line_is_cut_off_before_more_is_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("eve.json"), "{\"event_type\":\"old\"}\n{\"event_ty").unwrap();
    run(folder.path(), "max");
    assert_eq!(lines(folder.path())[0]["event_type"], "old");
}

#[test]
fn evidence_has_the_hello_of_its_session_and_says_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), "max");
    let alerts = lines(folder.path());
    let alert = alerts.iter().find(|line| line["event_type"] == "alert").unwrap();
    let evidence = PathBuf::from(alert["dwell"]["evidence"]["path"].as_str().unwrap());
    assert_eq!(evidence.parent().unwrap(), folder.path().join("evidence"));
    let output = Command::new(env!("CARGO_BIN_EXE_dwell"))
        .args(["fingerprint", "--format", "jsonl"])
        .arg(evidence.join("packets.pcap"))
        .output()
        .unwrap();
    assert!(output.status.success());
    let rows = String::from_utf8(output.stdout).unwrap();
    let name = alert["dwell"]["session"]["dest"]["name"].as_str().unwrap();
    assert!(rows.lines().any(|row| row.contains(name)), "{name}: {rows}");
    let records = fs::read_to_string(evidence.join("records.jsonl")).unwrap();
    let id = &alert["dwell"]["session"]["session_id"];
    let kinds: Vec<Value> =
        records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(kinds.iter().all(|line| line["dwell"]["session_id"] == *id), "{id}");
    for kind in ["tls", "flow"] {
        assert!(kinds.iter().any(|line| line["event_type"] == kind), "{kind}");
    }
    let baseline = fs::read(evidence.join("baseline.json")).unwrap();
    let baseline: Value = serde_json::from_slice(&baseline).unwrap();
    assert_eq!(baseline["finding_id"], alert["dwell"]["finding_id"]);
    assert!(baseline["baseline"]["other_hosts"].as_u64().unwrap() > 0);
}

/// The same from a replay, packed with the digest of every file.
#[test]
fn a_bundle_has_every_file_of_a_finding_and_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let dwell = |arguments: &[&str], paths: &[(&str, PathBuf)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dwell"));
        command.args(arguments);
        for (name, path) in paths {
            command.arg(name).arg(path);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let paths = [("--evidence", at("evidence")), ("--baseline", at("dwell.db"))];
    let demo = demo().display().to_string();
    dwell(&["replay", "--format", "eve", &demo], &paths);
    let list = dwell(&["findings", "list"], &[("--database", at("dwell.db"))]);
    let id = list.split_whitespace().next().unwrap().to_owned();
    let paths = [("--bundle", at("out.tar.zst")), ("--database", at("dwell.db"))];
    let said = dwell(&["findings", "export", &id], &paths);
    for file in ["finding.json", "finding.jsonl", "records.jsonl", "baseline.json", "packets.pcap"]
    {
        assert!(said.contains(file), "{file}: {said}");
    }
    let file = fs::File::open(at("out.tar.zst")).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    archive.unpack(at("unpacked")).unwrap();
    let folder = fs::read_dir(at("unpacked")).unwrap().next().unwrap().unwrap().path();
    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(String::from_utf8(checked.stdout).unwrap().lines().count(), 5);
}
