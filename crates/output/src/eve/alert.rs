//! `event_type: alert`: a finding with its terms, and `event_type: session`.

use dwell_attribution::Verdict;
use dwell_detect::{Finding, Level, Part, Reason, SessionSummary, Visibility};
use dwell_engine::SessionRecord;
use dwell_flow::CommunityId;
use dwell_packet::{Endpoint, FiveTuple, Transport};
use serde::{Serialize, Serializer};

use super::common::{Addresses, App, Dest, Envelope, Host, Metadata};
use super::process::{Process, User};
use super::value::{Hex64, Six, Time};
use super::{EveContext, SCHEMA_VERSION};

/// Signature number of AN0146's alerts: the analytic's number in a range of our own.
const SIGNATURE_BASE: u64 = 14_600_000;

#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    #[serde(rename = "+envelope")]
    envelope: Envelope<'a>,
    alert: Alert<'a>,
    dwell: AlertFields<'a>,
}

#[derive(Debug, Serialize)]
struct Alert<'a> {
    action: &'static str,
    gid: u32,
    signature_id: u64,
    rev: u32,
    signature: &'a str,
    category: &'static str,
    severity: u8,
    metadata: Metadata,
}

#[derive(Debug, Serialize)]
struct AlertFields<'a> {
    schema: u32,
    finding_id: &'a str,
    group_id: &'a str,
    record: &'static str,
    opened: Time,
    level: &'static str,
    score: Six,
    parts: Parts,
    provisional: bool,
    policy: Policy<'a>,
    reasons: Vec<ReasonFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<EvidenceFields>,
    session: SessionFields<'a>,
}

/// Where what the finding stands on is kept.
#[derive(Debug, Serialize)]
struct EvidenceFields {
    path: String,
}

#[derive(Debug, Serialize)]
struct Parts {
    unexpected: Six,
    long_lived: Six,
    irregular: Six,
    #[serde(skip_serializing_if = "Option::is_none")]
    outbound: Option<Six>,
}

#[derive(Debug, Serialize)]
struct Policy<'a> {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ReasonFields<'a> {
    feature: &'static str,
    part: &'static str,
    value: Six,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Six>,
    weight: Six,
    text: &'a str,
}

/// A session as both alerts and session lines show it.
#[derive(Debug, Serialize)]
struct SessionFields<'a> {
    session_id: Hex64,
    host: Host<'a>,
    app: App<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process<'a>>,
    dest: Dest<'a>,
    start: Time,
    end: Time,
    duration_s: Six,
    effective_s: Six,
    longest_connection_s: Six,
    idle_s: Six,
    parts: u32,
    open_parts: u32,
    bytes_out: u64,
    bytes_in: u64,
    addresses: u32,
    bursts: u64,
    shape: ShapeFields,
    lookup: &'static str,
    #[serde(serialize_with = "limits")]
    visibility: Visibility,
    /// Ten-minute slots, the oldest first: `1` with payload, `0` without; in alerts only.
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<Six>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'static str>,
}

/// Gap statistics of a session: seconds for `mean_gap_s`, else dimensionless.
#[derive(Debug, Serialize)]
struct ShapeFields {
    sd_ln_gap: Six,
    burstiness: Six,
    memory: Six,
    coverage: Six,
    up_share: Six,
    server_first_share: Six,
    mean_gap_s: Six,
}

#[derive(Debug, Serialize)]
pub(crate) struct SessionLine<'a> {
    #[serde(rename = "+envelope")]
    envelope: Envelope<'a>,
    dwell: SessionLineFields<'a>,
}

#[derive(Debug, Serialize)]
struct SessionLineFields<'a> {
    schema: u32,
    record: &'static str,
    seq: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    delta: DeltaFields,
    #[serde(rename = "+session")]
    session: SessionFields<'a>,
}

/// What came since the session's last record.
#[derive(Debug, Serialize)]
struct DeltaFields {
    bytes_out: u64,
    bytes_in: u64,
    parts: u32,
    seconds: Six,
}

/// The line of a finding.
pub(crate) fn line<'a>(context: &'a EveContext, finding: &'a Finding) -> Line<'a> {
    Line {
        envelope: Envelope::new(context, "alert", finding.at)
            .of_addresses(addresses(&finding.session)),
        alert: alert(finding),
        dwell: AlertFields {
            schema: SCHEMA_VERSION,
            finding_id: finding.id.as_str(),
            group_id: finding.group.as_str(),
            record: finding.life.name(),
            opened: Time(finding.opened_at),
            level: finding.level.name(),
            score: Six(finding.score_bits),
            parts: Parts {
                unexpected: Six(finding.parts.unexpected),
                long_lived: Six(finding.parts.long_lived),
                irregular: Six(finding.parts.irregular),
                outbound: (finding.analytic.parts().contains(&Part::Outbound))
                    .then_some(Six(finding.parts.outbound)),
            },
            provisional: finding.provisional,
            policy: Policy {
                verdict: finding.judgement.verdict.name(),
                rule: finding.judgement.rule.as_deref(),
            },
            reasons: finding.reasons.iter().map(reason).collect(),
            evidence: context.evidence.as_ref().map(|folder| EvidenceFields {
                path: folder.join(finding.id.as_str()).to_string_lossy().into_owned(),
            }),
            session: SessionFields {
                slots: Some(slots(&finding.session.slots)),
                ..session(&finding.session)
            },
        },
    }
}

