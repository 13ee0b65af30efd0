//! The life of flow and session records on seven hours of an office: numbers, ages, sums.

use std::collections::BTreeMap;
use std::time::Duration;

use dwell_engine::{Engine, EngineConfig, FlowRecord, Moment, Record, SessionRecord};
use dwell_testkit::office::{DEMO_SEED, Office};

fn records() -> Vec<Record> {
    let capture = Office::new(DEMO_SEED).capture;
    let mut engine = Engine::new(EngineConfig::default());
    let mut records = Vec::new();
    for frame in capture.sensed() {
        engine.handle(frame);
        records.append(&mut engine.take_records());
    }
    engine.finish();
    records.append(&mut engine.take_records());
    records
}

fn flows(records: &[Record]) -> BTreeMap<u64, Vec<&FlowRecord>> {
    let mut flows: BTreeMap<u64, Vec<&FlowRecord>> = BTreeMap::new();
    for record in records {
        if let Record::Flow(record) = record {
            flows.entry(record.identity.flow).or_default().push(record);
        }
    }
    flows
}

fn sessions(records: &[Record]) -> BTreeMap<u64, Vec<&SessionRecord>> {
    let mut sessions: BTreeMap<u64, Vec<&SessionRecord>> = BTreeMap::new();
    for record in records {
        if let Record::Session(record) = record {
            sessions.entry(record.summary.id.0).or_default().push(record);
        }
    }
    sessions
}

/// 5 m, 15 m, 1 h, then hourly.
fn ages(until: Duration) -> usize {
    let minutes = [5, 15].into_iter().chain((1..24).map(|hour| 60 * hour));
    minutes.filter(|minutes| Duration::from_secs(60 * minutes) <= until).count()
}

#[test]
fn a_flow_starts_once_ends_at_most_once_and_counts_its_records() {
    let records = records();
    let flows = flows(&records);
    assert!(flows.len() > 500, "{}", flows.len());
    for (flow, records) in &flows {
        let numbers: Vec<u32> = records.iter().map(|record| record.sequence).collect();
        let expected: Vec<u32> = (1..).take(records.len()).collect();
        assert_eq!(numbers, expected, "flow {flow}");
        let (last, earlier) = records.split_last().unwrap();
        assert!(matches!(last.moment, Moment::End(_)), "flow {flow}");
        for (place, record) in earlier.iter().enumerate() {
            let moment = if place == 0 { Moment::Start } else { Moment::Update };
            assert_eq!(record.moment, moment, "flow {flow}");
        }
        assert_eq!(
            last.identity.community.as_str(),
            records.first().unwrap().identity.community.as_str()
        );
    }
}

#[test]
fn updates_come_at_the_ages_of_a_flow_silent_or_not() {
    let records = records();
    let mut updated = 0;
    for (flow, records) in flows(&records) {
        let first = records.first().unwrap().snapshot.first;
        let last = records.last().unwrap();
        let updates: Vec<_> =
            records.iter().filter(|record| record.moment == Moment::Update).collect();
        let seen = ages(last.snapshot.last.saturating_since(first));
        let kept = ages(last.ts.saturating_since(first));
        // Without payload a flow has no record before its end.
        let bare = last.sequence == 1;
        assert!(bare || (seen..=kept).contains(&updates.len()), "flow {flow}: {}", updates.len());
        for (place, update) in updates.iter().enumerate() {
            let age = update.ts.saturating_since(first);
            assert!(ages(age) > place, "flow {flow}: {age:?} is early");
        }
        updated += updates.len();
    }
    assert!(updated > 20, "{updated}");
}

#[test]
fn what_flow_records_say_came_since_the_last_adds_up() {
    let records = records();
    for (flow, records) in flows(&records) {
        let last = records.last().unwrap();
        let sum = |field: fn(&FlowRecord) -> u64| records.iter().map(|record| field(record)).sum();
        let packets: u64 = sum(|record| record.delta.packets_out + record.delta.packets_in);
        let bytes: u64 = sum(|record| record.delta.bytes_out + record.delta.bytes_in);
        let (sent, received) = (last.snapshot.sent, last.snapshot.received);
        assert_eq!(packets, sent.packets + received.packets, "flow {flow}");
        assert_eq!(bytes, sent.wire_bytes + received.wire_bytes, "flow {flow}");
    }
}

#[test]
fn session_records_are_numbered_add_up_and_name_a_flow_of_theirs() {
    let records = records();
    let sessions = sessions(&records);
    assert!(sessions.len() > 50, "{}", sessions.len());
    for (session, records) in sessions {
        let numbers: Vec<u32> = records.iter().map(|record| record.sequence).collect();
        let expected: Vec<u32> = (1..).take(records.len()).collect();
        assert_eq!(numbers, expected, "session {session:x}");
        let (last, earlier) = records.split_last().unwrap();
        assert!(last.end.is_some() && earlier.iter().all(|record| record.end.is_none()));
        let sent: u64 = records.iter().map(|record| record.delta.bytes_out).sum();
        let parts: u32 = records.iter().map(|record| record.delta.parts).sum();
        assert_eq!((sent, parts), (last.summary.up_bytes, last.summary.flows), "{session:x}");
        let latest = last.latest.as_ref().unwrap();
        assert_eq!(latest.session, Some(last.summary.id));
        assert_eq!(latest.host.id, last.summary.host.id);
    }
}

#[test]
fn what_was_open_while_packets_were_dropped_says_so() {
    let capture = Office::new(DEMO_SEED).capture;
    let half = capture.sensed().count() / 2;
    let mut engine = Engine::new(EngineConfig::default());
    for frame in capture.sensed().take(half) {
        engine.handle(frame);
    }
    let lost_at = engine.now();
    engine.note_drops(7);
    engine.take_records();
    for frame in capture.sensed().skip(half) {
        engine.handle(frame);
    }
    engine.finish();
    let mut marked = [0; 3];
    for record in engine.take_records() {
        let (kind, first, visibility) = match &record {
            Record::Flow(flow) => {
                let dropped = if flow.snapshot.first < lost_at { 7 } else { 0 };
                assert_eq!(flow.losses.dropped_packets, dropped);
                (0, flow.snapshot.first, flow.visibility())
            }
            Record::Session(session) => (1, session.summary.first, session.summary.visibility),
            Record::Finding(finding) => (2, finding.session.first, finding.session.visibility),
            _ => continue,
        };
        assert_eq!(visibility.capture_loss, first < lost_at, "{record:?}");
        if let Some(count) = marked.get_mut(kind) {
            *count += u32::from(visibility.capture_loss);
        }
    }
    assert!(marked.iter().all(|count| *count > 0), "flows, sessions, findings: {marked:?}");
}
