//! Benchmark traffic: the same for a seed, in time order, sound on the wire and mixed as it says.
//! Frames are read by etherparse, which shares no code with the generator.

#![expect(clippy::panic, clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use std::collections::{BTreeMap, BTreeSet};

use dwell_testkit::traffic::{Limit, Mix, Traffic};
use dwell_testkit::{CapturedFrame, ClientHello};
use etherparse::{SlicedPacket, TransportSlice};

const MIXES: [Mix; 4] =
    [Mix::Internet, Mix::Small, Mix::Worst { flows: 5_000 }, Mix::SynFlood { flows: 3_000 }];

fn file(mix: Mix, seed: u64, limit: Limit) -> Vec<u8> {
    let mut file = Vec::new();
    let written = Traffic::new(mix, seed).write_pcap(limit, &mut file).unwrap();
    assert_eq!(written.bytes, u64::try_from(file.len()).unwrap());
    file
}

fn megabyte(mix: Mix, seed: u64) -> Vec<u8> {
    file(mix, seed, Limit { bytes: 1_000_000, ..Limit::NONE })
}

fn frames(mix: Mix, count: usize) -> Vec<CapturedFrame> {
    Traffic::new(mix, 7).take(count).collect()
}

/// Addresses and ports without direction, and the protocol.
type Key = (BTreeSet<(Vec<u8>, u16)>, u8);

