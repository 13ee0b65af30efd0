//! Fragments: order, overlap, time, memory. What a receiver does is from RFC 791, RFC 8200 and
//! RFC 5722, and from what Linux 6.18 was seen to do.

use std::time::Duration;

use dwell_packet::{
    DecodeConfig, Decoder, DefragmentConfig, Discard, FragmentRefusal, LinkType, OverlapPolicy,
    Timestamp,
};
use dwell_testkit::frame::internet_checksum;
use proptest::prelude::*;

use crate::support::{
    IPV4, check_pdu, decoder, frame, ipv4, ipv6, outer_ipv4, tuple_v4, with_ether_type,
};

/// A part of the payload of an IPv4 packet: where it starts, in bytes, and what it holds.
#[derive(Clone, Debug)]
struct Part {
    offset: usize,
    more: bool,
    bytes: Vec<u8>,
}

impl Part {
    fn new(offset: usize, more: bool, bytes: &[u8]) -> Self {
        Self { offset, more, bytes: bytes.to_vec() }
    }

    /// The part as a fragment of [`ipv4`].
    fn v4(&self) -> Vec<u8> {
        let mut packet = [&ipv4()[..IPV4], &self.bytes].concat();
        let total = u16::try_from(packet.len()).unwrap();
        let place = u16::try_from(self.offset / 8).unwrap() | if self.more { 0x2000 } else { 0 };
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet[6..8].copy_from_slice(&place.to_be_bytes());
        packet[10..12].fill(0);
        let sum = internet_checksum(&[&packet[..IPV4]]).to_be_bytes();
        packet[10..12].copy_from_slice(&sum);
        packet
    }

    /// The part as a fragment of [`ipv6`].
    fn v6(&self) -> Vec<u8> {
        let mut header = ipv6()[..40].to_vec();
        header[4..6].copy_from_slice(&u16::try_from(8 + self.bytes.len()).unwrap().to_be_bytes());
        header[6] = 44;
        let place = u16::try_from(self.offset).unwrap() | u16::from(self.more);
        let place = place.to_be_bytes();
        let fragment = [17, 0, place[0], place[1], 0, 0, 0, 9];
        [&header[..], &fragment, &self.bytes].concat()
    }
}

/// A payload cut into parts of `size` bytes.
fn parts(payload: &[u8], size: usize) -> Vec<Part> {
    let count = payload.len().div_ceil(size);
    let part = |(at, bytes)| Part::new(at * size, at + 1 < count, bytes);
    payload.chunks(size).enumerate().map(part).collect()
}

fn segment() -> Vec<u8> {
    ipv4().split_off(IPV4)
}

/// Feeds packets; every one but the last must be held, the last must give the whole packet.
#[track_caller]
fn check_whole(packets: &[Vec<u8>]) {
    let mut decoder = decoder();
    let (last, rest) = packets.split_last().unwrap();
    for packet in rest {
        let outcome = decoder.decode(frame(LinkType::RAW, packet));
        assert_eq!(outcome.unwrap_err(), Discard::FragmentHeld);
    }
    let pdu = decoder.decode(frame(LinkType::RAW, last)).unwrap();
    check_pdu(&pdu);
    assert!(pdu.ip.reassembled);
    let wire: usize = packets.iter().map(Vec::len).sum();
    assert_eq!(pdu.wire_len, u32::try_from(wire).unwrap());
    let counters = decoder.counters();
    assert_eq!(counters.fragments.reassembled, 1);
    assert_eq!(counters.frames, counters.discarded_frames() + 1);
}

#[test]
fn fragments_in_order_and_reversed() {
    for size in [8, 16, 24, 40] {
        let mut v4: Vec<_> = parts(&segment(), size).iter().map(Part::v4).collect();
        let mut v6: Vec<_> = parts(&ipv6()[40..], size).iter().map(Part::v6).collect();
        for packets in [&mut v4, &mut v6] {
            if packets.len() > 1 {
                check_whole(packets);
                packets.reverse();
                check_whole(packets);
            }
        }
    }
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let packet = Part::new(0, false, &ipv6()[40..]).v6();
    let mut decoder = decoder();
    let pdu = decoder.decode(frame(LinkType::RAW, &packet)).unwrap();
    check_pdu(&pdu);
    assert!(!pdu.ip.reassembled);
}

#[test]
fn fragments_of_a_tunnel_packet_and_inside_it() {
    let inner: Vec<_> = parts(&segment(), 24).iter().map(Part::v4).collect();
    let mut decoder = decoder();
    for (position, packet) in inner.iter().enumerate() {
        // Each inner fragment travels in an outer packet that is itself in two fragments.
        let outer = outer_ipv4(4, packet);
        for part in parts(&outer[IPV4..], 16) {
            let mut bytes = part.v4();
            bytes[9] = 4;
            bytes[4..6].copy_from_slice(&u16::try_from(position + 100).unwrap().to_be_bytes());
            bytes[10..12].fill(0);
            let sum = internet_checksum(&[&bytes[..IPV4]]).to_be_bytes();
            bytes[10..12].copy_from_slice(&sum);
            match decoder.decode(frame(LinkType::RAW, &bytes)) {
                Err(discard) => assert_eq!(discard, Discard::FragmentHeld),
                Ok(pdu) => {
                    assert_eq!((position, part.more), (inner.len() - 1, false));
                    assert_eq!((pdu.tuple, pdu.encapsulation.depth), (tuple_v4(), 1));
                }
            }
        }
    }
    assert_eq!(decoder.counters().tcp_segments, 1);
    assert!(decoder.counters().fragments.held_bytes > 0);
}

