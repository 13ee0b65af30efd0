//! A labelled capture end to end: `dwell replay` from packets to findings, held against the labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use dwell_attribution::telemetry::date_time;
use dwell_packet::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// The part of a label file (`dwell-scenario/1`) that is asked for.
#[derive(Deserialize)]
struct Labels {
    hosts: Vec<LabelledHost>,
    campaigns: Vec<Campaign>,
    start: f64,
    end: f64,
}

#[derive(Deserialize)]
struct LabelledHost {}

#[derive(Deserialize)]
struct Campaign {
    campaign: u32,
    family: String,
    host: String,
    first: f64,
    flows: u64,
    sni: Vec<String>,
    dst: Vec<String>,
    ja4: Vec<String>,
}

/// A finding as it was opened.
struct Opened {
    at: f64,
    host: String,
    destination: String,
    analytic: String,
    outcome: String,
    sentence: String,
    score: f64,
}

/// Replays `capture` with the command at `dwell` and prints what of `labels` was found.
///
/// # Errors
/// When the replay fails, or a file is not what it should be.
pub(crate) fn run(dwell: &Path, capture: &Path, labels: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(labels).with_context(|| format!("{}", labels.display()))?;
    let labels: Labels =
        serde_json::from_str(&text).with_context(|| format!("{}", labels.display()))?;
    let records = replay(dwell, capture)?;
    let findings = opened(&records);
    print_findings(&labels, &findings);
    print_hellos(&labels, &records);
    print_flows(&labels, &records);
    Ok(())
}

fn replay(dwell: &Path, capture: &Path) -> anyhow::Result<Vec<Value>> {
    let output = Command::new(dwell)
        .args(["replay", "--no-progress", "--format", "eve"])
        .arg(capture)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{}", dwell.display()))?;
    if !output.status.success() {
        bail!("{} gave {}", dwell.display(), output.status);
    }
    let lines = std::str::from_utf8(&output.stdout).context("a record is no text")?;
    lines.lines().map(|line| serde_json::from_str(line).context("a record is no JSON")).collect()
}

/// Findings as they were opened, with the highest score they came to; the surest first, as an
/// analyst reads them.
fn opened(records: &[Value]) -> Vec<Opened> {
    let mut findings: BTreeMap<&str, Opened> = BTreeMap::new();
    for record in records.iter().filter(|record| text(record, "/event_type") == "alert") {
        let score = record.pointer("/dwell/score").and_then(Value::as_f64).unwrap_or(f64::NAN);
        let finding = findings.entry(text(record, "/dwell/finding_id")).or_insert_with(|| Opened {
            at: seconds(text(record, "/dwell/opened")),
            host: text(record, "/dwell/session/host/ip").to_owned(),
            destination: text(record, "/dwell/session/dest/group").to_owned(),
            analytic: text(record, "/alert/metadata/mitre_analytic/0").to_owned(),
            outcome: text(record, "/dwell/session/app/outcome").to_owned(),
            sentence: text(record, "/alert/signature").to_owned(),
            score,
        });
        finding.score = finding.score.max(score);
    }
    let mut findings: Vec<Opened> = findings.into_values().collect();
    findings.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.at.total_cmp(&b.at)));
    findings
}

