//! What records tell that no counter holds: why flows ended, how long they lasted, how they were
//! named, which findings opened.

use std::collections::BTreeMap;

use dwell_attribution::{Attribution, EvidenceLevel, Outcome};
use dwell_detect::{Analytic, Level, Life};
use dwell_engine::{FlowRecord, HandshakeRecord, Moment, Record};
use dwell_flow::EndReason;
use dwell_proto::Handshake;
use prometheus::{Error, Histogram, IntCounter, IntCounterVec};

use super::family::Family;

/// Upper bounds of the buckets of flow durations, in seconds: a second to three days.
const DURATIONS_S: [f64; 13] = [
    1.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 43_200.0, 86_400.0,
    259_200.0,
];

/// Counts of records, kept as plain integers until they are added to the metrics.
///
/// Its size is bounded by the numbers of our own names, but for the durations, which are those of
/// the flows that ended since the last fold.
#[derive(Clone, Debug, Default)]
pub struct RecordTally {
    ended: BTreeMap<&'static str, u64>,
    durations_s: Vec<f64>,
    hellos: BTreeMap<(&'static str, &'static str), u64>,
    http_requests: u64,
    attributions: BTreeMap<&'static str, u64>,
    alerts: BTreeMap<(&'static str, &'static str), u64>,
    gap_bytes: u64,
    one_sided: u64,
}

impl RecordTally {
    /// Takes one record in.
    pub fn take(&mut self, record: &Record) {
        match record {
            Record::Flow(flow) => self.flow(flow),
            Record::Handshake(handshake) => {
                *self.hellos.entry(hello(handshake)).or_default() += 1;
            }
            Record::Http(_) => self.http_requests += 1,
            Record::Finding(finding) if finding.life == Life::Opened => {
                let labels = (finding.analytic.id(), finding.level.name());
                *self.alerts.entry(labels).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: Self) {
        for (reason, count) in other.ended {
            *self.ended.entry(reason).or_default() += count;
        }
        for (labels, count) in other.hellos {
            *self.hellos.entry(labels).or_default() += count;
        }
        for (result, count) in other.attributions {
            *self.attributions.entry(result).or_default() += count;
        }
        for (labels, count) in other.alerts {
            *self.alerts.entry(labels).or_default() += count;
        }
        let room = MAX_DURATIONS.saturating_sub(self.durations_s.len());
        self.durations_s.extend(other.durations_s.into_iter().take(room));
        self.http_requests += other.http_requests;
        self.gap_bytes += other.gap_bytes;
        self.one_sided += other.one_sided;
    }

    /// Flows that ended with traffic one way only, since the last fold.
    #[must_use]
    pub const fn one_sided(&self) -> u64 {
        self.one_sided
    }

    /// Flows that ended since the last fold.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.ended.values().sum()
    }

    fn flow(&mut self, record: &FlowRecord) {
        match record.moment {
            Moment::Start => {
                let result = named_by(&record.identity.application);
                *self.attributions.entry(result).or_default() += 1;
            }
            Moment::Update => {}
            Moment::End(reason) => {
                let snapshot = &record.snapshot;
                *self.ended.entry(reason.name()).or_default() += 1;
                let duration = snapshot.last.saturating_since(snapshot.first);
                if self.durations_s.len() < MAX_DURATIONS {
                    self.durations_s.push(duration.as_secs_f64());
                }
                self.gap_bytes += snapshot.quality.gap_bytes;
                self.one_sided += u64::from(snapshot.quality.one_sided);
            }
        }
    }
}

/// Transport and result of a hello.
fn hello(record: &HandshakeRecord) -> (&'static str, &'static str) {
    let transport = match record.hello.handshake {
        Handshake::Tls => "tcp",
        Handshake::Dtls => "udp",
        Handshake::Quic => "quic",
    };
    (transport, if record.hello.ech { "ech" } else { "ok" })
}

/// By what an application was named, or why it was not.
const fn named_by(attribution: &Attribution) -> &'static str {
    match (attribution.outcome, attribution.level) {
        (Outcome::Application, EvidenceLevel::Endpoint) => "telemetry",
        (Outcome::Application, EvidenceLevel::Destination) => "sni",
        (Outcome::Application, EvidenceLevel::UserAgent) => "user_agent",
        (Outcome::Application, _) => "fingerprint",
        (Outcome::Ambiguous, _) => "ambiguous",
        (Outcome::Unknown, _) => "unknown",
        (Outcome::Unattributed, _) => "unattributed",
    }
}