#[test]
fn datagrams_of_other_vlans_and_protocols_are_kept_apart() {
    let tagged = |vlan: u8, packet: &[u8]| {
        with_ether_type(0x8100, &[&[0, vlan, 0x08, 0x00], packet].concat())
    };
    let mine = parts(&segment(), 40);
    let other = Part::new(40, false, &[0xee; 10]);
    let mut decoder = decoder();
    let mut feed = |bytes: &[u8]| decoder.decode(frame(LinkType::ETHERNET, bytes)).is_ok();
    assert!(!feed(&tagged(1, &mine[0].v4())));
    assert!(!feed(&tagged(2, &other.v4())));
    let mut udp = other.v4();
    udp[9] = 17;
    udp[10..12].fill(0);
    assert!(!feed(&tagged(1, &udp)));
    assert!(feed(&tagged(1, &mine[1].v4())));
}

#[test]
fn duplicates_are_ignored_before_and_after_completion() {
    let parts = parts(&segment(), 24);
    let mut decoder = decoder();
    let mut pdus = 0;
    for part in &parts {
        let packet = part.v4();
        pdus += usize::from(decoder.decode(frame(LinkType::RAW, &packet)).is_ok());
        let again = decoder.decode(frame(LinkType::RAW, &packet)).unwrap_err();
        assert_eq!(again, Discard::FragmentRefused(FragmentRefusal::Duplicate));
    }
    assert_eq!(pdus, 1);
    assert_eq!(decoder.counters().fragments.conflicts, 0);
}

#[test]
fn an_identification_can_be_used_again() {
    let mut decoder = decoder();
    let mut other = segment();
    *other.last_mut().unwrap() ^= 1;
    for payload in [segment(), other] {
        let mut pdus = 0;
        for part in parts(&payload, 24) {
            let packet = part.v4();
            if let Ok(pdu) = decoder.decode(frame(LinkType::RAW, &packet)) {
                assert_eq!(pdu.segment, payload);
                pdus += 1;
            }
        }
        assert_eq!(pdus, 1);
    }
}

/// Parts of which the second overlaps the first, with other bytes.
fn overlapping() -> (Vec<Part>, Vec<u8>) {
    let payload = segment();
    let mut lie = payload.clone();
    lie[16..24].fill(0xee);
    let parts = vec![
        Part::new(0, true, &payload[..24]),
        Part::new(16, true, &lie[16..32]),
        Part::new(32, false, &payload[32..]),
    ];
    (parts, payload)
}

#[test]
fn the_first_byte_for_a_place_wins() {
    let (parts, payload) = overlapping();
    let mut decoder = decoder();
    let mut found = None;
    for part in &parts {
        let packet = part.v4();
        found = decoder.decode(frame(LinkType::RAW, &packet)).ok().map(|pdu| pdu.segment.to_vec());
    }
    assert_eq!(found, Some(payload));
    let counters = decoder.counters().fragments;
    assert_eq!((counters.overlaps, counters.conflicts), (1, 1));
}

#[test]
fn overlaps_can_drop_the_datagram() {
    let defragmentation =
        DefragmentConfig { overlap: OverlapPolicy::DropDatagram, ..DefragmentConfig::default() };
    let mut decoder = Decoder::new(DecodeConfig { defragmentation, ..DecodeConfig::default() });
    let (parts, _) = overlapping();
    let outcomes: Vec<_> = parts
        .iter()
        .map(|part| decoder.decode(frame(LinkType::RAW, &part.v4())).map(|_| ()).unwrap_err())
        .collect();
    let dropped = Discard::FragmentRefused(FragmentRefusal::Overlap);
    assert_eq!(outcomes, [Discard::FragmentHeld, dropped, Discard::FragmentHeld]);
    assert_eq!(decoder.counters().fragments.dropped, 1);
}

