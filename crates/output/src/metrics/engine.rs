//! What decoding, flow table, inspection and detector counted.

use std::time::Duration;

use dwell_detect::DetectCounters;
use dwell_engine::StatsRecord;
use dwell_packet::Discard;
use prometheus::{Error, Gauge, IntCounter, IntCounterVec, IntGauge};

use super::family::{Family, gauge_value, raise};

/// What the engine counted since the sensor started, and how it fares now.
#[derive(Clone, Debug)]
pub struct EngineFigures {
    /// Counters of decoding, flows and inspection.
    pub stats: StatsRecord,
    /// Counters of sessions and findings.
    pub detect: DetectCounters,
    /// Sessions that are open.
    pub open_sessions: u64,
    /// The most flows the table takes.
    pub flow_capacity: u64,
    /// How far the engine's clock is behind the machine's.
    pub lag: Duration,
    /// Share of the last second that the packet thread was busy, dimensionless.
    pub busy: f64,
}

pub(super) struct Engine {
    frames: IntCounter,
    packets: IntCounterVec,
    discards: IntCounterVec,
    errors: IntCounterVec,
    tunnels: IntCounterVec,
    flows: Flows,
    inspection: Inspection,
    detector: Detector,
    lag: Gauge,
    busy: Gauge,
    clock_steps: IntCounter,
    duplicates: IntCounter,
}

struct Flows {
    active: IntGauge,
    capacity: IntGauge,
    started: IntCounter,
    ended: IntCounter,
    evicted: IntCounterVec,
    refused: IntCounter,
}

struct Inspection {
    malformed: IntCounter,
    anomalies: IntCounter,
    doubtful: IntCounter,
    abandoned: IntCounterVec,
    gaps: IntCounter,
    refused_bytes: IntCounter,
    conflicting_bytes: IntCounter,
}

struct Detector {
    sessions: IntGauge,
    started: IntCounter,
    ended: IntCounter,
    evicted: IntCounter,
    refused: IntCounterVec,
    late: IntCounter,
    suppressed: IntCounterVec,
}

impl Engine {
    pub(super) fn new(family: &Family<'_>) -> Result<Self, Error> {
        Ok(Self {
            frames: family.counter("dwell_decode_frames_total", "Frames decoded or discarded.")?,
            packets: family.counters(
                "dwell_decode_packets_total",
                "TCP segments and UDP datagrams that frames gave.",
                &["protocol"],
            )?,
            discards: family.counters(
                "dwell_decode_discards_total",
                "Frames that gave neither, by reason; with dwell_decode_packets_total they add up \
                 to dwell_decode_frames_total.",
                &["reason"],
            )?,
            errors: family.counters(
                "dwell_decode_errors_total",
                "Discarded frames that were cut short or contradict themselves.",
                &["layer", "reason"],
            )?,
            tunnels: family.counters(
                "dwell_tunnel_packets_total",
                "Packets by the innermost tunnel that carried them.",
                &["tunnel"],
            )?,
            flows: Flows::new(family)?,
            inspection: Inspection::new(family)?,
            detector: Detector::new(family)?,
            lag: family.gauge(
                "dwell_capture_lag_seconds",
                "How far packet time is behind the machine's clock.",
            )?,
            busy: family.gauge(
                "dwell_worker_busy_ratio",
                "Share of the last second that the packet thread was busy.",
            )?,
            duplicates: family.counter(
                "dwell_capture_duplicates_total",
                "Packets that were copies of others, as mirror ports make them; not in figures.",
            )?,
            clock_steps: family.counter(
                "dwell_capture_clock_steps_total",
                "Steps of the capture's clock by more than an hour.",
            )?,
        })
    }

    pub(super) fn set(&self, figures: &EngineFigures) {
        let decode = &figures.stats.decode;
        raise(&self.frames, decode.frames);
        raise(&self.packets.with_label_values(&["tcp"]), decode.tcp_segments);
        raise(&self.packets.with_label_values(&["udp"]), decode.udp_datagrams);
        for (reason, count) in decode.discards() {
            raise(&self.discards.with_label_values(&[reason.name()]), count);
            if let Some(labels) = error_of(reason) {
                raise(&self.errors.with_label_values(&labels), count);
            }
        }
        for (kind, count) in decode.tunnels() {
            raise(&self.tunnels.with_label_values(&[kind.name()]), count);
        }
        self.flows.set(figures);
        self.inspection.set(figures);
        self.detector.set(figures);
        self.lag.set(figures.lag.as_secs_f64());
        self.busy.set(figures.busy);
        raise(&self.duplicates, figures.stats.duplicates);
        raise(&self.clock_steps, figures.stats.clock_steps);
    }
}

/// Layer and reason of a discard that is an error of the frame; `None` for what is merely not ours.
fn error_of(reason: Discard) -> Option<[&'static str; 2]> {
    let name = reason.name();
    match reason {
        Discard::Truncated(_) => Some([name.strip_prefix("truncated_")?, "truncated"]),
        Discard::Malformed(_) => Some([name.strip_prefix("malformed_")?, "malformed"]),
        Discard::FragmentRefused(_) => Some(["fragment", name.strip_prefix("fragment_")?]),
        Discard::UnknownLinkType => Some(["link", "unknown_link_type"]),
        Discard::TooDeep => Some(["tunnel", "too_deep"]),
        _ => None,
    }
}

