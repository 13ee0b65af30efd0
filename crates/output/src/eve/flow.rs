//! `event_type: flow`: cumulative figures, deltas, inter-arrival times, quality.

use dwell_detect::Visibility;
use dwell_engine::{Delta, FlowRecord, FlowSnapshot, Moment};
use dwell_flow::{Conflict, InterArrival, TcpPhase, Timing};
use dwell_packet::Direction;
use serde::Serialize;

use super::EveContext;
use super::common::{Dwell, Envelope, Known};
use super::value::{Ip, Mac, Six, Time, Wire};

#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    #[serde(rename = "+envelope")]
    envelope: Envelope<'a>,
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    vlan: &'a [u16],
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<Tunnel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ether: Option<Ether>,
    flow: Flow,
    dwell: Dwell<'a, More<'a>>,
}

#[derive(Debug, Serialize)]
struct Tunnel {
    proto: &'static str,
    id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_ip: Option<Ip>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_ip: Option<Ip>,
    depth: u8,
}

#[derive(Debug, Serialize)]
struct Ether {
    src_mac: Mac,
    dest_mac: Mac,
}

#[derive(Debug, Serialize)]
struct Flow {
    start: Time,
    end: Time,
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
struct More<'a> {
    record: &'static str,
    seq: u32,
    duration_s: Six,
    idle_s: Six,
    delta: DeltaFields,
    payload_bytes_out: u64,
    payload_bytes_in: u64,
    out_in_ratio: Six,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<Iats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    migrated_from: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<ConflictFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyFields<'a>>,
    quality: Quality,
    #[serde(serialize_with = "super::alert::limits")]
    visibility: Visibility,
}

/// What the policy says of the flow, and by which rule and group.
#[derive(Debug, Serialize)]
struct PolicyFields<'a> {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
}

/// Two copies of the same TCP bytes that differ.
#[derive(Debug, Serialize)]
struct ConflictFields<'a> {
    seq: u32,
    kept: Wire<'a>,
    refused: Wire<'a>,
}

#[derive(Debug, Serialize)]
struct DeltaFields {
    bytes_out: u64,
    bytes_in: u64,
    pkts_out: u64,
    pkts_in: u64,
    seconds: Six,
}

/// Gaps between new payload of each direction, and between exchanges.
#[derive(Debug, Serialize)]
struct Iats {
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<Iat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#in: Option<Iat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<Iat>,
}

/// Statistics of one kind of gap; seconds but for the dimensionless `cv`, `burstiness`, `sd_ln`
/// and the bits of `entropy`.
#[derive(Debug, Serialize)]
struct Iat {
    n: u64,
    mean: Six,
    p50: Six,
    p95: Six,
    max: Six,
    #[serde(skip_serializing_if = "Option::is_none")]
    cv: Option<Six>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sd_ln: Option<Six>,
    entropy: Six,
    #[serde(skip_serializing_if = "Option::is_none")]
    burstiness: Option<Six>,
}

#[derive(Debug, Serialize)]
struct Quality {
    midstream: bool,
    one_sided: bool,
    gaps_bytes: u64,
    acked_unseen_bytes: u64,
    duplicates: u32,
    kernel_drops_during: u64,
    clock_steps: u64,
    retransmitted_bytes: u64,
    ech: bool,
    first_hello_seen: bool,
}

/// The line of a flow record.
pub(crate) fn line<'a>(
    context: &'a EveContext,
    record: &'a FlowRecord,
    known: Option<Known<'a>>,
) -> Line<'a> {
    let snapshot = &record.snapshot;
    Line {
        envelope: Envelope::new(context, "flow", record.ts).of_flow(&record.identity, known),
        vlan: snapshot.encapsulation.vlans(),
        tunnel: tunnel(snapshot),
        ether: snapshot.link.map(|link| Ether { src_mac: Mac(link.src), dest_mac: Mac(link.dst) }),
        flow: flow(record),
        dwell: Dwell::new(&record.identity, known, more(record, context.flow_base)),
    }
}

