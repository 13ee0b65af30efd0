use crate::SinkFigures;
use dwell_engine::{Engine, EngineConfig, Record};
use dwell_packet::{Frame, LinkType, Processes};
use dwell_testkit::traffic::{Mix, Traffic};
use serde::Serialize;
use serde_json::Value;

use super::{EveContext, EveLines, append_record};
use super::{alert, flow, handshake, stats};

fn context() -> EveContext {
    EveContext {
        sensor: "tap \"1\"".to_owned(),
        pcap_filename: Some("a\\b.pcap".to_owned()),
        ..EveContext::default()
    }
}

/// All records of the beginning of a mix.
fn records(mix: Mix, seed: u64, frames: usize) -> Vec<Record> {
    let mut engine = Engine::new(EngineConfig::default());
    for (captured, number) in Traffic::new(mix, seed).take(frames).zip(1..) {
        engine.handle(Frame {
            ts: captured.ts,
            link_type: LinkType::ETHERNET,
            bytes: &captured.bytes,
            wire_len: captured.wire_len,
            number,
            processes: Processes::default(),
        });
    }
    engine.finish();
    let mut records = engine.take_records();
    records.push(Record::Stats(Box::new(engine.stats())));
    records
}

#[test]
fn a_stats_line_says_what_became_of_records_at_each_output() {
    let record = records(Mix::Internet, 1, 100).pop().unwrap();
    let figures = |name: &str, written| SinkFigures {
        name: name.to_owned(),
        written,
        dropped: 2,
        errors: 3,
        queued: 4,
    };
    let sinks = vec![figures("eve", 10), figures("siem", 0)];
    let context = EveContext { sinks, unqueued: 5, ..context() };
    let mut line = Vec::new();
    append_record(&mut line, &context, &record).unwrap();
    let line: Value = serde_json::from_slice(&line).unwrap();
    let sink =
        |written| serde_json::json!({"written": written, "dropped": 2, "errors": 3, "queued": 4});
    let expected = serde_json::json!({"unqueued": 5, "sinks": {"eve": sink(10), "siem": sink(0)}});
    assert_eq!(line["stats"]["output"], expected);
}

/// With the members of `+name` in the object around it, as our own serializer writes them.
fn merged(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut object = serde_json::Map::new();
            for (name, value) in members {
                match (name.starts_with('+'), merged(value)) {
                    (true, Value::Object(inner)) => object.extend(inner),
                    (true, Value::Null) => {}
                    (_, value) => drop(object.insert(name, value)),
                }
            }
            Value::Object(object)
        }
        Value::Array(items) => items.into_iter().map(merged).collect(),
        other => other,
    }
}

/// The line as `serde_json` writes it, read back.
fn by_serde_json(context: &EveContext, record: &Record) -> Value {
    fn value(line: &impl Serialize) -> Value {
        merged(serde_json::from_str(&serde_json::to_string(line).unwrap()).unwrap())
    }
    match record {
        Record::Handshake(record) => value(&handshake::tls_line(context, record, None)),
        Record::Http(record) => value(&handshake::http_line(context, record, None)),
        Record::Flow(record) => value(&flow::line(context, record, None)),
        Record::Finding(record) => value(&alert::line(context, record)),
        Record::Session(record) => value(&alert::session_line(context, record)),
        Record::Stats(record) => value(&stats::line(context, record)),
        _ => Value::Null,
    }
}

#[test]
fn every_line_is_what_serde_json_makes_of_it() {
    let context = context();
    for (mix, seed) in [(Mix::Internet, 7), (Mix::Internet, 8), (Mix::Small, 9)] {
        let records = records(mix, seed, 6_000);
        assert!(records.len() > 100, "{mix:?} gave {} records", records.len());
        for record in &records {
            let mut line = Vec::new();
            append_record(&mut line, &context, record).unwrap();
            assert_eq!(line.pop(), Some(b'\n'));
            assert!(!line.contains(&b'\n'));
            let ours: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(ours, by_serde_json(&context, record));
        }
    }
}

#[test]
fn lines_that_share_their_flow_are_the_same_lines() {
    let context = context();
    let mut records = records(Mix::Internet, 3, 6_000);
    // Again in another order: what is remembered of one flow meets lines of others.
    let mut again = records.clone();
    again.reverse();
    records.extend(again);
    let mut eve = EveLines::default();
    for record in &records {
        let (mut alone, mut shared) = (Vec::new(), Vec::new());
        append_record(&mut alone, &context, record).unwrap();
        eve.append(&mut shared, &context, record).unwrap();
        assert_eq!(String::from_utf8(shared).unwrap(), String::from_utf8(alone).unwrap());
    }
}