impl Flows {
    fn new(family: &Family<'_>) -> Result<Self, Error> {
        Ok(Self {
            active: family.int_gauge("dwell_flows_active", "Flows that are open.")?,
            capacity: family
                .int_gauge("dwell_flow_table_capacity", "The most flows that the table takes.")?,
            started: family.counter("dwell_flows_started_total", "Flows that began.")?,
            ended: family.counter("dwell_flows_closed_total", "Flows that are over.")?,
            evicted: family.counters(
                "dwell_flows_evicted_total",
                "Flows removed to make room: half-open or closed (unestablished), young (short).",
                &["kind"],
            )?,
            refused: family.counter(
                "dwell_flows_refused_packets_total",
                "Packets of flows for which the table had no room.",
            )?,
        })
    }

    fn set(&self, figures: &EngineFigures) {
        let flows = &figures.stats.flows;
        self.active.set(gauge_value(flows.open));
        self.capacity.set(gauge_value(figures.flow_capacity));
        raise(&self.started, flows.opened);
        raise(&self.ended, flows.ended);
        let evicted = |kind| self.evicted.with_label_values(&[kind]);
        raise(&evicted("unestablished"), flows.evicted_unestablished);
        raise(&evicted("short"), flows.evicted_short);
        raise(&self.refused, flows.refused);
    }
}

impl Inspection {
    fn new(family: &Family<'_>) -> Result<Self, Error> {
        Ok(Self {
            malformed: family.counter(
                "dwell_tls_malformed_client_hellos_total",
                "ClientHellos whose structure breaks.",
            )?,
            anomalies: family
                .counter("dwell_inspect_anomalies_total", "Oddities of inspected flows.")?,
            doubtful: family.counter(
                "dwell_inspect_doubtful_segments_total",
                "Segments that a receiver may drop, believed only once acknowledged.",
            )?,
            abandoned: family.counters(
                "dwell_reassembly_abandoned_total",
                "Inspections given up.",
                &["reason"],
            )?,
            gaps: family.counter(
                "dwell_reassembly_gaps_total",
                "Holes in streams that were being inspected.",
            )?,
            refused_bytes: family.counter(
                "dwell_reassembly_refused_bytes_total",
                "Bytes that reassembly had no room for.",
            )?,
            conflicting_bytes: family.counter(
                "dwell_reassembly_conflicting_bytes_total",
                "Bytes that came twice with different content.",
            )?,
        })
    }

    fn set(&self, figures: &EngineFigures) {
        let shards = &figures.stats.shards;
        raise(&self.malformed, shards.malformed_hellos);
        raise(&self.anomalies, shards.anomalies);
        raise(&self.doubtful, shards.doubtful);
        raise(&self.abandoned.with_label_values(&["memory"]), shards.abandoned);
        raise(&self.gaps, shards.reassembly.gaps);
        raise(&self.refused_bytes, shards.reassembly.refused_bytes);
        raise(&self.conflicting_bytes, shards.reassembly.conflicting_bytes);
    }
}

impl Detector {
    fn new(family: &Family<'_>) -> Result<Self, Error> {
        Ok(Self {
            sessions: family.int_gauge("dwell_sessions_active", "Sessions that are open.")?,
            started: family.counter("dwell_sessions_started_total", "Sessions that began.")?,
            ended: family.counter("dwell_sessions_ended_total", "Sessions that are over.")?,
            evicted: family
                .counter("dwell_sessions_evicted_total", "Sessions removed to make room.")?,
            refused: family.counters(
                "dwell_detect_refused_total",
                "What the detector had no room for.",
                &["table"],
            )?,
            late: family.counter(
                "dwell_detect_late_bursts_total",
                "Bursts that came too late to be put in order.",
            )?,
            suppressed: family.counters(
                "dwell_alerts_suppressed_total",
                "Findings that were not opened.",
                &["reason"],
            )?,
        })
    }

    fn set(&self, figures: &EngineFigures) {
        let counters = &figures.detect;
        self.sessions.set(gauge_value(figures.open_sessions));
        raise(&self.started, counters.sessions_started);
        raise(&self.ended, counters.sessions_ended);
        raise(&self.evicted, counters.sessions_evicted);
        let refused = |table| self.refused.with_label_values(&[table]);
        raise(&refused("sessions"), counters.sessions_refused);
        raise(&refused("flows"), counters.flows_refused);
        raise(&refused("prevalence"), counters.prevalence_refused);
        raise(&self.late, counters.late_bursts);
        let suppressed = |reason| self.suppressed.with_label_values(&[reason]);
        raise(&suppressed("exception"), counters.findings_excepted);
        raise(&suppressed("repeated"), counters.findings_repeated);
    }
}