fn tunnel(snapshot: &FlowSnapshot) -> Option<Tunnel> {
    let encapsulation = &snapshot.encapsulation;
    let tunnel = encapsulation.tunnel?;
    Some(Tunnel {
        proto: tunnel.kind.name(),
        id: tunnel.id,
        src_ip: tunnel.outer.map(|(src, _)| Ip(src)),
        dest_ip: tunnel.outer.map(|(_, dst)| Ip(dst)),
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
        start: Time(snapshot.first),
        end: Time(snapshot.last),
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

fn more(record: &FlowRecord, base: u64) -> More<'_> {
    let snapshot = &record.snapshot;
    let (out, back) = if straight(record) {
        (snapshot.sent, snapshot.received)
    } else {
        (snapshot.received, snapshot.sent)
    };
    let client =
        if straight(record) { snapshot.originator } else { snapshot.originator.reversed() };
    let iat = snapshot.timing.as_ref().and_then(|timing| iats(timing, client));
    More {
        record: match record.moment {
            Moment::Start => "start",
            Moment::Update => "update",
            Moment::End(_) => "end",
        },
        seq: record.sequence,
        duration_s: duration_s(record),
        idle_s: Six(record.ts.saturating_since(snapshot.last).as_secs_f64()),
        delta: delta(&record.delta),
        payload_bytes_out: out.payload_bytes,
        payload_bytes_in: back.payload_bytes,
        out_in_ratio: Six(out.wire_bytes as f64 / back.wire_bytes.max(1) as f64),
        iat,
        migrated_from: record.migrated_from.map(|flow| base.saturating_add(flow)),
        conflicts: record.conflicts.iter().map(conflict).collect(),
        policy: record.judgement.as_ref().map(|judgement| PolicyFields {
            verdict: judgement.verdict.name(),
            rule: judgement.rule.as_deref(),
            group: judgement.group.as_deref(),
        }),
        quality: Quality {
            midstream: snapshot.quality.midstream,
            one_sided: snapshot.quality.one_sided,
            gaps_bytes: snapshot.quality.gap_bytes,
            acked_unseen_bytes: snapshot.quality.acked_unseen_bytes,
            duplicates: snapshot.quality.duplicates,
            kernel_drops_during: record.losses.dropped_packets,
            clock_steps: record.losses.clock_steps,
            retransmitted_bytes: out.retransmitted_bytes + back.retransmitted_bytes,
            ech: record.ech,
            first_hello_seen: record.opening_seen,
        },
        visibility: record.visibility(),
    }
}

fn conflict(conflict: &Conflict) -> ConflictFields<'_> {
    ConflictFields {
        seq: conflict.seq,
        kept: Wire(&conflict.kept),
        refused: Wire(&conflict.refused),
    }
}

/// First to last packet; for an open flow up to now, so that it grows in silence.
fn duration_s(record: &FlowRecord) -> Six {
    let snapshot = &record.snapshot;
    let until = match record.moment {
        Moment::End(_) => snapshot.last,
        Moment::Start | Moment::Update => record.ts.max(snapshot.last),
    };
    Six(until.saturating_since(snapshot.first).as_secs_f64())
}

fn delta(delta: &Delta) -> DeltaFields {
    DeltaFields {
        bytes_out: delta.bytes_out,
        bytes_in: delta.bytes_in,
        pkts_out: delta.packets_out,
        pkts_in: delta.packets_in,
        seconds: Six(delta.seconds),
    }
}

/// What gaps there were; `None` before the first.
fn iats(timing: &Timing, client: Direction) -> Option<Iats> {
    let iats = Iats {
        out: iat(timing.packets.of(client)),
        r#in: iat(timing.packets.of(client.reversed())),
        exchange: iat(&timing.exchanges),
    };
    (iats.out.is_some() || iats.r#in.is_some() || iats.exchange.is_some()).then_some(iats)
}

fn iat(gaps: &InterArrival) -> Option<Iat> {
    let mean = gaps.mean_s()?;
    let summary = gaps.histogram.summary()?;
    let cv = gaps.variation();
    Some(Iat {
        n: gaps.count(),
        mean: Six(mean),
        p50: Six(summary.p50_s),
        p95: Six(summary.p95_s),
        max: Six(gaps.max_s()),
        cv: cv.map(Six),
        sd_ln: gaps.log.log_deviation().map(Six),
        entropy: Six(summary.entropy_bits),
        burstiness: gaps.burstiness().map(Six),
    })
}
