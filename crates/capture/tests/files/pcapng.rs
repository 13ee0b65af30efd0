//! pcapng. Layouts are from draft-ietf-opsawg-pcapng.

use dwell_capture::FileKind;
use dwell_packet::{LinkType, Timestamp};

use crate::support::{Order, Pcapng, Read, open, read};

#[test]
fn packets_of_every_kind_of_block() {
    for order in Order::BOTH {
        let mut file = Pcapng::new(order);
        file.interface(1, 8, &[]);
        file.packet(0, 1_000_000, b"enhanced");
        // A simple packet has no time, and is as long as the snap length lets it be.
        let simple = [&order.u32(20)[..], b"simple p"].concat();
        file.block(3, &simple);
        // The old packet block: 16-bit interface and drop count.
        let old = [
            &order.u16(0)[..],
            &order.u16(9),
            &order.u32(0),
            &order.u32(2_000_000),
            &order.u32(3),
            &order.u32(60),
            b"old",
        ];
        file.block(2, &old.concat());
        let second = |second| Timestamp::from_parts(second, 0);
        let expected = [
            Read::whole(second(1), b"enhanced"),
            Read { wire_len: 20, ..Read::whole(second(1), b"simple p") },
            Read { wire_len: 60, ..Read::whole(second(2), b"old") },
        ];
        assert_eq!(read(&file.bytes), expected, "{order:?}");
    }
}

#[test]
fn every_clock_resolution_and_offset() {
    // Resolution byte, ticks, and nanoseconds since the epoch.
    for (resolution, ticks, expected) in [
        (0u8, 7u64, 7_000_000_000u64),
        (3, 7, 7_000_000),
        (6, 7, 7_000),
        (9, 7, 7),
        (12, 7_000, 7),
        (30, u64::MAX, 0),
        (127, u64::MAX, 0),
        (0x80, 7, 7_000_000_000),
        (0x80 | 10, 1536, 1_500_000_000),
        (0x80 | 32, 1 << 31, 500_000_000),
        (0xff, u64::MAX, 0),
        // More than 64 bits of nanoseconds: the latest time that can be said.
        (0, u64::MAX, u64::MAX),
    ] {
        for order in Order::BOTH {
            let mut file = Pcapng::new(order);
            file.interface(1, 0, &[(9, &[resolution])]);
            file.packet(0, ticks, b"x");
            let found = read(&file.bytes)[0].ts.as_nanos();
            assert_eq!(found, expected, "resolution {resolution}");
        }
    }
    for (offset, expected) in [(3i64, 4_000_000_000), (-1, 0), (-5, 0), (i64::MAX, u64::MAX)] {
        for order in Order::BOTH {
            let mut file = Pcapng::new(order);
            let offset = order.u64(u64::from_ne_bytes(offset.to_ne_bytes()));
            file.interface(1, 0, &[(2, b"en0"), (14, &offset)]);
            file.packet(0, 1_000_000, b"x");
            assert_eq!(read(&file.bytes)[0].ts.as_nanos(), expected);
        }
    }
}

#[test]
fn sections_have_their_own_byte_order_and_interfaces() {
    let mut file = Pcapng::new(Order::Little);
    file.interface(1, 0, &[]);
    file.interface(113, 0, &[]);
    file.packet(1, 0, b"cooked");
    file.section(Order::Big);
    file.interface(101, 0, &[]);
    file.packet(0, 0, b"raw");
    // Described after packets of another.
    file.interface(276, 0, &[]);
    file.packet(1, 0, b"late");
    let types: Vec<u32> = read(&file.bytes).iter().map(|frame| frame.link_type).collect();
    assert_eq!(types, [113, 101, 276]);
}

#[test]
fn blocks_that_say_nothing_of_frames_are_passed_over() {
    let mut file = Pcapng::new(Order::Little);
    file.block(0xbad, b"unknown");
    file.interface(1, 0, &[(9, &[9])]);
    for kind in [4, 5, 9, 10, 0xbad, 0x4000_0bad, 0x8000_0001] {
        file.block(kind, &[0xff; 61]);
    }
    // Longer than what is looked at, and than the buffer.
    file.block(0xbad, &vec![0; 1_000_000]);
    file.packet(0, 5, b"x");
    assert_eq!(read(&file.bytes), [Read::whole(Timestamp::from_nanos(5), b"x")]);
}

#[test]
fn the_link_types_of_the_first_interfaces_are_known_at_once() {
    let mut file = Pcapng::new(Order::Little);
    file.block(5, &[0; 8]);
    file.interface(147, 0, &[]);
    file.packet(0, 0, b"x");
    let source = open(&file.bytes).unwrap();
    assert_eq!(source.file_kind(), FileKind::Pcapng);
    assert_eq!(source.unsupported_link_type(), Some(LinkType(147)));
}
