//! Endpoint telemetry: any lines of any kind, read and joined; the tables stay in their bounds.
#![no_main]

use std::net::IpAddr;

use dwell_attribution::telemetry::{
    FlowView, Telemetry, TelemetryConfig, TelemetryKind, TelemetryReader,
};
use dwell_packet::{Endpoint, Timestamp, Transport};
use libfuzzer_sys::fuzz_target;

const BOUND: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let kind = TelemetryKind::ALL.get(usize::from(*first)).copied();
    let mut reader = TelemetryReader::new("fuzz.log", kind);
    let config = TelemetryConfig {
        max_sightings: BOUND,
        max_processes: BOUND,
        ..TelemetryConfig::default()
    };
    let mut telemetry = Telemetry::new(config);
    let now = Timestamp::from_parts(1_795_550_634, 0);
    let end = |last, port| Endpoint { addr: IpAddr::from([10, 99, 0, last]), port };
    let view = FlowView {
        local: end(2, 56232),
        remote: end(1, 443),
        transport: Transport::Tcp,
        first: now,
        last: now,
        community_id: None,
    };
    let mut out = Vec::new();
    for line in rest.split(|&byte| byte == b'\n') {
        if let Err(error) = reader.read(line, &mut out) {
            assert!(error.to_string().starts_with("fuzz.log:"));
        }
        for observation in out.drain(..) {
            for flow in telemetry.observe(now, observation, None) {
                telemetry.identify(flow, view.clone());
            }
        }
        telemetry.identify(1, view.clone());
        let (sightings, processes, flows) = telemetry.len();
        assert!(sightings <= BOUND && processes <= BOUND && flows <= 1);
    }
    telemetry.forget(1);
    assert_eq!(telemetry.len().2, 0);
});
