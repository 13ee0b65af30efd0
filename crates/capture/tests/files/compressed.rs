//! Compressed captures. Written with flate2 and zstd as a user's tools do.

use std::io::Write;

use dwell_capture::Compression;
use flate2::write::GzEncoder;

use crate::support::{Order, Pcap, Read, drain, open, read, read_damaged};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).unwrap()
}

/// Frames of [`capture`].
const FRAMES: u32 = 5_000;

/// A capture of more than a megabyte that does not compress.
fn capture() -> Vec<u8> {
    let mut file = Pcap::new(Order::Little, 0xa1b2_c3d4, 1);
    let mut state = 1u32;
    for second in 0..FRAMES {
        let frame: Vec<u8> = (0..200)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect();
        file.whole((second, 0), &frame);
    }
    file.bytes
}

#[test]
fn members_and_frames_are_joined() {
    let plain = capture();
    let expected = read(&plain);
    let (first, second) = plain.split_at(plain.len() / 3);
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for (file, compression) in [
        (gzip(&plain), Compression::Gzip),
        ([gzip(first), gzip(second), gzip(&[])].concat(), Compression::Gzip),
        // Padding of zeros, as tapes have it (gzip(1)).
        ([gzip(&plain), vec![0; 512]].concat(), Compression::Gzip),
        (zstd(&plain), Compression::Zstd),
        ([zstd(first), zstd(second)].concat(), Compression::Zstd),
        // A skippable frame first (RFC 8878, section 3.1.2).
        ([&skippable[..], &zstd(&plain)].concat(), Compression::Zstd),
        (plain.clone(), Compression::None),
    ] {
        let mut source = open(&file).unwrap();
        assert_eq!(source.compression(), compression);
        let (frames, error) = drain(&mut source);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(frames, expected);
        assert!(source.position() <= file.len() as u64);
    }
}

/// Checks that a damaged file gives the first frames of the whole, and most of them.
#[track_caller]
fn check_start(file: &[u8], share: f64) -> String {
    let expected: Vec<Read> = read(&capture());
    let (frames, error) = read_damaged(file);
    assert_eq!(frames, expected[..frames.len()]);
    let wanted = f64::from(FRAMES) * share;
    assert!(frames.len() as f64 >= wanted, "{} frames", frames.len());
    error
}

#[test]
fn a_file_cut_short_gives_what_was_before() {
    for whole in [gzip(&capture()), zstd(&capture())] {
        // The decompressors give whole blocks, of at most 128 KiB: a ninth of this file.
        let error = check_start(&whole[..whole.len() / 2], 0.37);
        assert!(error.starts_with("test: record "), "{error}");
        assert!(error.contains(" at decompressed byte "), "{error}");
    }
    let whole = gzip(&capture());
    check_start(&whole[..whole.len() - 1], 1.0);
}

#[test]
fn other_damage_is_found_after_the_frames() {
    let mut wrong_sum = gzip(&capture());
    let at = wrong_sum.len() - 5;
    wrong_sum[at] ^= 1;
    let error = check_start(&wrong_sum, 1.0);
    assert!(error.contains("decompressed byte 1080024"), "{error}");
    let followed = [gzip(&capture()), b"rubbish".to_vec()].concat();
    let error = check_start(&followed, 1.0);
    assert!(error.contains("gzip member starts with 72, expected 1f8b"), "{error}");
}

#[test]
fn a_compressed_nothing_is_empty() {
    for file in [gzip(&[]), zstd(&[])] {
        assert_eq!(open(&file).unwrap_err().to_string(), "test: empty file");
    }
    let error = open(&gzip(b"not a capture")).unwrap_err().to_string();
    assert_eq!(error, "test: not a pcap or pcapng file: starts with 6e6f7420");
}
