use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dwell_packet::{Endpoint, LinkAddresses, MacAddress, Transport};
use dwell_testkit::{Capture, Conversation, Keep, Route, Side};

use super::*;

fn route(port: u16) -> Route {
    Route {
        client: Endpoint { addr: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)), port },
        server: Endpoint { addr: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), port: 443 },
        link: LinkAddresses { src: MacAddress([2; 6]), dst: MacAddress([4; 6]) },
        round_trip: Duration::from_millis(20),
        initial_seq: u32::from(port) * 7919,
    }
}

fn tuple(port: u16) -> FiveTuple {
    let route = route(port);
    FiveTuple { src: route.server, dst: route.client, transport: Transport::Tcp }
}

/// A connection that says hello and then sends `messages` of 1,000 bytes, a second apart.
fn talk(start_s: u64, port: u16, messages: u64) -> Capture {
    let mut capture = Capture::new();
    let at = Timestamp::from_parts(start_s, 0);
    let (mut tcp, open) = Conversation::open(at, route(port), &mut capture);
    tcp.send(open, Side::Client, (b"a hello that is looked for", Keep::Whole), &mut capture);
    for second in 1..=messages {
        let at = Timestamp::from_parts(start_s + second, 0);
        tcp.send(at, Side::Server, (&[7; 1000], Keep::Whole), &mut capture);
        tcp.settle(at, &mut capture);
    }
    capture
}

fn keep(keeper: &mut FrameKeeper, capture: &Capture) {
    capture.sensed().for_each(|frame| keeper.keep(frame));
}

fn small() -> KeeperLimits {
    KeeperLimits { recent_bytes: 20_000, heads_bytes: 100_000, ..KeeperLimits::default() }
}

fn cut(keeper: &mut FrameKeeper, port: u16, bytes: usize) -> Slice {
    keeper.obey(&Order::Slice { case: 5, tuple: tuple(port), bytes }).unwrap()
}

fn has_hello(slice: &Slice) -> bool {
    slice.frames.iter().any(|frame| frame.bytes.ends_with(b"a hello that is looked for"))
}

#[test]
fn a_flow_s_handshake_is_there_long_after_the_ring_went_round() {
    let mut keeper = FrameKeeper::new(DecodeConfig::default(), small());
    keep(&mut keeper, &talk(0, 50_000, 400));
    keep(&mut keeper, &talk(10, 50_001, 400));
    let slice = cut(&mut keeper, 50_000, 1 << 20);
    assert!(has_hello(&slice));
    assert_eq!(slice.refused, 0);
    assert!(slice.frames.is_sorted_by_key(|frame| frame.ts));
    // Its latest frames are gone: the other connection went on for longer than the ring holds.
    assert!(slice.frames.iter().all(|frame| frame.ts < Timestamp::from_parts(12, 0)));
    let other = cut(&mut keeper, 50_001, 1 << 20);
    assert!(other.frames.iter().any(|frame| frame.ts >= Timestamp::from_parts(410, 0)));
}

#[test]
fn a_slice_has_each_frame_once_and_only_those_of_its_flow() {
    let mut keeper = FrameKeeper::new(DecodeConfig::default(), KeeperLimits::default());
    let mut both = talk(0, 50_000, 30);
    talk(0, 50_001, 30).drain().for_each(|frame| both.push(frame.ts, frame.bytes));
    both.sort();
    keep(&mut keeper, &both);
    let of_one = talk(0, 50_000, 30);
    let slice = cut(&mut keeper, 50_000, 1 << 20);
    let times = |frames: &[KeptFrame]| frames.iter().map(|frame| frame.ts).collect::<Vec<_>>();
    let mut expected: Vec<_> = of_one.frames().iter().map(|frame| frame.ts).collect();
    expected.sort();
    assert_eq!(times(&slice.frames), expected);
}

#[test]
fn a_slice_without_room_keeps_the_handshake_and_counts_the_rest() {
    let mut keeper = FrameKeeper::new(DecodeConfig::default(), KeeperLimits::default());
    keep(&mut keeper, &talk(0, 50_000, 30));
    let all = cut(&mut keeper, 50_000, 1 << 20).frames.len();
    let slice = cut(&mut keeper, 50_000, 1000);
    assert!(has_hello(&slice));
    assert_eq!(slice.frames.len() + usize::try_from(slice.refused).unwrap(), all);
    assert!(slice.frames.iter().map(|frame| frame.bytes.len()).sum::<usize>() <= 1000);
}

#[test]
fn headers_of_a_watched_flow_are_caught_until_nobody_wants_them() {
    let mut keeper = FrameKeeper::new(DecodeConfig::default(), KeeperLimits::default());
    keep(&mut keeper, &talk(0, 50_000, 1));
    cut(&mut keeper, 50_000, 1 << 20);
    keep(&mut keeper, &talk(10, 50_001, 1));
    assert!(keeper.take_caught().is_empty());
    let more = talk(20, 50_000, 1);
    keep(&mut keeper, &more);
    let caught = keeper.take_caught();
    assert_eq!(caught.len(), more.frames().len());
    assert!(caught.iter().all(|frame| frame.case == 5 && frame.bytes.len() <= HEADER_BYTES));
    assert!(caught.iter().any(|frame| frame.wire_len > 1000));
    assert_eq!(keeper.obey(&Order::Stop { case: 5 }), None);
    keep(&mut keeper, &more);
    assert!(keeper.take_caught().is_empty());
}

#[test]
fn a_flood_of_flows_stays_in_its_bound_and_leaves_a_lasting_flow_alone() {
    let mut keeper = FrameKeeper::new(DecodeConfig::default(), small());
    keep(&mut keeper, &talk(0, 50_000, 900));
    for port in 1..3000 {
        keep(&mut keeper, &talk(900, port, 0));
    }
    let counters = keeper.counters();
    assert!(counters.heads.bytes <= 100_000, "{counters:?}");
    assert!(counters.heads.evicted > 1000, "{counters:?}");
    assert!(has_hello(&cut(&mut keeper, 50_000, 1 << 20)));
}
