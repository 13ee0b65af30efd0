//! pcap and its dialects. Layouts are from draft-ietf-opsawg-pcap and, for the dialects, from
//! Wireshark's wiretap/libpcap.h.

use dwell_capture::FileKind;
use dwell_packet::{LinkType, Timestamp};

use crate::support::{Order, Pcap, Read, open, read};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

fn at(seconds: u64, nanos: u64) -> Timestamp {
    Timestamp::from_parts(seconds, nanos)
}

#[test]
fn both_units_in_both_byte_orders() {
    for order in Order::BOTH {
        for (magic, nanos) in [(MICROSECONDS, 7_000), (NANOSECONDS, 7)] {
            let mut file = Pcap::new(order, magic, 1);
            file.whole((1_700_000_000, 7), b"first");
            file.record((1_700_000_001, 0), &[], b"cut", 1500);
            let cut = Read { wire_len: 1500, ..Read::whole(at(1_700_000_001, 0), b"cut") };
            let expected = [Read::whole(at(1_700_000_000, nanos), b"first"), cut];
            assert_eq!(read(&file.bytes), expected, "{order:?} {magic:08x}");
        }
    }
}

#[test]
fn dialects_with_longer_record_headers_are_told_by_their_records() {
    let frames: Vec<Vec<u8>> = (1u8..12).map(|n| vec![n; 60 + usize::from(n) * 90]).collect();
    for order in Order::BOTH {
        // Kuznetsov's patch, SuSE 6.3, Red Hat 6.1 and Nokia, and the plain form under each magic.
        for (magic, extra) in [
            (MODIFIED, 8),
            (MODIFIED, 12),
            (MODIFIED, 0),
            (MICROSECONDS, 8),
            (MICROSECONDS, 4),
            (MICROSECONDS, 0),
        ] {
            let mut file = Pcap::new(order, magic, 1);
            let mut addition = vec![0; extra];
            // Interface 2, IPv4, outgoing.
            for (place, value) in addition.iter_mut().zip([2, 0, 0, 0, 8, 0, 4, 0]) {
                *place = value;
            }
            for (seconds, frame) in (1_000_000_000..).zip(&frames) {
                let len = u32::try_from(frame.len()).unwrap();
                file.record((seconds, 999_999), &addition, frame, len);
            }
            let found: Vec<Vec<u8>> = read(&file.bytes).into_iter().map(|f| f.bytes).collect();
            assert_eq!(found, frames, "{order:?} {magic:08x} with {extra} bytes");
        }
    }
}

#[test]
fn old_versions_have_their_lengths_the_other_way_round() {
    for (minor, swapped) in [(2, true), (3, true), (3, false), (4, false)] {
        let mut file = Pcap::new(Order::Little, MICROSECONDS, 1);
        file.bytes[6] = minor;
        file.record((5, 0), &[], b"cut frame", 100);
        if swapped {
            let lengths: Vec<u8> = file.bytes[32..40].to_vec();
            file.bytes[32..36].copy_from_slice(&lengths[4..]);
            file.bytes[36..40].copy_from_slice(&lengths[..4]);
        }
        let expected = Read { wire_len: 100, ..Read::whole(at(5, 0), b"cut frame") };
        assert_eq!(read(&file.bytes), [expected], "version 2.{minor}");
    }
}

#[test]
fn the_link_type_is_told_apart_from_check_sequence_bits() {
    // Frame check sequences of four bytes: length 2 (in 16 bits), and the bit that says so.
    let mut file = Pcap::new(Order::Little, MICROSECONDS, 0x2400_0000 | 1);
    file.whole((1, 0), b"frame");
    assert_eq!(read(&file.bytes)[0].link_type, 1);
}

#[test]
fn odd_times_and_lengths_are_taken_as_they_are() {
    let mut file = Pcap::new(Order::Big, MICROSECONDS, 1);
    file.whole((u32::MAX, 1_500_000), b"late");
    file.record((0, 0), &[], b"more than on the wire", 4);
    file.whole((1, 0), b"");
    file.whole((2, 0), &[7; 300_000]);
    let frames = read(&file.bytes);
    assert_eq!(frames[0].ts, at(u64::from(u32::MAX) + 1, 500_000_000));
    assert_eq!(frames[1].wire_len, 21);
    assert_eq!((frames[2].bytes.len(), frames[3].bytes.len()), (0, 300_000));
}

#[test]
fn a_source_says_what_it_is() {
    let mut file = Pcap::new(Order::Little, MICROSECONDS, 147);
    file.whole((1, 0), b"frame");
    let source = open(&file.bytes).unwrap();
    assert_eq!(source.file_kind(), FileKind::Pcap);
    assert_eq!(source.unsupported_link_type(), Some(LinkType(147)));
    assert_eq!(LinkType(147).to_string(), "link type 147");
    assert_eq!(source.len(), None);
    let ethernet = Pcap::new(Order::Little, MICROSECONDS, 1);
    assert_eq!(open(&ethernet.bytes).unwrap().unsupported_link_type(), None);
}

#[test]
fn a_regular_file_has_a_length_and_a_position() {
    let mut file = Pcap::new(Order::Little, MICROSECONDS, 1);
    for second in 0..10_000 {
        file.whole((second, 0), &[1; 100]);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.pcap");
    std::fs::write(&path, &file.bytes).unwrap();
    let mut source = dwell_capture::FileSource::open(&path).unwrap();
    let len = source.len().unwrap();
    assert_eq!(len, file.bytes.len() as u64);
    let mut last = 0;
    while source.next_frame().unwrap().is_some() {
        assert!(source.position() >= last && source.position() <= len);
        last = source.position();
    }
    assert_eq!((last, source.frames()), (len, 10_000));
}
