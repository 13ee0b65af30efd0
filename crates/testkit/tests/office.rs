//! The demo capture: committed as generated, sound on the wire, and with one session in it that
//! does not belong. Frames are read by etherparse, which shares no code with the generator.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::LazyLock;

use dwell_testkit::office::{DEMO_SEED, Office};
use dwell_testkit::{CapturedFrame, ClientHello};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use flate2::read::GzDecoder;

static DEMO: LazyLock<Office> = LazyLock::new(|| Office::new(DEMO_SEED));

fn pcap_of(office: &Office) -> Vec<u8> {
    let mut pcap = Vec::new();
    office.capture.write_pcap(&mut pcap).unwrap();
    pcap
}

fn whole(frames: &[CapturedFrame]) -> impl Iterator<Item = &CapturedFrame> {
    frames.iter().filter(|frame| frame.bytes.len() == usize::try_from(frame.wire_len).unwrap())
}

#[test]
fn the_committed_capture_is_what_its_seed_gives() {
    // Made by: cargo run --release -p dwell-testkit --bin make-demo -- pcaps
    let committed = include_bytes!("../../../pcaps/demo-office.pcap.gz");
    let mut pcap = Vec::new();
    GzDecoder::new(committed.as_slice()).read_to_end(&mut pcap).unwrap();
    assert!(pcap == pcap_of(&DEMO), "pcaps/demo-office.pcap.gz is out of date");
    let labels = include_str!("../../../pcaps/demo-office.labels.json");
    assert!(labels == DEMO.labels_json(), "pcaps/demo-office.labels.json is out of date");
}

#[test]
fn another_seed_gives_another_day() {
    assert!(pcap_of(&Office::new(DEMO_SEED + 1)) != pcap_of(&DEMO));
}

#[test]
fn frames_are_in_time_order_and_within_seven_hours() {
    let frames = DEMO.capture.frames();
    assert!(frames.is_sorted_by_key(|frame| frame.ts));
    let span = frames.last().unwrap().ts.saturating_since(frames[0].ts).as_secs();
    assert!((6 * 3_600..=7 * 3_600).contains(&span), "{span} s");
}

#[test]
fn every_whole_frame_has_right_lengths_and_checksums() {
    let mut checked = 0;
    for frame in whole(DEMO.capture.frames()) {
        let packet = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
        let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("no IPv4: {frame:?}") };
        let header = ip.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        let (src, dst) = (header.source, header.destination);
        match &packet.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                assert_eq!(tcp.checksum(), tcp.calc_checksum_ipv4(src, dst).unwrap());
            }
            Some(TransportSlice::Udp(udp)) => {
                let sum = udp.to_header().calc_checksum_ipv4_raw(src, dst, udp.payload()).unwrap();
                assert_eq!(udp.checksum(), sum);
            }
            other => panic!("neither TCP nor UDP: {other:?}"),
        }
        checked += 1;
    }
    assert!(checked > 20_000, "{checked}");
}

#[test]
fn one_session_is_unexpected_and_nobody_else_knows_its_server() {
    let unexpected: Vec<_> = DEMO.sessions.iter().filter(|s| s.unexpected).collect();
    let [session] = unexpected.as_slice() else { panic!("{unexpected:?}") };
    assert_eq!(session.client_ports.len(), 5);
    let hours = session.last.saturating_since(session.first).as_secs_f64() / 3_600.0;
    assert!((4.9..5.4).contains(&hours), "{hours} h");
    let visitors = DEMO.sessions.iter().filter(|s| s.server_name == session.server_name);
    assert_eq!(visitors.count(), 1);
    let same_hello = DEMO.sessions.iter().filter(|s| s.hello_of == session.hello_of);
    assert_eq!(same_hello.count(), 1);
}

#[test]
fn near_misses_are_there() {
    let lasting = |application: &str, name: &str| {
        let mut sessions = DEMO.sessions.iter().filter(|s| s.application == application);
        let session = sessions.find(|s| s.server_name == name).unwrap();
        session.last.saturating_since(session.first).as_secs() / 60
    };
    // A library for minutes; a browser's page, of one visitor, for longer than an hour; a
    // connection of the system's for the day.
    assert!((9..=10).contains(&lasting("script", "api.cartograph.example")));
    assert!((85..=95).contains(&lasting("browser/firefox", "live.regatta-scores.example")));
    assert!(lasting("push", "courier.orchardpush.example") > 5 * 60);
}

#[test]
fn every_connection_is_labelled_by_the_name_in_its_hello() {
    let mut labelled = BTreeMap::new();
    for session in &DEMO.sessions {
        for port in &session.client_ports {
            labelled.insert((session.address.octets(), *port), session.server_name.clone());
        }
    }
    let mut streams: BTreeMap<([u8; 4], u16), Vec<u8>> = BTreeMap::new();
    for frame in DEMO.capture.frames() {
        let packet = etherparse::LaxSlicedPacket::from_ethernet(&frame.bytes).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { continue };
        let Some(etherparse::LaxNetSlice::Ipv4(ip)) = &packet.net else { continue };
        if matches!(tcp.destination_port(), 443 | 5_223) {
            let stream = streams.entry((ip.header().source(), tcp.source_port())).or_default();
            if stream.len() < 4_096 {
                stream.extend_from_slice(tcp.payload());
            }
        }
    }
    let seen: BTreeMap<_, _> = streams
        .iter()
        .map(|(end, stream)| {
            let hello = ClientHello::from_stream(stream).unwrap();
            (*end, hello.server_name().unwrap().to_owned())
        })
        .collect();
    assert_eq!(seen, labelled);
}

#[test]
fn every_name_was_asked_for_by_the_host_that_uses_it() {
    let mut asked: BTreeSet<(String, String)> = BTreeSet::new();
    for frame in whole(DEMO.capture.frames()) {
        let packet = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
        let Some(TransportSlice::Udp(udp)) = &packet.transport else { continue };
        let Some(NetSlice::Ipv4(ip)) = &packet.net else { continue };
        if udp.destination_port() == 53 {
            let mut labels = Vec::new();
            let mut rest = &udp.payload()[12..];
            while let [length @ 1..=63, after @ ..] = rest {
                let (label, others) = after.split_at(usize::from(*length));
                labels.push(String::from_utf8(label.to_vec()).unwrap());
                rest = others;
            }
            asked.insert((ip.header().source_addr().to_string(), labels.join(".")));
        }
    }
    for session in &DEMO.sessions {
        let wanted = (session.address.to_string(), session.server_name.clone());
        assert!(asked.contains(&wanted), "{wanted:?}");
    }
}
