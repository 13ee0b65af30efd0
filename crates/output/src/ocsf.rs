//! Records as JSON of the Open Cybersecurity Schema Framework, version 1.5.0: network activity
//! (4001), HTTP activity (4002) and detection finding (2004). Decides nothing about what is
//! recorded.
//!
//! Required by the base event: `activity_id`, `category_uid`, `class_uid`, `metadata.product`,
//! `metadata.version`, `severity_id`, `time`, `type_uid`; by network activity `dst_endpoint`; by
//! HTTP activity `http_request` or `http_response`; by detection finding `finding_info.title` and
//! `finding_info.uid`. What the schema has no place for is under `unmapped`.

use dwell_detect::{Finding, Level, Life, SessionSummary};
use dwell_engine::{FlowIdentity, FlowRecord, HandshakeRecord, HttpRecord, Moment, Record};
use dwell_packet::{FiveTuple, Timestamp, Transport};
use serde_json::{Map, Value, json};

use crate::{EveContext, printable};

/// The schema's version that the fields are from.
pub(crate) const OCSF_VERSION: &str = "1.5.0";

/// A record as one OCSF event; `None` for sessions and counters, which OCSF has no class for.
pub(crate) fn event(context: &EveContext, record: &Record) -> Option<Value> {
    match record {
        Record::Flow(flow) => Some(flow_event(context, flow)),
        Record::Handshake(handshake) => Some(handshake_event(context, handshake)),
        Record::Http(http) => Some(http_event(context, http)),
        Record::Finding(finding) => Some(finding_event(context, finding)),
        _ => None,
    }
}

/// Milliseconds since 1970: OCSF's `timestamp_t`.
fn time(ts: Timestamp) -> u64 {
    ts.as_nanos() / 1_000_000
}

