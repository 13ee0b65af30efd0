//! Damage: what came before it is delivered, and the message says what and where.

use std::io;

use dwell_capture::{CaptureError, FileSource};
use proptest::prelude::*;

use crate::support::{Order, Pcap, Pcapng, drain, open, read, read_damaged};

const MICROSECONDS: u32 = 0xa1b2_c3d4;

fn pcap() -> Pcap {
    let mut file = Pcap::new(Order::Little, MICROSECONDS, 1);
    file.whole((1, 0), b"first");
    file.whole((2, 0), b"second");
    file
}

fn pcapng() -> Pcapng {
    let mut file = Pcapng::new(Order::Little);
    file.interface(1, 0, &[]);
    file.packet(0, 1, b"first");
    file.packet(0, 2, b"second");
    file
}

/// Checks how many frames come, and what is said then.
#[track_caller]
fn check(file: &[u8], frames: usize, message: &str) {
    let (found, error) = read_damaged(file);
    assert_eq!((found.len(), error.as_str()), (frames, message));
}

#[test]
fn a_file_that_is_no_capture_is_refused() {
    let open = |bytes: &[u8]| open(bytes).unwrap_err().to_string();
    assert_eq!(open(b""), "test: empty file");
    assert_eq!(open(b"<html>"), "test: not a pcap or pcapng file: starts with 3c68746d");
    assert_eq!(open(b"\xd4\xc3"), "test: not a pcap or pcapng file: starts with d4c3");
    let header = &pcap().bytes[..20];
    assert_eq!(open(header), "test: file header at byte 0: expected 24 bytes, found 20");
    let mut order = pcapng();
    order.bytes[8] = 0;
    let expected = "test: block 1 at byte 0: byte-order magic 1a2b3c00, expected 1a2b3c4d";
    assert_eq!(open(&order.bytes), expected);
}

#[test]
fn paths_that_cannot_be_opened_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let directory = FileSource::open(folder.path()).unwrap_err();
    assert!(matches!(directory, CaptureError::IsDirectory { .. }), "{directory}");
    let missing = FileSource::open(&folder.path().join("missing.pcap")).unwrap_err();
    assert!(missing.to_string().ends_with("missing.pcap: cannot open"), "{missing}");
    let cause = std::error::Error::source(&missing).unwrap();
    assert!(cause.to_string().contains("No such file"), "{cause}");
}

#[test]
fn a_pcap_record_that_breaks_off_is_named() {
    let file = pcap().bytes;
    check(
        &file[..file.len() - 1],
        1,
        "test: record 2 at byte 45: file ends inside: expected 22 bytes, found 21",
    );
    check(
        &file[..45 + 9],
        1,
        "test: record 2 at byte 45: file ends inside: expected 16 bytes, found 9",
    );
    let mut huge = file;
    huge[45 + 8..45 + 12].copy_from_slice(&4_000_000_000u32.to_le_bytes());
    check(&huge, 1, "test: record 2 at byte 45: captured length 4000000000 exceeds 16777216");
}

#[test]
fn a_pcapng_block_that_breaks_off_is_named() {
    let file = pcapng().bytes;
    // Section 28, interface 20, packets 40 bytes each.
    assert_eq!(file.len(), 28 + 20 + 40 + 40);
    check(
        &file[..file.len() - 1],
        1,
        "test: block 4 at byte 88: file ends inside: expected 40 bytes, found 39",
    );
    let altered = |at: usize, value: u32| {
        let mut file = file.clone();
        file[88 + at..92 + at].copy_from_slice(&value.to_le_bytes());
        file
    };
    check(&altered(4, 0), 1, "test: block 4 at byte 88: block length 0");
    check(&altered(4, 41), 1, "test: block 4 at byte 88: block length 41");
    check(
        &altered(4, 0xffff_fff0),
        1,
        "test: block 4 at byte 88: block length 4294967280 exceeds 17825792",
    );
    check(
        &altered(36, 44),
        1,
        "test: block 4 at byte 88: block length 40 at its start, 44 at its end",
    );
    check(&altered(8, 7), 1, "test: block 4 at byte 88: interface 7 was not described");
    check(&altered(20, 9), 1, "test: block 4 at byte 88: captured length 9 exceeds the block's 8");
    // A block without a frame that claims more than there is.
    let mut unknown = altered(4, 0xffff_fff0);
    unknown[88] = 0xbd;
    let (frames, error) = read_damaged(&unknown);
    assert_eq!(frames.len(), 1);
    assert!(error.starts_with("test: block 4 at byte 88: file ends inside"), "{error}");
}

#[test]
fn a_packet_before_any_interface_is_damage() {
    let mut file = Pcapng::new(Order::Little);
    file.packet(0, 1, b"x");
    check(&file.bytes, 0, "test: block 2 at byte 28: interface 0 was not described");
}

/// A stream that fails after its bytes.
struct Failing(io::Cursor<Vec<u8>>);

impl io::Read for Failing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match io::Read::read(&mut self.0, into)? {
            0 => Err(io::Error::other("the disk is gone")),
            read => Ok(read),
        }
    }
}

#[test]
fn an_error_of_the_system_is_not_called_damage() {
    let file = pcap().bytes;
    let stream = Failing(io::Cursor::new(file[..50].to_vec()));
    let mut source = FileSource::from_reader("pipe", Box::new(stream)).unwrap();
    let (frames, error) = drain(&mut source);
    let error = error.unwrap();
    assert_eq!((frames.len(), error.to_string().as_str()), (1, "pipe: cannot read at byte 50"));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the disk is gone");
    let at_once = FileSource::from_reader("pipe", Box::new(Failing(io::Cursor::default())));
    assert!(matches!(at_once, Err(CaptureError::Read { offset: 0, .. })), "{at_once:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_read_without_a_panic(
        start in prop::sample::select(vec![pcap().bytes, pcapng().bytes]),
        keep in any::<prop::sample::Index>(),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut file = start;
        file.truncate(keep.index(file.len() + 1));
        file.extend(rest);
        if let Ok(mut source) = open(&file) {
            let (frames, _) = drain(&mut source);
            let bytes: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
            prop_assert!(bytes <= file.len());
        }
    }

    #[test]
    fn a_prefix_gives_a_prefix_of_the_frames(
        lengths in prop::collection::vec(0usize..2_000, 1..40),
        keep in any::<prop::sample::Index>(),
        pcapng in any::<bool>(),
    ) {
        let mut plain = Pcap::new(Order::Big, MICROSECONDS, 1);
        let mut blocks = Pcapng::new(Order::Big);
        blocks.interface(1, 0, &[]);
        for (second, len) in (1u32..).zip(lengths) {
            let frame = vec![second.to_be_bytes()[3]; len];
            plain.whole((second, 0), &frame);
            blocks.packet(0, u64::from(second), &frame);
        }
        let whole = if pcapng { blocks.bytes } else { plain.bytes };
        let expected = read(&whole);
        let cut = keep.index(whole.len() + 1);
        let frames = match open(&whole[..cut]) {
            Ok(mut source) => drain(&mut source).0,
            // Cut inside the header of the file, or of its first blocks.
            Err(_) => Vec::new(),
        };
        prop_assert!(cut < whole.len() || frames.len() == expected.len());
        prop_assert_eq!(&frames[..], &expected[..frames.len()]);
    }
}
