//! The join of telemetry with flows: who is believed, when, and what a liar can do.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::telemetry::{
    FlowView, Join, Telemetry, TelemetryConfig, TelemetryReader, TelemetrySource,
};
use dwell_packet::{Endpoint, Timestamp, Transport};

const NOON: u64 = 1_795_550_400;

fn at(second: u64) -> Timestamp {
    Timestamp::from_parts(NOON + second, 0)
}

fn view(first: u64, last: u64) -> FlowView {
    let end = |addr: [u8; 4], port| Endpoint { addr: IpAddr::from(addr), port };
    FlowView {
        local: end([10, 0, 0, 2], 5000),
        remote: end([192, 0, 2, 1], 443),
        transport: Transport::Tcp,
        first: at(first),
        last: at(last),
        community_id: None,
    }
}

/// A line of `process_open_sockets` for the socket of [`view`].
fn sighting(host: &str, pid: u32, second: u64) -> String {
    format!(
        r#"{{"hostIdentifier":"{host}","unixTime":{},"columns":{{"pid":"{pid}","name":"p{pid}","protocol":"6","local_address":"10.0.0.2","local_port":"5000","remote_address":"192.0.2.1","remote_port":"443"}}}}"#,
        NOON + second
    )
}

fn tell(telemetry: &mut Telemetry, now: u64, line: &str) -> Vec<u64> {
    tell_of(telemetry, now, line, None)
}

fn tell_of(
    telemetry: &mut Telemetry,
    now: u64,
    line: &str,
    hosts: Option<&Arc<[IpAddr]>>,
) -> Vec<u64> {
    let mut out = Vec::new();
    TelemetryReader::new("t", None).read(line.as_bytes(), &mut out).unwrap();
    out.into_iter().flat_map(|seen| telemetry.observe(at(now), seen, hosts)).collect()
}

fn pid(telemetry: &mut Telemetry, view: FlowView) -> Option<u32> {
    telemetry.identify(1, view).map(|(facts, ..)| facts.pid)
}

#[test]
fn a_socket_is_a_flows_within_window_and_skew_only() {
    for (seen, expected) in [(94, None), (95, Some(7)), (100, Some(7)), (170, Some(7)), (171, None)]
    {
        let mut telemetry = Telemetry::new(TelemetryConfig::default());
        tell(&mut telemetry, 110, &sighting("a", 7, seen));
        assert_eq!(pid(&mut telemetry, view(100, 110)), expected, "seen at {seen}");
    }
}

#[test]
fn clocks_known_to_be_wrong_are_put_right() {
    let config = TelemetryConfig { clocks_ahead: Duration::from_secs(300), ..Default::default() };
    let mut telemetry = Telemetry::new(config);
    tell(&mut telemetry, 100, &sighting("a", 7, 400));
    assert_eq!(pid(&mut telemetry, view(100, 101)), Some(7));
}

#[test]
fn a_port_used_again_is_the_process_of_its_own_time() {
    let mut telemetry = Telemetry::new(TelemetryConfig::default());
    tell(&mut telemetry, 100, &sighting("a", 7, 98));
    tell(&mut telemetry, 100, &sighting("a", 8, 102));
    assert_eq!(pid(&mut telemetry, view(102, 103)), Some(8));
}

#[test]
fn a_late_sighting_brings_its_open_flow_up_again() {
    let mut telemetry = Telemetry::new(TelemetryConfig::default());
    tell(&mut telemetry, 1, &sighting("b", 1, 1).replace("10.0.0.2", "10.0.0.9"));
    assert_eq!(pid(&mut telemetry, view(10, 20)), None);
    assert_eq!(tell(&mut telemetry, 500, &sighting("a", 7, 500)), [1]);
    assert_eq!(pid(&mut telemetry, view(10, 500)), Some(7));
    telemetry.forget(1);
    assert_eq!(tell(&mut telemetry, 501, &sighting("a", 8, 501)), [0; 0]);
}

#[test]
fn an_execution_told_later_completes_the_flow() {
    let mut telemetry = Telemetry::new(TelemetryConfig::default());
    tell(&mut telemetry, 100, &sighting("mac-1.local", 7, 100));
    assert_eq!(pid(&mut telemetry, view(100, 101)), Some(7));
    let exec = r#"{"time":"2026-11-24T20:00:01Z","process":{"audit_token":{"pid":1}},"event":{"exec":{"target":{"audit_token":{"pid":7},"executable":{"path":"/bin/p7"},"team_id":"TEAM"}}}}"#;
    assert_eq!(tell(&mut telemetry, 102, exec), [1]);
    let (facts, source, join) = telemetry.identify(1, view(100, 102)).unwrap();
    assert_eq!(facts.path.as_deref(), Some("/bin/p7"));
    assert_eq!(facts.team_id.as_deref(), Some("TEAM"));
    assert_eq!((source, join), (TelemetrySource::OpenSockets, Join::FiveTuple));
}