/// What every event says. `class` is the class's number, `activity` the activity's within it.
fn base(
    context: &EveContext,
    ts: Timestamp,
    class: u64,
    activity: u64,
    severity: u64,
) -> Map<String, Value> {
    let category = class / 1000;
    let value = json!({
        "activity_id": activity,
        "category_uid": category,
        "class_uid": class,
        "type_uid": class * 100 + activity,
        "severity_id": severity,
        "time": time(ts),
        "metadata": {
            "version": OCSF_VERSION,
            "product": {
                "name": "dwell",
                "vendor_name": "dwell",
                "version": env!("CARGO_PKG_VERSION"),
                "uid": context.sensor,
            },
            "profiles": ["security_control"],
        },
        "action_id": 3,
        "disposition_id": 15,
    });
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

const NETWORK_ACTIVITY: u64 = 4001;
const HTTP_ACTIVITY: u64 = 4002;
const DETECTION_FINDING: u64 = 2004;

/// Severity: informational.
const INFORMATIONAL: u64 = 1;

fn of_flow(event: &mut Map<String, Value>, context: &EveContext, identity: &FlowIdentity) {
    let tuple = &identity.tuple;
    event.insert("src_endpoint".into(), json!({ "ip": tuple.src.addr, "port": tuple.src.port }));
    let mut destination = json!({ "ip": tuple.dst.addr, "port": tuple.dst.port });
    if let (Some(name), Some(members)) = (&identity.destination.name, destination.as_object_mut()) {
        members.insert("hostname".into(), json!(&**name));
    }
    event.insert("dst_endpoint".into(), destination);
    event.insert("app_name".into(), json!(&*identity.application.application));
    event.insert("connection_info".into(), connection(tuple, context, identity));
}

fn connection(tuple: &FiveTuple, context: &EveContext, identity: &FlowIdentity) -> Value {
    let (name, number) = match tuple.transport {
        Transport::Tcp => ("tcp", 6),
        Transport::Udp => ("udp", 17),
    };
    json!({
        "uid": context.flow_base.saturating_add(identity.flow).to_string(),
        "community_uid": identity.community.to_string(),
        "protocol_name": name,
        "protocol_num": number,
        "protocol_ver_id": if tuple.src.addr.is_ipv4() { 4 } else { 6 },
        "direction_id": 0,
    })
}

fn flow_event(context: &EveContext, flow: &FlowRecord) -> Value {
    // 1 Open, 2 Close, 3 Reset, 4 Fail, 5 Refuse, 6 Traffic.
    let activity = match flow.moment {
        Moment::Start => 1,
        Moment::Update => 6,
        Moment::End(dwell_flow::EndReason::Rst) => 3,
        Moment::End(_) => 2,
    };
    let snapshot = &flow.snapshot;
    let mut event = base(context, flow.ts, NETWORK_ACTIVITY, activity, INFORMATIONAL);
    of_flow(&mut event, context, &flow.identity);
    event.insert("start_time".into(), json!(time(snapshot.first)));
    let delta = &flow.delta;
    event.insert(
        "traffic".into(),
        json!({
            "bytes_out": delta.bytes_out,
            "bytes_in": delta.bytes_in,
            "bytes": delta.bytes_out.saturating_add(delta.bytes_in),
            "packets_out": delta.packets_out,
            "packets_in": delta.packets_in,
            "packets": delta.packets_out.saturating_add(delta.packets_in),
        }),
    );
    if let Moment::End(reason) = flow.moment {
        event.insert("end_time".into(), json!(time(snapshot.last)));
        event.insert("status_detail".into(), json!(reason.name()));
    }
    let until = if matches!(flow.moment, Moment::End(_)) { snapshot.last } else { flow.ts };
    let duration = until.saturating_since(snapshot.first).as_millis();
    event.insert("duration".into(), json!(u64::try_from(duration).unwrap_or(u64::MAX)));
    event.insert(
        "unmapped".into(),
        json!({
            "cumulative_bytes_out": snapshot.sent.wire_bytes,
            "cumulative_bytes_in": snapshot.received.wire_bytes,
            "sequence": flow.sequence,
        }),
    );
    Value::Object(event)
}

fn handshake_event(context: &EveContext, record: &HandshakeRecord) -> Value {
    let hello = &record.hello;
    let mut event = base(context, record.ts, NETWORK_ACTIVITY, 6, INFORMATIONAL);
    of_flow(&mut event, context, &record.identity);
    let mut tls = Map::new();
    let fingerprint =
        |value: &str| json!({ "algorithm_id": 1, "algorithm": "MD5", "value": value });
    tls.insert("ja3_hash".into(), fingerprint(&hello.ja3));
    if let Some(name) = &hello.server_name {
        tls.insert("sni".into(), json!(printable(name)));
    }
    let alpn: Vec<String> = hello.alpn.iter().map(|name| printable(name)).collect();
    if !alpn.is_empty() {
        tls.insert(
            "extension_list".into(),
            json!([{
                "type_id": 16,
                "type": "application_layer_protocol_negotiation",
                "data": { "protocols": alpn },
            }]),
        );
    }
    // `tls.version` is required: of a handshake without an answer it is what nobody settled.
    let version = record
        .answer
        .as_ref()
        .map_or_else(|| "unknown".to_owned(), |answer| version(answer.version));
    tls.insert("version".into(), json!(version));
    if let Some(answer) = &record.answer {
        tls.insert("ja3s_hash".into(), fingerprint(&answer.ja3s));
        tls.insert("cipher".into(), json!(format!("0x{:04x}", answer.cipher)));
    }
    event.insert("tls".into(), tls.into());
    event.insert(
        "ja4_fingerprint_list".into(),
        json!([{ "type_id": 1, "type": "JA4", "value": hello.ja4 }]),
    );
    Value::Object(event)
}

fn version(number: u16) -> String {
    match number {
        0x0301 => "1.0".to_owned(),
        0x0302 => "1.1".to_owned(),
        0x0303 => "1.2".to_owned(),
        0x0304 => "1.3".to_owned(),
        other => format!("0x{other:04x}"),
    }
}

fn http_event(context: &EveContext, record: &HttpRecord) -> Value {
    let request = &record.request;
    // 1 Connect, 2 Delete, 3 Get, 4 Head, 5 Options, 6 Post, 7 Put, 8 Trace, 99 Other.
    let activity = match &*request.method {
        b"CONNECT" => 1,
        b"DELETE" => 2,
        b"GET" => 3,
        b"HEAD" => 4,
        b"OPTIONS" => 5,
        b"POST" => 6,
        b"PUT" => 7,
        b"TRACE" => 8,
        _ => 99,
    };
    let mut event = base(context, record.ts, HTTP_ACTIVITY, activity, INFORMATIONAL);
    of_flow(&mut event, context, &record.identity);
    let mut url = Map::new();
    url.insert("path".into(), json!(printable(&request.target)));
    if let Some(host) = &request.host {
        url.insert("hostname".into(), json!(printable(host)));
    }
    let mut made = Map::new();
    made.insert("http_method".into(), json!(printable(&request.method)));
    made.insert("url".into(), url.into());
    if let Some(agent) = &request.user_agent {
        made.insert("user_agent".into(), json!(printable(agent)));
    }
    event.insert("http_request".into(), made.into());
    if let Some(response) = &record.response {
        event.insert("http_response".into(), json!({ "code": response.status }));
    }
    Value::Object(event)
}

fn finding_event(context: &EveContext, finding: &Finding) -> Value {
    // 1 Create, 2 Update, 3 Close.
    let activity = match finding.life {
        Life::Opened => 1,
        Life::Updated | Life::Escalated => 2,
        Life::Closed => 3,
    };
    // 2 Low, 3 Medium, 4 High.
    let severity = match finding.level {
        Level::Watch => 2,
        Level::Alert => 3,
        Level::High => 4,
    };
    let analytic = finding.analytic;
    let session = &finding.session;
    let mut event = base(context, finding.at, DETECTION_FINDING, activity, severity);
    event.insert("message".into(), json!(finding.sentence));
    event.insert("status_id".into(), json!(if finding.life == Life::Closed { 4 } else { 1 }));
    event.insert("risk_score".into(), json!(finding.score_bits.clamp(0.0, 1e6).round()));
    event.insert("start_time".into(), json!(time(session.first)));
    event.insert("end_time".into(), json!(time(session.last)));
    let technique = json!({
        "uid": analytic.technique(),
        "name": "Data Obfuscation",
        "src_url": "https://attack.mitre.org/techniques/T1001",
    });
    event.insert("finding_info".into(), json!({
        "uid": finding.id.as_str(),
        "title": analytic.title(),
        "desc": finding.sentence,
        "created_time": time(finding.opened_at),
        "modified_time": time(finding.at),
        "first_seen_time": time(session.first),
        "last_seen_time": time(session.last),
        "analytic": { "uid": analytic.id(), "name": analytic.id(), "type_id": 2, "type": "Behavioral" },
        "attacks": [{
            "version": "18",
            "technique": technique,
            "tactic": { "uid": "TA0011", "name": "Command and Control" },
        }],
    }));
    event.insert("evidences".into(), json!([evidence(session)]));
    event.insert("unmapped".into(), json!({
        "level": finding.level.name(),
        "policy": finding.judgement.verdict.name(),
        "reasons": finding.reasons.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>(),
    }));
    Value::Object(event)
}

fn evidence(session: &SessionSummary) -> Value {
    let mut source = Map::new();
    source.insert("ip".into(), json!(session.host.addr));
    if let Some(name) = &session.host.name {
        source.insert("hostname".into(), json!(name.as_ref()));
    }
    if let Some(mac) = session.host.mac {
        source.insert("mac".into(), json!(mac.to_string()));
    }
    let mut destination = Map::new();
    destination.insert("ip".into(), json!(session.destination.addr));
    destination.insert("port".into(), json!(session.destination.port));
    if let Some(name) = &session.destination.name {
        destination.insert("hostname".into(), json!(&**name));
    }
    json!({
        "src_endpoint": source,
        "dst_endpoint": destination,
        "data": {
            "application": &*session.attribution.application,
            "session": session.id.to_string(),
            "connections": session.flows,
            "bytes_out": session.up_bytes,
            "bytes_in": session.down_bytes,
            "held_s": session.effective.as_secs(),
        },
    })
}
