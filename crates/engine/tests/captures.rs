//! The data path on real captures: what must not change however the packets come.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dwell_engine::{Engine, EngineConfig, HelloRow, Hellos, Moment, Record};
use dwell_packet::{Frame, LinkType, Timestamp};
use dwell_testkit::Capture;

fn capture(name: &str) -> Capture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcaps").join(name);
    Capture::read_pcap(&mut fs::read(path).unwrap().as_slice()).unwrap()
}

/// A frame of a capture, to be changed.
#[derive(Clone)]
struct Owned {
    ts: Timestamp,
    bytes: Vec<u8>,
}

fn frames(name: &str) -> Vec<Owned> {
    let capture = capture(name);
    capture.sensed().map(|frame| Owned { ts: frame.ts, bytes: frame.bytes.to_vec() }).collect()
}

fn feed(frames: &[Owned], mut take: impl FnMut(Frame<'_>)) {
    for (number, frame) in (1..).zip(frames) {
        take(Frame {
            ts: frame.ts,
            link_type: LinkType::ETHERNET,
            bytes: &frame.bytes,
            wire_len: u32::try_from(frame.bytes.len()).unwrap(),
            number,
            processes: dwell_packet::Processes::default(),
        });
    }
}

fn hellos(frames: &[Owned]) -> Vec<HelloRow> {
    let mut hellos = Hellos::new();
    feed(frames, |frame| hellos.handle(frame));
    hellos.finish()
}

fn records(frames: &[Owned]) -> Vec<Record> {
    let mut engine = Engine::new(EngineConfig::default());
    feed(frames, |frame| engine.handle(frame));
    engine.finish();
    engine.take_records()
}

/// JA3, JA4, server name and JA3S.
type Said = (String, String, Option<Vec<u8>>, Option<String>);

/// What hellos say, apart from when they were seen.
fn said(rows: &[HelloRow]) -> Vec<Said> {
    rows.iter()
        .map(|row| {
            let hello = &row.hello;
            (hello.ja3.clone(), hello.ja4.clone(), hello.server_name.clone(), row.ja3s.clone())
        })
        .collect()
}

/// Offset of the TCP payload in an Ethernet, IPv4 frame without VLAN tags.
fn payload_at(bytes: &[u8]) -> usize {
    let ip = 14 + usize::from(bytes[14] & 0x0f) * 4;
    ip + usize::from(bytes[ip + 12] >> 4) * 4
}

/// Cuts every TCP payload into segments of at most `size` bytes, with right lengths and sequence
/// numbers. Checksums are recomputed.
fn resegmented(frames: &[Owned], size: usize) -> Vec<Owned> {
    let mut out = Vec::new();
    for frame in frames {
        let at = payload_at(&frame.bytes);
        let total = usize::from(u16::from_be_bytes([frame.bytes[16], frame.bytes[17]]));
        let payload = frame.bytes[at..14 + total].to_vec();
        if payload.is_empty() {
            out.push(frame.clone());
            continue;
        }
        let ip = 14 + usize::from(frame.bytes[14] & 0x0f) * 4;
        let seq = u32::from_be_bytes(frame.bytes[ip + 4..ip + 8].try_into().unwrap());
        for (n, piece) in (0u32..).zip(payload.chunks(size)) {
            let mut bytes = frame.bytes[..at].to_vec();
            let seq = seq.wrapping_add(n * u32::try_from(size).unwrap());
            bytes[ip + 4..ip + 8].copy_from_slice(&seq.to_be_bytes());
            bytes.extend_from_slice(piece);
            let total = u16::try_from(bytes.len() - 14).unwrap();
            bytes[16..18].copy_from_slice(&total.to_be_bytes());
            repair_checksums(&mut bytes);
            out.push(Owned { ts: frame.ts, bytes });
        }
    }
    out
}

fn repair_checksums(bytes: &mut [u8]) {
    let ip = 14 + usize::from(bytes[14] & 0x0f) * 4;
    bytes[24..26].fill(0);
    let header = dwell_testkit::frame::internet_checksum(&[&bytes[14..ip]]);
    bytes[24..26].copy_from_slice(&header.to_be_bytes());
    bytes[ip + 16..ip + 18].fill(0);
    let len = u16::try_from(bytes.len() - ip).unwrap().to_be_bytes();
    let addresses = bytes[26..34].to_vec();
    let sum = dwell_testkit::frame::internet_checksum(&[&addresses, &[0, 6], &len, &bytes[ip..]]);
    bytes[ip + 16..ip + 18].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn a_flow_split_at_any_size_gives_the_same_facts() {
    for name in ["curl-tls12.pcap", "firefox.pcap", "curl-clear.pcap", "openssl-resumed.pcap"] {
        let whole = frames(name);
        let expected = said(&hellos(&whole));
        for size in [1, 2, 3, 5, 7, 100, 517] {
            assert_eq!(said(&hellos(&resegmented(&whole, size))), expected, "{name} at {size}");
        }
    }
}

#[test]
fn reversed_segments_of_a_hello_give_the_same_facts() {
    let whole = frames("curl.pcap");
    let expected = said(&hellos(&whole));
    let mut pieces = resegmented(&whole, 100);
    // Runs of payload in one direction are turned round; what comes before and after stays.
    let key = |frame: &Owned| (payload_at(&frame.bytes) < frame.bytes.len(), frame.ts);
    for run in pieces.chunk_by_mut(|a, b| key(a) == key(b) && key(a).0) {
        run.reverse();
    }
    assert_eq!(said(&hellos(&pieces)), expected);
}

#[test]
fn every_frame_twice_gives_every_hello_once() {
    let whole = frames("python-requests.pcap");
    let twice: Vec<Owned> = whole.iter().flat_map(|frame| [frame.clone(), frame.clone()]).collect();
    assert_eq!(said(&hellos(&twice)), said(&hellos(&whole)));
}

/// What a mirror port of both directions delivers.
#[test]
fn copies_of_packets_are_counted_and_change_no_figure() {
    let whole = frames("python-requests.pcap");
    let twice: Vec<Owned> = whole.iter().flat_map(|frame| [frame.clone(), frame.clone()]).collect();
    let ends = |frames: &[Owned]| {
        let mut engine = Engine::new(EngineConfig::default());
        feed(frames, |frame| engine.handle(frame));
        engine.finish();
        let ends: Vec<_> = engine
            .take_records()
            .into_iter()
            .filter_map(|record| match record {
                Record::Flow(flow) if matches!(flow.moment, Moment::End(_)) => Some(flow.snapshot),
                _ => None,
            })
            .collect();
        (ends, engine.stats())
    };
    let (once, _) = ends(&whole);
    let (copied, stats) = ends(&twice);
    assert_eq!(once.len(), copied.len());
    for (once, copied) in once.iter().zip(&copied) {
        assert_eq!((once.sent, once.received), (copied.sent, copied.received));
        assert_eq!(once.timing, copied.timing);
        assert_eq!(u64::from(copied.quality.duplicates), once.sent.packets + once.received.packets);
    }
    let taken = stats.shards.packets + stats.duplicates + stats.decode.discarded_frames();
    assert_eq!(taken, stats.decode.frames);
    assert_eq!(stats.duplicates, u64::try_from(whole.len()).unwrap());
}

#[test]
fn chunks_of_any_size_give_what_single_frames_give() {
    let whole = frames("chromium-2.pcap");
    let expected = format!("{:?}", records(&whole));
    for size in [1, 7, 64, 100_000] {
        let mut engine = Engine::new(EngineConfig::default());
        let mut number = 0;
        for some in whole.chunks(size) {
            let bytes: Vec<u8> = some.iter().flat_map(|frame| frame.bytes.clone()).collect();
            let mut at = 0;
            let chunk = some.iter().map(|frame| {
                number += 1;
                let start = at;
                at += frame.bytes.len();
                Frame {
                    ts: frame.ts,
                    link_type: LinkType::ETHERNET,
                    bytes: &bytes[start..at],
                    wire_len: u32::try_from(frame.bytes.len()).unwrap(),
                    number,
                    processes: dwell_packet::Processes::default(),
                }
            });
            engine.handle_chunk(chunk, &bytes);
        }
        engine.finish();
        assert!(format!("{:?}", engine.take_records()) == expected, "chunks of {size}");
    }
}

#[test]
fn any_prefix_of_a_capture_is_counted_and_ended() {
    let whole = frames("curl.pcap");
    for count in 0..whole.len() {
        let mut engine = Engine::new(EngineConfig::default());
        feed(&whole[..count], |frame| engine.handle(frame));
        engine.finish();
        let stats = engine.stats();
        assert_eq!(stats.decode.frames, u64::try_from(count).unwrap());
        assert_eq!(stats.shards.packets + stats.decode.discarded_frames(), stats.decode.frames);
        assert_eq!(stats.flows.opened, stats.flows.ended);
    }
}

/// The capture's short-header packets, sent on from another port, as a phone that changes from
/// Wi-Fi to the mobile network does (RFC 9000, section 9).
#[test]
fn a_quic_connection_that_moves_keeps_its_name() {
    let mut whole = frames("chromium-quic.pcap");
    let port_at = 14 + 20;
    let client: [u8; 2] = whole[1].bytes[port_at..port_at + 2].try_into().unwrap();
    let short = |bytes: &[u8]| bytes[23] == 17 && bytes[42] & 0xc0 == 0x40;
    let sent: Vec<Owned> = whole
        .iter()
        .filter(|frame| short(&frame.bytes) && frame.bytes[port_at..port_at + 2] == client)
        .cloned()
        .collect();
    assert!(!sent.is_empty(), "the capture has short headers");
    for mut frame in sent {
        frame.bytes[port_at..port_at + 2].copy_from_slice(&50_000u16.to_be_bytes());
        // No UDP checksum (RFC 768).
        frame.bytes[40..42].fill(0);
        frame.ts = frame.ts.saturating_add(std::time::Duration::from_secs(5));
        whole.push(frame);
    }
    let ends: BTreeMap<u16, _> = records(&whole)
        .into_iter()
        .filter_map(|record| match record {
            Record::Flow(flow) if matches!(flow.moment, Moment::End(_)) => Some(flow),
            _ => None,
        })
        .map(|flow| (flow.identity.tuple.src.port, flow))
        .collect();
    let moved = &ends[&50_000];
    let first = &ends[&u16::from_be_bytes(client)];
    assert_eq!(moved.migrated_from, Some(first.identity.flow));
    assert_eq!(moved.identity.destination.name, first.identity.destination.name);
    assert_eq!(moved.identity.session, first.identity.session, "one session");
}