#[test]
fn a_machine_cannot_speak_for_an_address_that_another_speaks_for() {
    let mut telemetry = Telemetry::new(TelemetryConfig::default());
    tell(&mut telemetry, 100, &sighting("owner", 7, 100));
    tell(&mut telemetry, 101, &sighting("liar", 666, 100));
    assert_eq!(pid(&mut telemetry, view(100, 101)), Some(7));
    assert_eq!(telemetry.counters().foreign, 1);
    // After an hour of silence the address may be another's.
    tell(&mut telemetry, 4000, &sighting("heir", 9, 4000));
    assert_eq!(telemetry.counters().foreign, 1);
}

#[test]
fn a_feed_that_is_bound_to_a_host_speaks_for_it_alone() {
    let other: Arc<[IpAddr]> = ["10.0.0.3".parse().unwrap()].into();
    let own: Arc<[IpAddr]> = ["10.0.0.2".parse().unwrap()].into();
    let by_id = r#"{"community_id":"1:l5ygyWVF0YcbmZXey31pYs2ygN4=","pid":9,"name":"x"}"#;
    let mut telemetry = Telemetry::new(TelemetryConfig::default());
    tell_of(&mut telemetry, 100, &sighting("a", 7, 100), Some(&other));
    tell_of(&mut telemetry, 100, by_id, Some(&other));
    let id = Some("1:l5ygyWVF0YcbmZXey31pYs2ygN4=".into());
    let flow = FlowView { community_id: id, ..view(100, 101) };
    assert_eq!(pid(&mut telemetry, flow.clone()), None);
    assert_eq!(telemetry.counters().foreign, 1);
    tell_of(&mut telemetry, 100, by_id, Some(&own));
    let (facts, _, join) = telemetry.identify(1, flow).unwrap();
    assert_eq!((facts.pid, join), (9, Join::Untimed));
}

#[test]
fn absurd_times_are_counted_and_do_not_move_the_clock() {
    let mut telemetry = Telemetry::new(TelemetryConfig::default());
    tell(&mut telemetry, 100, &sighting("a", 7, 900_000_000));
    tell(&mut telemetry, 100, &sighting("a", 7, 100).replace("1795550500", "1"));
    assert_eq!(telemetry.counters().absurd, 2);
    tell(&mut telemetry, 100, &sighting("a", 8, 100));
    assert_eq!(pid(&mut telemetry, view(100, 101)), Some(8));
}

#[test]
fn a_flood_stays_in_its_bounds_and_leaves_the_others_alone() {
    let config = TelemetryConfig { max_sightings: 400, max_processes: 400, ..Default::default() };
    let mut telemetry = Telemetry::new(config);
    for number in 0..20_000u32 {
        let port = number % 60_000 + 1;
        let line = sighting("loud", number, 100)
            .replace("10.0.0.2", "10.0.0.66")
            .replace("5000", &port.to_string());
        tell(&mut telemetry, 100, &line);
        let exec = format!(r#"{{"host":"loud","pid":{number},"path":"/bin/{number}"}}"#);
        tell(&mut telemetry, 100, &exec);
    }
    tell(&mut telemetry, 100, &sighting("quiet", 7, 100));
    assert_eq!(pid(&mut telemetry, view(100, 101)), Some(7));
    let (sightings, processes, flows) = telemetry.len();
    assert!(sightings <= 400 && processes <= 400 && flows == 1);
    assert!(telemetry.counters().refused > 19_000);
}

#[test]
fn hidden_addresses_join_only_where_one_flow_can_be_meant() {
    let line = r#"{"timestamp":"2026-11-24 20:01:40.0+0000","eventType":"logEvent","subsystem":"com.apple.network","processImagePath":"/bin/x","processID":7,"eventMessage":"[C1 A h:443 tcp] cancelled\n\t[C1.1 B <private>.5000<->IPv4#3f:443]"}"#;
    let mut telemetry = Telemetry::new(TelemetryConfig::default());
    tell(&mut telemetry, 100, line);
    let (facts, _, join) = telemetry.identify(1, view(100, 101)).unwrap();
    assert_eq!((facts.pid, join), (7, Join::Ports));
    let mut other = view(100, 101);
    other.local.addr = "10.0.0.3".parse().unwrap();
    assert_eq!(telemetry.identify(2, other), None);
    assert_eq!(telemetry.counters().ambiguous, 1);
}