fn key(frame: &CapturedFrame) -> Key {
    let packet = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
    let (src, dst) = match packet.net.unwrap() {
        etherparse::NetSlice::Ipv4(ip) => {
            (ip.header().source().to_vec(), ip.header().destination().to_vec())
        }
        etherparse::NetSlice::Ipv6(ip) => {
            (ip.header().source().to_vec(), ip.header().destination().to_vec())
        }
        other => panic!("{other:?}"),
    };
    match packet.transport.unwrap() {
        TransportSlice::Tcp(tcp) => {
            ([(src, tcp.source_port()), (dst, tcp.destination_port())].into(), 6)
        }
        TransportSlice::Udp(udp) => {
            ([(src, udp.source_port()), (dst, udp.destination_port())].into(), 17)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_seed_others() {
    for mix in MIXES {
        assert!(megabyte(mix, 3) == megabyte(mix, 3), "{mix:?}");
        assert!(megabyte(mix, 3) != megabyte(mix, 4), "{mix:?}");
    }
}

#[test]
fn a_short_file_is_the_beginning_of_a_long_one() {
    for mix in MIXES {
        let long = megabyte(mix, 3);
        let short = file(mix, 3, Limit { bytes: 100_000, ..Limit::NONE });
        assert!((98_000..=100_000).contains(&short.len()), "{mix:?}: {}", short.len());
        assert!(long.starts_with(&short), "{mix:?}");
    }
}

#[test]
fn the_packets_asked_for_are_written_and_no_more() {
    let mut out = Vec::new();
    let limit = Limit { packets: 321, ..Limit::NONE };
    let written = Traffic::new(Mix::Small, 1).write_pcap(limit, &mut out).unwrap();
    assert_eq!(written.packets, 321);
    let empty = Traffic::new(Mix::SynFlood { flows: 0 }, 1).write_pcap(limit, &mut Vec::new());
    assert_eq!(empty.unwrap().packets, 0);
}

#[test]
fn frames_are_in_time_order_whole_and_sound() {
    for mix in MIXES {
        let frames = frames(mix, 6_000);
        assert!(frames.is_sorted_by_key(|frame| frame.ts), "{mix:?}");
        for frame in &frames {
            assert_eq!(frame.bytes.len(), usize::try_from(frame.wire_len).unwrap());
            let packet = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
            let sum = match (packet.net.unwrap(), packet.transport.unwrap()) {
                (etherparse::NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) => {
                    let sum =
                        tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination());
                    (sum.unwrap(), tcp.checksum())
                }
                (etherparse::NetSlice::Ipv6(ip), TransportSlice::Tcp(tcp)) => {
                    let sum =
                        tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination());
                    (sum.unwrap(), tcp.checksum())
                }
                (_, TransportSlice::Udp(udp)) => (udp.length(), udp.length()),
                other => panic!("{other:?}"),
            };
            assert_eq!(sum.0, sum.1, "{mix:?} {frame:?}");
        }
    }
}

#[test]
fn the_internet_mix_has_the_sizes_flows_and_protocols_that_it_says() {
    let frames = frames(Mix::Internet, 120_000);
    let bytes: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
    let mean = bytes / frames.len();
    assert!((800..900).contains(&mean), "{mean} bytes");
    let flows: BTreeSet<Key> = frames.iter().map(key).collect();
    let per_gigabyte = flows.len() * 1_000_000_000 / (bytes + 16 * frames.len());
    assert!((44_000..54_000).contains(&per_gigabyte), "{per_gigabyte} flows a gigabyte");
    let v6 = flows.iter().filter(|(ends, _)| ends.first().unwrap().0.len() == 16).count();
    assert!((23..28).contains(&(v6 * 100 / flows.len())), "{v6} of {}", flows.len());
    let mut by_port: BTreeMap<(u8, u16), usize> = BTreeMap::new();
    for (ends, protocol) in &flows {
        let port = ends.iter().map(|(_, port)| *port).min().unwrap();
        *by_port.entry((*protocol, port)).or_default() += 1;
    }
    let services: Vec<(u8, u16)> = by_port.keys().copied().collect();
    assert_eq!(services, [(6, 80), (6, 443), (17, 53), (17, 443), (17, 3_478)]);
    assert!(by_port[&(6, 443)] * 100 / flows.len() > 55, "{by_port:?}");
}

#[test]
fn hellos_are_whole_and_name_many_servers() {
    let mut streams: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
    for frame in frames(Mix::Internet, 30_000) {
        let packet = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { continue };
        if tcp.destination_port() == 443 {
            streams.entry(key(&frame)).or_default().extend_from_slice(tcp.payload());
        }
    }
    let hellos: Vec<ClientHello> =
        streams.values().filter_map(|stream| ClientHello::from_stream(stream)).collect();
    let names: BTreeSet<&str> = hellos.iter().filter_map(ClientHello::server_name).collect();
    let suites: BTreeSet<&[u8]> = hellos.iter().map(|h| h.cipher_suites.as_slice()).collect();
    assert!(hellos.len() * 100 > streams.len() * 60, "{} of {}", hellos.len(), streams.len());
    assert!(names.len() > 500, "{}", names.len());
    assert!(suites.len() >= 10, "{}", suites.len());
}

#[test]
fn small_packets_are_small() {
    let frames = frames(Mix::Small, 50_000);
    let bytes: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
    assert!((100..140).contains(&(bytes / frames.len())), "{}", bytes / frames.len());
}

#[test]
fn the_worst_case_is_the_shortest_frame_of_a_random_flow() {
    let frames = frames(Mix::Worst { flows: 5_000 }, 40_000);
    assert!(frames.iter().all(|frame| frame.bytes.len() == 60));
    let flows: BTreeSet<Key> = frames.iter().map(key).collect();
    assert!((4_990..=5_000).contains(&flows.len()), "{}", flows.len());
    let runs = frames.windows(2).filter(|pair| key(&pair[0]) == key(&pair[1])).count();
    assert!(runs < 40, "{runs} packets follow one of their own flow");
}

#[test]
fn no_connection_of_the_syn_flood_is_established() {
    let frames: Vec<CapturedFrame> = Traffic::new(Mix::SynFlood { flows: 3_000 }, 7).collect();
    let flows: BTreeSet<Key> = frames.iter().map(key).collect();
    assert_eq!(flows.len(), 3_000);
    for frame in &frames {
        let packet = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("{frame:?}") };
        assert!(tcp.syn());
    }
}
