//! Records as JSON of the Elastic Common Schema, version 9.4 (and what Malcolm adds for JA4).
//! Decides nothing about what is recorded.
//!
//! Required by the schema: `@timestamp` and `ecs.version`. What ECS has no place for is under
//! `dwell`.

use dwell_detect::{Finding, Level, SessionSummary};
use dwell_engine::{
    FlowIdentity, FlowRecord, HandshakeRecord, HttpRecord, Moment, Record, SessionRecord,
    StatsRecord,
};
use dwell_packet::{Timestamp, Transport};
use serde_json::{Map, Value, json};

use crate::{EveContext, kind_of, printable};

/// The schema's version that the fields are from.
pub(crate) const ECS_VERSION: &str = "9.4.0";

/// A record as one ECS document.
pub(crate) fn document(context: &EveContext, record: &Record) -> Option<Value> {
    let mut document = match record {
        Record::Flow(flow) => flow_document(context, flow),
        Record::Handshake(handshake) => handshake_document(context, handshake),
        Record::Http(http) => http_document(context, http),
        Record::Finding(finding) => finding_document(context, finding),
        Record::Session(session) => session_document(context, session),
        Record::Stats(stats) => stats_document(context, stats),
        _ => return None,
    };
    merge(
        &mut document,
        json!({
            "ecs": { "version": ECS_VERSION },
            "event": { "module": "dwell", "dataset": format!("dwell.{}", kind_of(record)) },
            "observer": {
                "name": context.sensor,
                "product": "dwell",
                "type": "sensor",
                "version": env!("CARGO_PKG_VERSION"),
            },
        }),
    );
    Some(document)
}

/// Puts the members of `more` into `document`, objects into objects.
fn merge(document: &mut Value, more: Value) {
    match (document, more) {
        (Value::Object(document), Value::Object(more)) => {
            for (name, value) in more {
                merge(document.entry(name).or_insert(Value::Null), value);
            }
        }
        (place, value) => *place = value,
    }
}

fn time(ts: Timestamp) -> String {
    crate::eve_time(ts).replace("+0000", "Z")
}

/// What every document about a flow says.
fn of_flow(context: &EveContext, at: Timestamp, identity: &FlowIdentity) -> Value {
    let tuple = &identity.tuple;
    let mut document = json!({
        "@timestamp": time(at),
        "source": { "ip": tuple.src.addr, "port": tuple.src.port },
        "destination": { "ip": tuple.dst.addr, "port": tuple.dst.port },
        "network": {
            "transport": match tuple.transport { Transport::Tcp => "tcp", Transport::Udp => "udp" },
            "type": if tuple.src.addr.is_ipv4() { "ipv4" } else { "ipv6" },
            "community_id": identity.community.to_string(),
            "application": &*identity.application.application,
        },
        "event": { "id": context.flow_base.saturating_add(identity.flow).to_string() },
        "related": { "ip": [tuple.src.addr, tuple.dst.addr] },
        "dwell": {
            "app": { "confidence": six(identity.application.confidence), "source": identity.application.level.name() },
        },
    });
    if let Some(name) = &identity.destination.name {
        merge(&mut document, json!({ "destination": { "domain": &**name } }));
    }
    if let Some(session) = identity.session {
        merge(&mut document, json!({ "dwell": { "session_id": session.to_string() } }));
    }
    document
}

fn flow_document(context: &EveContext, flow: &FlowRecord) -> Value {
    let snapshot = &flow.snapshot;
    let (sent, received) = (&snapshot.sent, &snapshot.received);
    let (kind, outcome) = match flow.moment {
        Moment::Start => ("start", None),
        Moment::Update => ("info", None),
        Moment::End(reason) => ("end", Some(reason.name())),
    };
    let until = if matches!(flow.moment, Moment::End(_)) { snapshot.last } else { flow.ts };
    let duration = until.saturating_since(snapshot.first);
    let mut document = of_flow(context, flow.ts, &flow.identity);
    merge(
        &mut document,
        json!({
            "event": {
                "kind": "event",
                "category": ["network"],
                "type": ["connection", kind],
                "start": time(snapshot.first),
                "duration": u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
            },
            "source": { "bytes": sent.wire_bytes, "packets": sent.packets },
            "destination": { "bytes": received.wire_bytes, "packets": received.packets },
            "network": {
                "bytes": sent.wire_bytes.saturating_add(received.wire_bytes),
                "packets": sent.packets.saturating_add(received.packets),
            },
            "dwell": { "sequence": flow.sequence },
        }),
    );
    if let Some(reason) = outcome {
        merge(
            &mut document,
            json!({
                "event": { "end": time(snapshot.last), "reason": reason },
            }),
        );
    }
    document
}

fn handshake_document(context: &EveContext, record: &HandshakeRecord) -> Value {
    let hello = &record.hello;
    let mut document = of_flow(context, record.ts, &record.identity);
    let mut client = Map::new();
    client.insert("ja3".into(), json!(hello.ja3));
    client.insert("ja4".into(), json!(hello.ja4));
    if let Some(name) = &hello.server_name {
        client.insert("server_name".into(), json!(printable(name)));
    }
    let mut tls = Map::new();
    tls.insert("client".into(), client.into());
    if let Some(answer) = &record.answer {
        tls.insert("server".into(), json!({ "ja3s": answer.ja3s }));
        tls.insert("established".into(), json!(true));
        if let Some(alpn) = &answer.alpn {
            tls.insert("next_protocol".into(), json!(printable(alpn)));
        }
        if let Some((protocol, version)) = version(answer.version) {
            tls.insert("version_protocol".into(), json!(protocol));
            tls.insert("version".into(), json!(version));
        }
    }
    merge(
        &mut document,
        json!({
            "event": { "kind": "event", "category": ["network"], "type": ["protocol"] },
            "network": { "protocol": kind_of(&Record::Handshake(Box::new(record.clone()))) },
            "tls": tls,
            "dwell": { "ech": hello.ech },
        }),
    );
    document
}