fn print_findings(labels: &Labels, findings: &[Opened]) {
    let mut found: BTreeMap<u32, (usize, f64)> = BTreeMap::new();
    let mut wrong = BTreeSet::new();
    for (place, finding) in findings.iter().enumerate() {
        let campaign = labels.campaigns.iter().find(|campaign| campaign.is_found_by(finding));
        let verdict = campaign.map_or("false", |campaign| campaign.family.as_str());
        println!(
            "  {:2} {:<11} {} {:4.1} bits after {:4.1} h: {}",
            place + 1,
            verdict,
            finding.analytic,
            finding.score,
            (finding.at - labels.start) / 3600.0,
            finding.sentence
        );
        match campaign {
            Some(campaign) => {
                let hours = (finding.at - campaign.first) / 3600.0;
                found.entry(campaign.campaign).or_insert((place + 1, hours));
            }
            None => {
                wrong.insert((&finding.host, &finding.destination));
            }
        }
    }
    let days = labels.hosts.len() as f64 * (labels.end - labels.start) / 86_400.0;
    let unattributed = findings.iter().filter(|one| one.outcome == "unattributed").count();
    let early = found.values().filter(|(place, _)| *place <= FIRST).count();
    println!(
        "campaigns {} of {} found, {early} of them within the first {FIRST} findings; {} false in {days:.1} host-days; on unattributed flows {unattributed}",
        found.len(),
        labels.campaigns.len(),
        wrong.len(),
    );
    for campaign in &labels.campaigns {
        match found.get(&campaign.campaign) {
            Some((place, hours)) => {
                println!("  {:<11} finding {place}, {hours:.2} h after its start", campaign.family);
            }
            None => println!("  {:<11} missed", campaign.family),
        }
    }
}

/// How many TLS flows of campaigns have the names and fingerprints of their labels.
fn print_hellos(labels: &Labels, records: &[Value]) {
    let (mut all, mut right) = (0_u64, 0_u64);
    for record in records {
        let of_campaign = |campaign: &&Campaign| {
            text(record, "/src_ip") == campaign.host
                && campaign.dst.iter().any(|dst| dst == text(record, "/dest_ip"))
        };
        let Some(hello) = record.pointer("/tls").or_else(|| record.pointer("/quic")) else {
            continue;
        };
        if let Some(campaign) = labels.campaigns.iter().find(of_campaign) {
            let name = hello.pointer("/sni").and_then(Value::as_str).unwrap_or_default();
            let ja4 = hello.pointer("/ja4").and_then(Value::as_str).unwrap_or_default();
            let named = campaign.sni.is_empty() || campaign.sni.iter().any(|sni| sni == name);
            all += 1;
            right += u64::from(named && campaign.ja4.iter().any(|label| label == ja4));
        }
    }
    println!("hellos of campaigns with the labels' SNI and JA4: {right} of {all}");
}

/// How many flows each campaign has, by the labels and by the records.
fn print_flows(labels: &Labels, records: &[Value]) {
    for campaign in &labels.campaigns {
        let ended = records.iter().filter(|record| {
            text(record, "/event_type") == "flow"
                && text(record, "/dwell/record") == "end"
                && text(record, "/src_ip") == campaign.host
                && campaign.dst.iter().any(|dst| dst == text(record, "/dest_ip"))
        });
        println!("  {:<11} {} flows, labelled {}", campaign.family, ended.count(), campaign.flows);
    }
}

impl Campaign {
    fn is_found_by(&self, finding: &Opened) -> bool {
        let named = |name: &String| {
            name.strip_suffix(finding.destination.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        finding.host == self.host
            && (self.sni.iter().any(named)
                || self.dst.contains(&finding.destination)
                || self.dst.iter().any(|dst| format!("ip:{dst}") == finding.destination))
    }
}

fn text<'r>(record: &'r Value, pointer: &str) -> &'r str {
    record.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Seconds since 1970 of a record's time, such as `2026-11-01T12:00:00.000000+0000`.
fn seconds(time: &str) -> f64 {
    date_time(time).map_or(f64::NAN, |at| at.saturating_since(Timestamp::ZERO).as_secs_f64())
}

/// Findings that are read at once.
const FIRST: usize = 5;

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_read_back() {
        assert!((seconds("1970-01-01T00:00:00.000000+0000") - 0.0).abs() < 1e-6);
        assert!((seconds("2025-06-15T00:00:00.250000+0000") - 1_749_945_600.25).abs() < 1e-3);
        assert!((seconds("2024-02-29T23:59:59.000000+0000") - 1_709_251_199.0).abs() < 1e-3);
        assert!(seconds("yesterday").is_nan());
    }
}