/// What [`named_by`] can say.
const RESULTS: [&str; 7] =
    ["telemetry", "sni", "user_agent", "fingerprint", "ambiguous", "unknown", "unattributed"];

/// Durations kept between two folds, a second apart: beyond it only a flood of flows goes.
const MAX_DURATIONS: usize = 1 << 20;

pub(super) struct Records {
    ended: IntCounterVec,
    durations: Histogram,
    hellos: IntCounterVec,
    http_requests: IntCounter,
    attributions: IntCounterVec,
    alerts: IntCounterVec,
    gap_bytes: IntCounter,
    one_sided: IntCounter,
}

impl Records {
    pub(super) fn new(family: &Family<'_>) -> Result<Self, Error> {
        let made = Self {
            ended: family.counters(
                "dwell_flows_ended_total",
                "Flows that are over and were recorded, by why.",
                &["reason"],
            )?,
            durations: family.histogram(
                "dwell_flow_duration_seconds",
                "First to last packet of the flows that are over.",
                &DURATIONS_S,
            )?,
            hellos: family.counters(
                "dwell_tls_client_hellos_total",
                "ClientHellos, by what carried them and whether they were encrypted (ech).",
                &["transport", "result"],
            )?,
            http_requests: family
                .counter("dwell_http_requests_total", "Cleartext HTTP/1 requests.")?,
            attributions: family.counters(
                "dwell_attribution_total",
                "Flows by what named their application.",
                &["result"],
            )?,
            alerts: family.counters(
                "dwell_alerts_total",
                "Findings opened.",
                &["analytic", "severity"],
            )?,
            gap_bytes: family.counter(
                "dwell_tcp_gaps_bytes_total",
                "Bytes of TCP streams that never came, as sequence numbers tell.",
            )?,
            one_sided: family.counter(
                "dwell_flows_one_sided_total",
                "Flows that ended with traffic one way only.",
            )?,
        };
        for analytic in Analytic::ALL {
            for level in [Level::Watch, Level::Alert, Level::High] {
                made.alerts.with_label_values(&[analytic.id(), level.name()]);
            }
        }
        for reason in END_REASONS {
            made.ended.with_label_values(&[reason.name()]);
        }
        for result in RESULTS {
            made.attributions.with_label_values(&[result]);
        }
        for transport in ["tcp", "udp", "quic"] {
            for result in ["ok", "ech"] {
                made.hellos.with_label_values(&[transport, result]);
            }
        }
        Ok(made)
    }

    pub(super) fn add(&self, tally: &RecordTally) {
        for (reason, count) in &tally.ended {
            self.ended.with_label_values(&[reason]).inc_by(*count);
        }
        for duration in &tally.durations_s {
            self.durations.observe(*duration);
        }
        for ((transport, result), count) in &tally.hellos {
            self.hellos.with_label_values(&[transport, result]).inc_by(*count);
        }
        for (result, count) in &tally.attributions {
            self.attributions.with_label_values(&[result]).inc_by(*count);
        }
        for ((analytic, severity), count) in &tally.alerts {
            self.alerts.with_label_values(&[analytic, severity]).inc_by(*count);
        }
        self.http_requests.inc_by(tally.http_requests);
        self.gap_bytes.inc_by(tally.gap_bytes);
        self.one_sided.inc_by(tally.one_sided);
    }
}

/// Every reason for which a flow ends.
const END_REASONS: [EndReason; 6] = [
    EndReason::Fin,
    EndReason::Rst,
    EndReason::Idle,
    EndReason::Evicted,
    EndReason::Replaced,
    EndReason::EndOfCapture,
];