/// ECS's `tls.version_protocol` and `tls.version`.
const fn version(number: u16) -> Option<(&'static str, &'static str)> {
    match number {
        0x0300 => Some(("ssl", "3.0")),
        0x0301 => Some(("tls", "1.0")),
        0x0302 => Some(("tls", "1.1")),
        0x0303 => Some(("tls", "1.2")),
        0x0304 => Some(("tls", "1.3")),
        0xfeff => Some(("dtls", "1.0")),
        0xfefd => Some(("dtls", "1.2")),
        0xfefc => Some(("dtls", "1.3")),
        _ => None,
    }
}

fn http_document(context: &EveContext, record: &HttpRecord) -> Value {
    let request = &record.request;
    let mut document = of_flow(context, record.ts, &record.identity);
    merge(
        &mut document,
        json!({
            "event": { "kind": "event", "category": ["network", "web"], "type": ["protocol"] },
            "network": { "protocol": "http" },
            "http": { "request": { "method": printable(&request.method) } },
            "url": { "original": printable(&request.target) },
        }),
    );
    if let Some(host) = &request.host {
        merge(&mut document, json!({ "url": { "domain": printable(host) } }));
    }
    if let Some(agent) = &request.user_agent {
        merge(&mut document, json!({ "user_agent": { "original": printable(agent) } }));
    }
    if let Some(response) = &record.response {
        merge(&mut document, json!({ "http": { "response": { "status_code": response.status } } }));
    }
    document
}

/// What every document about a session says.
fn of_session(at: Timestamp, session: &SessionSummary) -> Value {
    let mut document = json!({
        "@timestamp": time(at),
        "source": { "ip": session.host.addr, "bytes": session.up_bytes },
        "destination": {
            "ip": session.destination.addr,
            "port": session.destination.port,
            "bytes": session.down_bytes,
        },
        "network": { "application": &*session.attribution.application },
        "event": {
            "start": time(session.first),
            "end": time(session.last),
            "duration": u64::try_from(session.effective.as_nanos()).unwrap_or(u64::MAX),
        },
        "related": { "ip": [session.host.addr, session.destination.addr] },
        "dwell": {
            "session_id": session.id.to_string(),
            "connections": session.flows,
            "bursts": session.shape.bursts,
        },
    });
    if let Some(name) = &session.destination.name {
        merge(&mut document, json!({ "destination": { "domain": &**name } }));
    }
    if let Some(name) = &session.host.name {
        merge(
            &mut document,
            json!({
                "source": { "domain": name.as_ref() },
                "related": { "hosts": [name.as_ref()] },
            }),
        );
    }
    if let Some(mac) = session.host.mac {
        let mac = mac.to_string().to_uppercase().replace(':', "-");
        merge(&mut document, json!({ "source": { "mac": mac } }));
    }
    document
}

fn finding_document(_context: &EveContext, finding: &Finding) -> Value {
    let analytic = finding.analytic;
    let mut document = of_session(finding.at, &finding.session);
    // ECS: severities as the source has them; 21, 47, 73 are those of Elastic's own rules.
    let severity = match finding.level {
        Level::Watch => 21,
        Level::Alert => 47,
        Level::High => 73,
    };
    merge(
        &mut document,
        json!({
            "event": {
                "kind": "alert",
                "category": ["network"],
                "type": ["connection", "indicator"],
                "action": finding.life.name(),
                "severity": severity,
                "risk_score": six(finding.score_bits),
                "reason": finding.sentence,
            },
            "message": finding.sentence,
            "rule": { "id": analytic.id(), "name": analytic.title(), "ruleset": analytic.strategy() },
            "threat": {
                "framework": "MITRE ATT&CK",
                "technique": {
                    "id": [analytic.technique()],
                    "name": ["Data Obfuscation"],
                    "reference": ["https://attack.mitre.org/techniques/T1001/"],
                },
                "tactic": { "id": ["TA0011"], "name": ["Command and Control"] },
            },
            "dwell": {
                "finding_id": finding.id.as_str(),
                "group_id": finding.group.as_str(),
                "level": finding.level.name(),
                "opened": time(finding.opened_at),
                "policy": finding.judgement.verdict.name(),
                "reasons": finding.reasons.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>(),
            },
        }),
    );
    document
}

fn session_document(_context: &EveContext, record: &SessionRecord) -> Value {
    let mut document = of_session(record.ts, &record.summary);
    let kind = if record.end.is_some() { "end" } else { "info" };
    merge(
        &mut document,
        json!({
            "event": { "kind": "event", "category": ["network"], "type": ["connection", kind] },
        }),
    );
    if let Some(end) = record.end {
        merge(&mut document, json!({ "event": { "reason": end.name() } }));
    }
    document
}

fn stats_document(context: &EveContext, stats: &StatsRecord) -> Value {
    let lost: u64 = context.capture.iter().map(|of| of.kernel_dropped + of.nic_dropped).sum();
    json!({
        "@timestamp": time(stats.ts),
        "event": { "kind": "metric", "category": ["network"], "type": ["info"] },
        "dwell": { "stats": {
            "frames": stats.decode.frames,
            "discarded": stats.decode.discarded_frames(),
            "lost": lost,
            "flows_open": stats.flows.open,
            "flows_opened": stats.flows.opened,
            "client_hellos": stats.shards.client_hellos,
        } },
    })
}

fn six(value: f64) -> f64 {
    if value.is_finite() { (value * 1e6).round() / 1e6 } else { 0.0 }
}
