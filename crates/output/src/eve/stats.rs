//! `event_type: stats`: what was counted, with every discard by its reason.

use std::collections::BTreeMap;

use dwell_attribution::telemetry::TelemetryCounters;
use dwell_engine::StatsRecord;
use serde::Serialize;

use super::common::Envelope;
use super::{EveContext, SCHEMA_VERSION};
use crate::{CaptureFigures, SinkFigures};

#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    #[serde(rename = "+envelope")]
    envelope: Envelope<'a>,
    stats: Stats<'a>,
}

#[derive(Debug, Serialize)]
struct Stats<'a> {
    schema: u32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    capture: BTreeMap<&'a str, Capture>,
    decode: Decode,
    flow: Flow,
    inspect: Inspect,
    telemetry: Telemetry,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Output<'a>>,
    clock_steps: u64,
}

/// What became of records.
#[derive(Debug, Serialize)]
struct Output<'a> {
    unqueued: u64,
    sinks: BTreeMap<&'a str, Sink>,
}

#[derive(Debug, Serialize)]
struct Sink {
    written: u64,
    dropped: u64,
    errors: u64,
    queued: u64,
}

/// What hosts told of their processes.
#[derive(Debug, Serialize)]
struct Telemetry {
    observations: u64,
    joined: u64,
    disagreements: u64,
    conflicts: u64,
    duplicates: u64,
    absurd: u64,
    foreign: u64,
    ambiguous: u64,
    refused: u64,
}

/// What one interface gave and lost.
#[derive(Debug, Serialize)]
struct Capture {
    packets: u64,
    bytes: u64,
    kernel_drops: u64,
    nic_drops: u64,
    ring_freezes: u64,
    oversized: u64,
}

/// Frames in = segments and datagrams + everything under `discarded`.
#[derive(Debug, Serialize)]
struct Decode {
    frames: u64,
    tcp_segments: u64,
    udp_datagrams: u64,
    /// Of the segments and datagrams, those that were copies of others.
    duplicates: u64,
    discarded: BTreeMap<&'static str, u64>,
    tunnels: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct Flow {
    opened: u64,
    ended: u64,
    open: u64,
    evicted_unestablished: u64,
    evicted_short: u64,
    refused_packets: u64,
}

#[derive(Debug, Serialize)]
struct Inspect {
    packets: u64,
    client_hellos: u64,
    malformed_hellos: u64,
    http_requests: u64,
    anomalies: u64,
    doubtful: u64,
    abandoned: u64,
    reassembly_gaps: u64,
    reassembly_refused_bytes: u64,
    reassembly_conflicting_bytes: u64,
}

fn capture(figures: &CaptureFigures) -> (&str, Capture) {
    let of = Capture {
        packets: figures.frames,
        bytes: figures.bytes,
        kernel_drops: figures.kernel_dropped,
        nic_drops: figures.nic_dropped,
        ring_freezes: figures.ring_freezes,
        oversized: figures.oversized,
    };
    (&figures.interface, of)
}

fn output(context: &EveContext) -> Option<Output<'_>> {
    let sink = |figures: &SinkFigures| Sink {
        written: figures.written,
        dropped: figures.dropped,
        errors: figures.errors,
        queued: figures.queued,
    };
    let sinks: BTreeMap<&str, Sink> =
        context.sinks.iter().map(|figures| (figures.name.as_str(), sink(figures))).collect();
    (!sinks.is_empty()).then_some(Output { unqueued: context.unqueued, sinks })
}

/// The line of the engine's counters.
pub(crate) fn line<'a>(context: &'a EveContext, record: &StatsRecord) -> Line<'a> {
    let decode = &record.decode;
    let discards = decode.discards().filter(|(_, count)| *count > 0);
    let tunnels = decode.tunnels().filter(|(_, count)| *count > 0);
    let (shards, flows) = (&record.shards, &record.flows);
    Line {
        envelope: Envelope::new(context, "stats", record.ts),
        stats: Stats {
            schema: SCHEMA_VERSION,
            capture: context.capture.iter().map(capture).collect(),
            decode: Decode {
                frames: decode.frames,
                tcp_segments: decode.tcp_segments,
                udp_datagrams: decode.udp_datagrams,
                duplicates: record.duplicates,
                discarded: discards.map(|(reason, count)| (reason.name(), count)).collect(),
                tunnels: tunnels.map(|(kind, count)| (kind.name(), count)).collect(),
            },
            flow: Flow {
                opened: flows.opened,
                ended: flows.ended,
                open: flows.open,
                evicted_unestablished: flows.evicted_unestablished,
                evicted_short: flows.evicted_short,
                refused_packets: flows.refused,
            },
            inspect: Inspect {
                packets: shards.packets,
                client_hellos: shards.client_hellos,
                malformed_hellos: shards.malformed_hellos,
                http_requests: shards.http_requests,
                anomalies: shards.anomalies,
                doubtful: shards.doubtful,
                abandoned: shards.abandoned,
                reassembly_gaps: shards.reassembly.gaps,
                reassembly_refused_bytes: shards.reassembly.refused_bytes,
                reassembly_conflicting_bytes: shards.reassembly.conflicting_bytes,
            },
            telemetry: telemetry(record.telemetry),
            output: output(context),
            clock_steps: record.clock_steps,
        },
    }
}

fn telemetry(counters: TelemetryCounters) -> Telemetry {
    Telemetry {
        observations: counters.observations,
        joined: counters.joined,
        disagreements: counters.disagreements,
        conflicts: counters.conflicts,
        duplicates: counters.duplicates,
        absurd: counters.absurd,
        foreign: counters.foreign,
        ambiguous: counters.ambiguous,
        refused: counters.refused,
    }
}
