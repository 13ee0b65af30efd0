//! Records in every form: EVE against the schema that ships, ECS and OCSF against golden files.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn captures() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(root().join("pcaps"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".pcap"))
        .collect();
    found.push(root().join("pcaps/demo-office.pcap.gz"));
    found.sort();
    found
}

fn replay(format: &str, capture: &Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_dwell"))
        .args(["replay", "--format", format])
        .arg(capture)
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_record_fits_the_schema_that_ships() {
    let text = fs::read_to_string(root().join("docs/schema/eve.schema.json")).unwrap();
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    // One definition a kind of record says what is wrong; `oneOf` says only that something is.
    let kinds = schema["oneOf"].take();
    let kinds: Vec<String> = kinds
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
        .collect();
    let validator = |kind: &str| {
        let one = serde_json::json!({
            "$schema": schema["$schema"], "$ref": format!("#/$defs/{kind}"), "$defs": schema["$defs"],
        });
        jsonschema::validator_for(&one).unwrap()
    };
    let validators: Vec<_> = kinds.iter().map(|kind| (kind.as_str(), validator(kind))).collect();
    let mut seen = vec![0usize; kinds.len()];
    for capture in captures() {
        for record in replay("eve", &capture) {
            let kind = record["event_type"].as_str().unwrap();
            let place = validators.iter().position(|(known, _)| *known == kind);
            let place = place.unwrap_or_else(|| panic!("{kind} is not in the schema"));
            seen[place] += 1;
            if let Err(error) = validators[place].1.validate(&record) {
                panic!("{}: {kind} at {}: {error}", capture.display(), error.instance_path());
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "{kinds:?}: {seen:?}");
}

/// The records that a golden file has: one of each kind, the demo's finding last.
fn sample(format: &str, is_finding: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut records = Vec::new();
    for name in ["curl.pcap", "curl-clear.pcap", "chromium-quic.pcap"] {
        records.extend(replay(format, &root().join("pcaps").join(name)));
    }
    let demo = replay(format, &root().join("pcaps/demo-office.pcap.gz"));
    records.extend(demo.into_iter().rfind(is_finding));
    records
}

fn golden(format: &str, records: &[Value]) {
    let path = root().join(format!("crates/dwell/tests/golden/{format}.jsonl"));
    let text: String = records.iter().map(|record| format!("{record}\n")).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (found, expected) in text.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "{}: UPDATE_GOLDEN=1 writes it anew", path.display());
    }
    assert_eq!(text.lines().count(), expected.lines().count());
}

/// Required by ECS 9.4: `@timestamp`, `ecs.version`; allowed values of `event.kind`, `category` and
/// `type` (ECS field reference, "Event Fields").
#[test]
fn ecs_documents_have_their_required_fields_and_allowed_values() {
    let records = sample("ecs", |record| record["event"]["kind"] == "alert");
    assert_eq!(records.last().unwrap()["event"]["kind"], "alert");
    let kinds = ["alert", "event", "metric"];
    let categories = ["network", "web"];
    let types = ["connection", "start", "end", "info", "protocol", "indicator"];
    let all = |value: &Value, allowed: &[&str]| {
        value.as_array().unwrap().iter().all(|one| allowed.contains(&one.as_str().unwrap()))
    };
    for record in &records {
        let time = record["@timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.len() == 27, "{time}");
        assert_eq!(record["ecs"]["version"], "9.4.0");
        let event = &record["event"];
        assert!(kinds.contains(&event["kind"].as_str().unwrap()), "{event}");
        assert!(all(&event["category"], &categories) && all(&event["type"], &types), "{event}");
    }
    golden("ecs", &records);
}

/// Required by OCSF 1.5: the base event's attributes, those of each class, and the arithmetic of
/// its numbers (schema browser, "Base Event", "Network Activity", "HTTP Activity", "Detection
/// Finding").
#[test]
fn ocsf_events_have_their_required_attributes_and_add_up() {
    let records = sample("ocsf", |record| record["class_uid"] == 2004);
    let number = |record: &Value, name: &str| record[name].as_u64().unwrap();
    let mut classes = Vec::new();
    for record in &records {
        let class = number(record, "class_uid");
        classes.push(class);
        assert_eq!(number(record, "category_uid"), class / 1000);
        assert_eq!(number(record, "type_uid"), class * 100 + number(record, "activity_id"));
        assert!(number(record, "severity_id") <= 6 && number(record, "time") > 1_000_000_000_000);
        assert_eq!(record["metadata"]["version"], "1.5.0");
        assert!(record["metadata"]["product"]["vendor_name"].is_string());
        match class {
            4001 => assert!(record["dst_endpoint"]["ip"].is_string()),
            4002 => assert!(record["http_request"]["http_method"].is_string()),
            2004 => {
                let info = &record["finding_info"];
                assert!(info["uid"].is_string() && info["title"].is_string());
                assert_eq!(info["analytic"]["uid"], "AN0146");
                assert_eq!(info["attacks"][0]["technique"]["uid"], "T1001");
            }
            other => panic!("class {other}"),
        }
        if let Some(tls) = record.get("tls") {
            assert!(tls["version"].is_string(), "tls.version is required");
        }
    }
    classes.sort_unstable();
    classes.dedup();
    assert_eq!(classes, [2004, 4001, 4002]);
    golden("ocsf", &records);
}

#[test]
fn a_report_is_one_file_with_the_finding_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let status = Command::new(env!("CARGO_BIN_EXE_dwell"))
        .args(["replay", "--sessions", "0", "--report"])
        .args([&path, &root().join("pcaps/demo-office.pcap.gz")])
        .output()
        .unwrap()
        .status;
    assert!(status.success());
    let html = fs::read_to_string(&path).unwrap();
    let json = html.split("id=\"records\">").nth(1).unwrap().split("</script>").next().unwrap();
    let lines: Vec<Value> = serde_json::from_str(json).unwrap();
    let of = |kind: &str| lines.iter().filter(|line| line["event_type"] == kind).count();
    assert_eq!(of("alert"), 1);
    assert!(of("session") > 100);
}
