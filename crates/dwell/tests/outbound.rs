//! AN0144 from packets to records, with thresholds of a configuration file.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dwell_packet::{Endpoint, LinkAddresses, MacAddress, Timestamp};
use dwell_testkit::{Capture, Client, Exchange, Random, Route, Side, TlsSession};
use serde_json::Value;

/// Twenty megabytes from one machine, `down` bytes an exchange back.
fn capture(path: &Path, down: u32) {
    let mut capture = Capture::new();
    let templates = Client::Go.templates();
    let start = Timestamp::from_parts(1_750_032_000, 0);
    let route = Route {
        client: Endpoint { addr: [10, 0, 0, 7].into(), port: 50_123 },
        server: Endpoint { addr: [203, 0, 113, 9].into(), port: 443 },
        link: LinkAddresses {
            src: MacAddress([2, 0, 0, 0, 0, 7]),
            dst: MacAddress([2, 0, 0, 0, 0, 1]),
        },
        round_trip: Duration::from_millis(20),
        initial_seq: 1,
    };
    let named = (&templates[0], "drop.example-9.net");
    let (mut session, mut at) = TlsSession::open(start, route, named, Random::new(1), &mut capture);
    for _ in 0..20 {
        let exchange = Exchange { at, first: Side::Client, up: 1_000_000, down };
        at = session.exchange(exchange, &mut capture).saturating_add(Duration::from_secs(3));
    }
    session.close(at, Side::Client, &mut capture);
    capture.sort();
    capture.write_pcap(&mut fs::File::create(path).unwrap()).unwrap();
}

/// The alerts of a replay under `detect`, a part of a configuration file.
fn alerts(down: u32, detect: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    capture(&at("upload.pcap"), down);
    let text = format!(
        "{detect}\n[[output]]\nname = 'eve'\ntype = 'file'\npath = {:?}\n[http]\nlisten = 'off'\n",
        at("eve.json")
    );
    fs::write(at("dwell.toml"), text).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_dwell"))
        .args(["replay", "--config"])
        .args([at("dwell.toml"), at("upload.pcap")])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let lines = fs::read_to_string(at("eve.json")).unwrap();
    let records = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["event_type"] == "alert").collect()
}

#[test]
fn a_tool_that_sends_a_disk_away_is_told_with_its_analytic() {
    let found = alerts(400, "[detect.AN0144]\nmin_bytes_out = '64KiB'");
    let [first, ..] = found.as_slice() else { panic!("no alert") };
    assert_eq!(first["alert"]["metadata"]["mitre_analytic"][0], "AN0144");
    let dwell = &first["dwell"];
    let sum = dwell["parts"]["unexpected"].as_f64().unwrap()
        + dwell["parts"]["outbound"].as_f64().unwrap();
    assert!((dwell["score"].as_f64().unwrap() - sum).abs() < 1e-5, "{dwell}");
    assert_eq!(dwell["provisional"], true);
    let sentence = first["alert"]["signature"].as_str().unwrap();
    assert!(sentence.contains("has sent 20.0 MB to example-9.net"), "{sentence}");
}

#[test]
fn an_allowed_application_and_an_answered_one_are_not() {
    let allowed = "[detect.AN0144]\nmin_bytes_out = '64KiB'\nProcessAllowlist = ['Go net/http']";
    assert_eq!(alerts(400, allowed), Vec::<Value>::new());
    let strict = "[detect.AN0144]\nmin_bytes_out = '64KiB'\nOutboundByteThreshold = 1e6";
    assert_eq!(alerts(400, strict), Vec::<Value>::new());
    let answered = "[detect.AN0144]\nmin_bytes_out = '64KiB'";
    assert_eq!(alerts(600_000, answered), Vec::<Value>::new());
}
