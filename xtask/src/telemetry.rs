//! Endpoint samples with known truth: which flows `dwell replay --telemetry` joins with the right
//! process. Joins nothing itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::conformance::build_dwell;
use crate::tsv::{self, Row, cell};

/// What is shown to the sensor beside the packets, and what that can tell.
struct Sample {
    name: &'static str,
    telemetry: &'static [&'static str],
    /// Captures that name processes themselves; else those of the clients.
    capture: Option<&'static str>,
    /// Whether it tells on whose behalf a process acts.
    effective: bool,
    /// Whether it tells signatures.
    signatures: bool,
}

const fn files(name: &'static str, telemetry: &'static [&'static str]) -> Sample {
    Sample { name, telemetry, capture: None, effective: false, signatures: false }
}

const fn capture(name: &'static str) -> Sample {
    Sample { name, telemetry: &[], capture: Some(name), effective: true, signatures: false }
}

const SAMPLES: [Sample; 14] = [
    Sample { signatures: true, ..files("santa", &["santa_network_activity.ndjson"]) },
    files("osquery process_open_sockets", &["osquery_process_open_sockets.ndjson"]),
    files("osquery socket_events", &["osquery_socket_events.ndjson"]),
    files("unified log", &["unifiedlog_network.ndjson"]),
    files("nettop", &["nettop.csv"]),
    files("lsof", &["lsof_F.txt"]),
    files("zeek agent", &["zeek-agent-sockets.log"]),
    Sample {
        effective: true,
        signatures: true,
        ..files("eslogger + zeek agent", &["eslogger_exec.ndjson", "zeek-agent-sockets.log"])
    },
    Sample {
        signatures: true,
        ..files(
            "osquery es_process_events + lsof",
            &["osquery_es_process_events.ndjson", "lsof_F.txt"],
        )
    },
    capture("gen_pktap_v1_108.pcap"),
    capture("gen_pktap_v1_156.pcap"),
    capture("gen_pktap_v1_user2.pcap"),
    capture("gen_pktap_v2.pcap"),
    capture("gen_darwin_pib_multilink.pcapng"),
];

/// Runs every sample of the corpus, prints its figures, and fails when a flow is not joined right.
pub(crate) fn run(root: &Path, corpus: &Path, dwell: Option<&Path>) -> anyhow::Result<()> {
    if !corpus.join("endpoint/truth.tsv").is_file() {
        println!("telemetry: SKIPPED: NO CORPUS at {}", corpus.display());
        return Ok(());
    }
    let dwell = match dwell {
        Some(dwell) => dwell.to_owned(),
        None => build_dwell(root)?,
    };
    let truth = tsv::read(&corpus.join("endpoint/truth.tsv"))?;
    let mut failures = Vec::new();
    for sample in &SAMPLES {
        failures.extend(check(&dwell, corpus, sample, &truth)?);
    }
    for failure in &failures {
        println!("  {failure}");
    }
    if failures.is_empty() {
        println!("telemetry: every flow joined with the right process");
        return Ok(());
    }
    bail!("{} flows not joined as the truth says", failures.len())
}

/// Runs one sample; gives what is wrong.
fn check(
    dwell: &Path,
    corpus: &Path,
    sample: &Sample,
    truth: &[Row],
) -> anyhow::Result<Vec<String>> {
    let flows = replay(dwell, corpus, sample)?;
    let mut failures = Vec::new();
    let (mut rows, mut right) = (0, 0);
    for row in truth {
        let Some(flow) = flows.iter().find(|flow| is_of(flow, row)) else {
            // A capture of its own holds some of the flows only.
            if sample.capture.is_none() {
                failures.push(format!("{}: no flow from port {}", sample.name, cell(row, "sport")));
            }
            continue;
        };
        rows += 1;
        match wrong(sample, flow, row) {
            None => right += 1,
            Some(what) => {
                let port = cell(row, "sport");
                failures.push(format!("{}: flow from port {port}: {what}", sample.name));
            }
        }
    }
    if rows == 0 {
        failures.push(format!("{}: no flow of the truth", sample.name));
    }
    println!("{:34} joined {right}/{rows}", sample.name);
    Ok(failures)
}

/// The end records of a replay's flows.
fn replay(dwell: &Path, corpus: &Path, sample: &Sample) -> anyhow::Result<Vec<Value>> {
    let endpoint = corpus.join("endpoint");
    let captures: Vec<PathBuf> = match sample.capture {
        Some(name) => vec![endpoint.join(name)],
        None => captures(&corpus.join("clients"))?,
    };
    let mut command = Command::new(dwell);
    command.args(["replay", "--no-progress", "--format", "eve"]);
    for name in sample.telemetry {
        command.arg("--telemetry").arg(endpoint.join(name));
    }
    let output = command.args(captures).output().with_context(|| format!("{}", dwell.display()))?;
    if !output.status.success() || !output.stderr.is_empty() {
        bail!("{}: {}", sample.name, String::from_utf8_lossy(&output.stderr));
    }
    let lines = String::from_utf8(output.stdout)?;
    let records: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let is_end = |record: &Value| {
        text(record, "/event_type") == "flow" && text(record, "/dwell/record") == "end"
    };
    Ok(records.into_iter().filter(is_end).collect())
}

fn captures(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

fn is_of(flow: &Value, row: &Row) -> bool {
    text(flow, "/src_ip") == cell(row, "src")
        && text(flow, "/dest_ip") == cell(row, "dst")
        && number(flow, "/src_port") == cell(row, "sport")
        && number(flow, "/dest_port") == cell(row, "dport")
}

/// What of a flow's process is not as the truth says.
fn wrong(sample: &Sample, flow: &Value, row: &Row) -> Option<String> {
    if text(flow, "/community_id") != cell(row, "community_id") {
        return Some(format!("Community ID {}", text(flow, "/community_id")));
    }
    if number(flow, "/dwell/process/pid") != cell(row, "pid") {
        return Some(format!("pid {}", number(flow, "/dwell/process/pid")));
    }
    // lsof keeps 9 bytes of a name, nettop 15, PKTAP 16, where Python calls itself `Python`.
    let name = text(flow, "/dwell/process/name").to_lowercase();
    if name.is_empty() || !cell(row, "process").to_lowercase().starts_with(&name) {
        return Some(format!("process {name}"));
    }
    let effective = cell(row, "eff_process");
    if sample.effective && !effective.is_empty() {
        let found = text(flow, "/dwell/process/effective/name");
        if found != effective || text(flow, "/dwell/app/name") != effective {
            return Some(format!("effective process {found}, {}", text(flow, "/dwell/app/name")));
        }
    }
    let signed = ["team_id", "signing_id"];
    let mut signed = signed.iter().filter(|_| sample.signatures);
    signed.find_map(|key| {
        let found = text(flow, &format!("/dwell/process/{key}"));
        (found != cell(row, key)).then(|| format!("{key} {found}"))
    })
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_u64).map(|n| n.to_string()).unwrap_or_default()
}
