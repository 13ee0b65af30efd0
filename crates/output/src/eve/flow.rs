//! `event_type: flow`: cumulative figures, deltas, inter-arrival times, quality.

use dwell_engine::{Delta, FlowRecord, FlowSnapshot, Moment};
use dwell_flow::{Conflict, InterArrival, TcpPhase};
use serde::Serialize;

use super::EveContext;
use super::common::{Dwell, Envelope, six, time};
use crate::escape::printable;

#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    #[serde(flatten)]
    envelope: Envelope<'a>,
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    vlan: &'a [u16],
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<Tunnel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ether: Option<Ether>,
    flow: Flow,
    dwell: Dwell<'a, More>,
}

#[derive(Debug, Serialize)]
struct Tunnel {
    proto: &'static str,
    id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_ip: Option<std::net::IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_ip: Option<std::net::IpAddr>,
    depth: u8,
}

#[derive(Debug, Serialize)]
struct Ether {
    src_mac: String,
    dest_mac: String,
}

#[derive(Debug, Serialize)]
struct Flow {
    start: String,
    end: String,
    age: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    pkts_toserver: u64,
    pkts_toclient: u64,
    bytes_toserver: u64,
    bytes_toclient: u64,
}

#[derive(Debug, Serialize)]
struct More {
    record: &'static str,
    seq: u32,
    duration_s: f64,
    idle_s: f64,
    delta: DeltaFields,
    payload_bytes_out: u64,
    payload_bytes_in: u64,
    out_in_ratio: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<Iats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    migrated_from: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<ConflictFields>,
    quality: Quality,
}

/// Two copies of the same TCP bytes that differ.
#[derive(Debug, Serialize)]
struct ConflictFields {
    seq: u32,
    kept: String,
    refused: String,
}

#[derive(Debug, Serialize)]
struct DeltaFields {
    bytes_out: u64,
    bytes_in: u64,
    pkts_out: u64,
    pkts_in: u64,
    seconds: f64,
}

/// Gaps between new payload of each direction, and between exchanges.
#[derive(Debug, Serialize)]
struct Iats {
    out: Iat,
    r#in: Iat,
    exchange: Iat,
}