#[test]
fn impossible_fragments_are_refused() {
    let refused = |packet: &[u8]| match decoder().decode(frame(LinkType::RAW, packet)) {
        Err(Discard::FragmentRefused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let part = |offset, more, len| Part::new(offset, more, &vec![1; len]).v4();
    assert_eq!(refused(&part(65_528, false, 8)), FragmentRefusal::TooLong);
    assert_eq!(refused(&part(8, true, 12)), FragmentRefusal::Misaligned);
    assert_eq!(refused(&part(8, false, 0)), FragmentRefusal::Empty);
    let mut bad_sum = part(8, true, 8);
    bad_sum[8] ^= 1;
    assert_eq!(refused(&bad_sum), FragmentRefusal::BadChecksum);
    let long = part(8, true, 16);
    assert_eq!(refused(&long[..28]), FragmentRefusal::Cut);
}

#[test]
fn the_end_of_a_datagram_stays_where_it_was_first_said() {
    let payload = segment();
    let mut decoder = decoder();
    let mut feed = |part: &Part| {
        decoder.decode(frame(LinkType::RAW, &part.v4())).map(|pdu| pdu.segment.to_vec())
    };
    let beyond = Err(Discard::FragmentRefused(FragmentRefusal::BeyondEnd));
    assert_eq!(feed(&Part::new(24, false, &payload[24..])), Err(Discard::FragmentHeld));
    assert_eq!(feed(&Part::new(24, false, &payload[24..40])), beyond);
    assert_eq!(feed(&Part::new(48, true, &[0; 16])), beyond);
    assert_eq!(feed(&Part::new(0, true, &payload[..24])), Ok(payload));
}

#[test]
fn datagrams_expire_by_packet_time() {
    let mut decoder = decoder();
    let parts = parts(&segment(), 40);
    let mut feed = |part: &Part, second| {
        let packet = part.v4();
        let mut frame = frame(LinkType::RAW, &packet);
        frame.ts = Timestamp::from_parts(second, 0);
        decoder.decode(frame).is_ok()
    };
    assert!(!feed(&parts[0], 100));
    assert!(!feed(&parts[1], 131));
    // Packets can arrive out of order: the past expires nothing.
    assert!(feed(&parts[0], 90));
    assert_eq!(decoder.counters().fragments.timed_out, 1);
}

#[test]
fn memory_is_bounded_and_the_oldest_datagram_goes_first() {
    let defragmentation = DefragmentConfig {
        max_bytes: 100_000,
        timeout: Duration::MAX,
        ..DefragmentConfig::default()
    };
    let mut decoder = Decoder::new(DecodeConfig { defragmentation, ..DecodeConfig::default() });
    let parts = parts(&segment(), 40);
    let numbered = |part: &Part, id: u16| {
        let mut packet = part.v4();
        packet[4..6].copy_from_slice(&id.to_be_bytes());
        packet[10..12].fill(0);
        packet
    };
    for id in 0..5_000 {
        let packet = numbered(&parts[0], id);
        assert!(decoder.decode(frame(LinkType::RAW, &packet)).is_err());
        assert!(decoder.counters().fragments.held_bytes <= 100_000);
    }
    let counters = decoder.counters().fragments;
    assert!(counters.evicted > 4_000, "{counters:?}");
    assert!(decoder.decode(frame(LinkType::RAW, &numbered(&parts[1], 0))).is_err());
    assert!(decoder.decode(frame(LinkType::RAW, &numbered(&parts[1], 4_999))).is_ok());
}

proptest! {
    #[test]
    fn any_cut_order_and_repetition_gives_the_packet(
        cuts in prop::collection::btree_set(1usize..9, 0..6),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let payload = [segment(), vec![0x5a; 60]].concat();
        let mut bounds: Vec<usize> = cuts.into_iter().map(|cut| cut * 8).collect();
        bounds.push(payload.len());
        let mut start = 0;
        let mut parts = Vec::new();
        for end in bounds {
            parts.push(Part::new(start, end < payload.len(), &payload[start..end]));
            start = end;
        }
        let mut sequence: Vec<usize> = order.iter().map(|index| index.index(parts.len())).collect();
        sequence.extend(0..parts.len());
        let mut decoder = decoder();
        let mut pdus = 0;
        for position in sequence {
            let packet = parts[position].v4();
            if let Ok(pdu) = decoder.decode(frame(LinkType::RAW, &packet)) {
                prop_assert_eq!(pdu.segment, &payload[..]);
                pdus += 1;
            }
        }
        // A packet in one part is no fragment: each copy is a packet.
        if parts.len() > 1 {
            prop_assert_eq!(pdus, 1);
        }
        let counters = decoder.counters();
        prop_assert_eq!(counters.frames, counters.tcp_segments + counters.discarded_frames());
        prop_assert_eq!(counters.fragments.conflicts, 0);
        // An hour later all that is forgotten, and its memory free.
        let (mut late, mut fresh) = (Part::new(8, true, &[0; 8]).v4(), self::decoder());
        late[9] = 17;
        late[10..12].fill(0);
        let mut late = frame(LinkType::RAW, &late);
        late.ts = late.ts.saturating_add(Duration::from_secs(3600));
        for decoder in [&mut decoder, &mut fresh] {
            prop_assert!(decoder.decode(late).is_err());
        }
        let held = |decoder: &Decoder| decoder.counters().fragments.held_bytes;
        prop_assert_eq!(held(&decoder), held(&fresh));
    }
}