/// The line of a session; addresses and Community ID are those of the flow that joined it last.
pub(crate) fn session_line<'a>(
    context: &'a EveContext,
    record: &'a SessionRecord,
) -> SessionLine<'a> {
    let envelope = Envelope::new(context, "session", record.ts);
    SessionLine {
        envelope: match &record.latest {
            Some(flow) => envelope.of_flow(flow, None),
            None => envelope.of_addresses(addresses(&record.summary)),
        },
        dwell: SessionLineFields {
            schema: SCHEMA_VERSION,
            record: if record.end.is_some() { "end" } else { "update" },
            seq: record.sequence,
            reason: record.end.map(dwell_detect::SessionEnd::name),
            delta: DeltaFields {
                bytes_out: record.delta.bytes_out,
                bytes_in: record.delta.bytes_in,
                parts: record.delta.parts,
                seconds: Six(record.delta.seconds),
            },
            session: session(&record.summary),
        },
    }
}

/// Host and latest destination; where no flow is named the client port is 0.
fn addresses(session: &SessionSummary) -> Addresses {
    let destination = &session.destination;
    let tuple = FiveTuple {
        src: Endpoint { addr: session.host.addr, port: 0 },
        dst: Endpoint { addr: destination.addr, port: destination.port },
        transport: Transport::Tcp,
    };
    Addresses::new(&tuple, CommunityId::of(&tuple))
}

fn alert(finding: &Finding) -> Alert<'_> {
    let analytic = finding.analytic;
    let number: u64 = analytic.id().trim_start_matches("AN0").parse().unwrap_or(0);
    Alert {
        action: "allowed",
        gid: 1,
        signature_id: SIGNATURE_BASE + number,
        rev: 1,
        signature: &finding.sentence,
        category: "Potentially Bad Traffic",
        severity: match finding.level {
            Level::High => 1,
            Level::Alert => 2,
            Level::Watch => 3,
        },
        metadata: Metadata::from([
            ("mitre_technique_id", vec![analytic.technique().to_owned()]),
            ("mitre_analytic", vec![analytic.id().to_owned()]),
            ("mitre_detection_strategy", vec![analytic.strategy().to_owned()]),
        ]),
    }
}

fn reason(reason: &Reason) -> ReasonFields<'_> {
    ReasonFields {
        feature: reason.feature,
        part: reason.part.name(),
        value: Six(reason.value),
        expected: reason.expected.map(Six),
        weight: Six(reason.weight_bits),
        text: &reason.text,
    }
}

fn slots(slots: &[bool]) -> String {
    slots.iter().map(|&active| if active { '1' } else { '0' }).collect()
}

fn session(session: &SessionSummary) -> SessionFields<'_> {
    let shape = &session.shape;
    SessionFields {
        session_id: Hex64(session.id.0),
        host: Host::new(&session.host),
        app: App::new(&session.attribution),
        user: User::of(&session.attribution),
        process: Process::of(&session.attribution),
        dest: Dest::new(&session.destination),
        start: Time(session.first),
        end: Time(session.last),
        duration_s: Six(session.duration.as_secs_f64()),
        effective_s: Six(session.effective.as_secs_f64()),
        longest_connection_s: Six(session.longest_connection.as_secs_f64()),
        idle_s: Six(session.idle.as_secs_f64()),
        parts: session.flows,
        open_parts: session.open_flows,
        bytes_out: session.up_bytes,
        bytes_in: session.down_bytes,
        addresses: session.addresses,
        bursts: u64::from(shape.bursts),
        shape: ShapeFields {
            sd_ln_gap: Six(shape.sd_ln_gap),
            burstiness: Six(shape.burstiness),
            memory: Six(shape.memory),
            coverage: Six(shape.coverage),
            up_share: Six(shape.up_share),
            server_first_share: Six(shape.server_first_share),
            mean_gap_s: Six(shape.mean_gap_s),
        },
        lookup: session.lookup.name(),
        visibility: session.visibility,
        slots: None,
        score: session.score_bits.map(Six),
        level: session.level.map(Level::name),
        policy: session.verdict.map(Verdict::name),
    }
}

/// Serialises what limits the trust in a session as a list of names.
pub(crate) fn limits<S: Serializer>(
    visibility: &Visibility,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(visibility.names())
}