/// Statistics of one kind of gap; seconds but for the dimensionless `cv`, `burstiness`, `sd_ln`
/// and the bits of `entropy`.
#[derive(Debug, Serialize)]
struct Iat {
    n: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95: Option<f64>,
    max: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cv: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sd_ln: Option<f64>,
    entropy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    burstiness: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Quality {
    midstream: bool,
    one_sided: bool,
    gaps_bytes: u64,
    acked_unseen_bytes: u64,
    retransmitted_bytes: u64,
    ech: bool,
    first_hello_seen: bool,
}

/// The line of a flow record.
pub(crate) fn line<'a>(context: &'a EveContext, record: &'a FlowRecord) -> Line<'a> {
    let snapshot = &record.snapshot;
    Line {
        envelope: Envelope::new(context, "flow", record.ts).of_flow(&record.identity),
        vlan: snapshot.encapsulation.vlans(),
        tunnel: tunnel(snapshot),
        ether: snapshot
            .link
            .map(|link| Ether { src_mac: link.src.to_string(), dest_mac: link.dst.to_string() }),
        flow: flow(record),
        dwell: Dwell::new(&record.identity, more(record)),
    }
}

fn tunnel(snapshot: &FlowSnapshot) -> Option<Tunnel> {
    let encapsulation = &snapshot.encapsulation;
    let tunnel = encapsulation.tunnel?;
    Some(Tunnel {
        proto: tunnel.kind.name(),
        id: tunnel.id,
        src_ip: tunnel.outer.map(|(src, _)| src),
        dest_ip: tunnel.outer.map(|(_, dst)| dst),
        depth: encapsulation.depth,
    })
}

/// Whether the record's client is the side that the flow table took for the originator.
fn straight(record: &FlowRecord) -> bool {
    record.identity.tuple.src == record.snapshot.tuple.src
}

fn flow(record: &FlowRecord) -> Flow {
    let snapshot = &record.snapshot;
    let (to_server, to_client) = if straight(record) {
        (snapshot.sent, snapshot.received)
    } else {
        (snapshot.received, snapshot.sent)
    };
    Flow {
        start: time(snapshot.first),
        end: time(snapshot.last),
        age: snapshot.last.saturating_since(snapshot.first).as_secs(),
        state: match snapshot.tcp_phase {
            Some(TcpPhase::Opening) => "new",
            Some(TcpPhase::Established | TcpPhase::Closing) => "established",
            Some(TcpPhase::Closed | TcpPhase::Reset) => "closed",
            None if snapshot.received.packets > 0 => "established",
            None => "new",
        },
        reason: match record.moment {
            Moment::End(reason) => Some(reason.name()),
            Moment::Start | Moment::Update => None,
        },
        pkts_toserver: to_server.packets,
        pkts_toclient: to_client.packets,
        bytes_toserver: to_server.wire_bytes,
        bytes_toclient: to_client.wire_bytes,
    }
}

fn more(record: &FlowRecord) -> More {
    let snapshot = &record.snapshot;
    let (out, back) = if straight(record) {
        (snapshot.sent, snapshot.received)
    } else {
        (snapshot.received, snapshot.sent)
    };
    let client =
        if straight(record) { snapshot.originator } else { snapshot.originator.reversed() };
    let iat = snapshot.timing.as_ref().map(|timing| Iats {
        out: iat(timing.packets.of(client)),
        r#in: iat(timing.packets.of(client.reversed())),
        exchange: iat(&timing.exchanges),
    });
    More {
        record: match record.moment {
            Moment::Start => "start",
            Moment::Update => "update",
            Moment::End(_) => "end",
        },
        seq: record.sequence,
        duration_s: duration_s(record),
        idle_s: six(record.ts.saturating_since(snapshot.last).as_secs_f64()),
        delta: delta(&record.delta),
        payload_bytes_out: out.payload_bytes,
        payload_bytes_in: back.payload_bytes,
        out_in_ratio: six(out.wire_bytes as f64 / back.wire_bytes.max(1) as f64),
        iat,
        migrated_from: record.migrated_from,
        conflicts: record.conflicts.iter().map(conflict).collect(),
        quality: Quality {
            midstream: snapshot.quality.midstream,
            one_sided: snapshot.quality.one_sided,
            gaps_bytes: snapshot.quality.gap_bytes,
            acked_unseen_bytes: snapshot.quality.acked_unseen_bytes,
            retransmitted_bytes: out.retransmitted_bytes + back.retransmitted_bytes,
            ech: record.ech,
            first_hello_seen: record.opening_seen,
        },
    }
}

fn conflict(conflict: &Conflict) -> ConflictFields {
    ConflictFields {
        seq: conflict.seq,
        kept: printable(&conflict.kept),
        refused: printable(&conflict.refused),
    }
}

/// First to last packet; for an open flow up to now, so that it grows in silence.
fn duration_s(record: &FlowRecord) -> f64 {
    let snapshot = &record.snapshot;
    let until = match record.moment {
        Moment::End(_) => snapshot.last,
        Moment::Start | Moment::Update => record.ts.max(snapshot.last),
    };
    six(until.saturating_since(snapshot.first).as_secs_f64())
}

fn delta(delta: &Delta) -> DeltaFields {
    DeltaFields {
        bytes_out: delta.bytes_out,
        bytes_in: delta.bytes_in,
        pkts_out: delta.packets_out,
        pkts_in: delta.packets_in,
        seconds: six(delta.seconds),
    }
}

fn iat(gaps: &InterArrival) -> Iat {
    Iat {
        n: gaps.count(),
        mean: gaps.mean_s().map(six),
        p50: gaps.histogram.quantile_s(0.5).map(six),
        p95: gaps.histogram.quantile_s(0.95).map(six),
        max: six(gaps.max_s()),
        cv: gaps.variation().map(six),
        sd_ln: gaps.log.log_deviation().map(six),
        entropy: six(gaps.histogram.entropy_bits()),
        burstiness: gaps.burstiness().map(six),
    }
}
