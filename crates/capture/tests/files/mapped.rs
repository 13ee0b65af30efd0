//! Files long enough to be mapped: the same frames as from a stream, one by one and by chunks.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::fs;
use std::path::PathBuf;

use dwell_capture::{Chunk, FileSource};

use crate::support::{Order, Pcap, drain, drain_chunks, read};

const MICROSECONDS: u32 = 0xa1b2_c3d4;

/// A pcap file of some six megabytes, of frames of many lengths, and the folder it is in.
fn file() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let mut pcap = Pcap::new(Order::Little, MICROSECONDS, 1);
    for second in 0u32..9_000 {
        let len = usize::try_from(second * 7919 % 1400).unwrap();
        let filling = second.to_le_bytes()[usize::from(second % 3 == 0)];
        pcap.whole((second, second % 1_000_000), &vec![filling; len]);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.pcap");
    fs::write(&path, &pcap.bytes).unwrap();
    (folder, path, pcap.bytes)
}

#[test]
fn a_mapped_file_gives_the_frames_of_a_stream() {
    let (_folder, path, bytes) = file();
    let expected = read(&bytes);
    let open = || FileSource::open(&path).unwrap();
    assert!(drain(&mut open()).0 == expected);
    assert!(drain_chunks(&mut open()).0 == expected);
    let mut source = open();
    drain_chunks(&mut source);
    assert_eq!(Some(source.position()), source.len());
}

#[test]
fn a_mapped_file_that_ends_inside_a_frame_says_so() {
    let (folder, _, bytes) = file();
    let path = folder.path().join("cut.pcap");
    fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    let (frames, error) = drain_chunks(&mut FileSource::open(&path).unwrap());
    assert_eq!(frames.len(), 8_999);
    assert!(error.unwrap().to_string().contains("file ends inside"));
}

/// Its pages are gone: touching one would end the process.
#[test]
fn a_file_that_is_cut_short_while_it_is_read_is_an_error() {
    let (_folder, path, bytes) = file();
    let mut source = FileSource::open(&path).unwrap();
    let mut chunk = Chunk::default();
    assert!(source.next_chunk(&mut chunk).unwrap());
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(5 << 20).unwrap();
    let mut frames = chunk.len();
    let error = loop {
        match source.next_chunk(&mut chunk) {
            Ok(true) => frames += chunk.len(),
            Ok(false) => panic!("no error"),
            Err(error) => break error,
        }
    };
    assert!(frames > 1_000 && frames < read(&bytes).len());
    let told = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(told.contains("long.pcap") && told.contains("cut short"), "{told}");
}
