//! libpcap reads ordinary pcap files the same way as we do.
//!
//! Our captures under `pcaps/` always; others where they are: in the folder that `DWELL_CORPUS`
//! named when the tests were built, else in `../shared/corpus` beside the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use dwell_capture::{Compression, FileKind, FileSource};
use pcap::{Capture, Precision};

use crate::support::{Read, drain};

fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// What libpcap reads of a file; `None` for files that it does not read to the end, or changes.
fn with_libpcap(path: &Path) -> Option<Vec<Read>> {
    let mut capture = Capture::from_file_with_precision(path, Precision::Nano).ok()?;
    let mut frames = Vec::new();
    loop {
        match capture.next_packet() {
            Ok(packet) => {
                let header = packet.header;
                let seconds = u64::try_from(header.ts.tv_sec).ok()?;
                let nanos = u64::try_from(header.ts.tv_usec).ok()?;
                frames.push(Read {
                    ts: dwell_packet::Timestamp::from_parts(seconds, nanos),
                    link_type: 0,
                    bytes: packet.data.to_vec(),
                    wire_len: header.len.max(header.caplen),
                });
            }
            Err(pcap::Error::NoMorePackets) => return Some(frames),
            Err(_) => return None,
        }
    }
}

/// The snap length in the header of a pcap file; zero means none.
fn snap_len(path: &Path) -> usize {
    let file = fs::read(path).unwrap();
    let field: [u8; 4] = file[16..20].try_into().unwrap();
    let little = file[0] != 0xa1;
    let value = if little { u32::from_le_bytes(field) } else { u32::from_be_bytes(field) };
    usize::try_from(value).ok().filter(|len| *len > 0).unwrap_or(usize::MAX)
}

/// Compares a file; false if it is none that libpcap reads as it is.
fn check(path: &Path) -> bool {
    let Ok(mut source) = FileSource::open(path) else { return false };
    // libpcap mends the lengths of some link types (USB) that we do not decode.
    let known = source.unsupported_link_type().is_none();
    let plain = source.compression() == Compression::None;
    if source.file_kind() != FileKind::Pcap || !plain || !known {
        return false;
    }
    let (mut ours, error) = drain(&mut source);
    if error.is_some() {
        return false;
    }
    let snap_len = snap_len(path);
    for frame in &mut ours {
        // The number is translated to the running system's by libpcap, and what a writer kept
        // beyond its own snap length is cut.
        frame.link_type = 0;
        frame.bytes.truncate(snap_len);
    }
    let Some(theirs) = with_libpcap(path) else { return false };
    assert_eq!(theirs.len(), ours.len(), "{}", path.display());
    for (number, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        assert_eq!(theirs, ours, "{}: frame {}", path.display(), number + 1);
    }
    true
}

#[test]
fn our_own_captures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut compared = 0;
    for folder in ["pcaps", "crates/packet/tests/fixtures"] {
        compared += files_below(&root.join(folder)).iter().filter(|path| check(path)).count();
    }
    assert!(compared >= 30, "{compared} files compared");
}

#[test]
fn the_corpus() {
    let root = match option_env!("DWELL_CORPUS") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
    };
    // Ordinary captures: not those that are malformed on purpose.
    let folders = ["ja", "evasion", "clients", "endpoint", "scenario"];
    let files: Vec<PathBuf> =
        folders.iter().flat_map(|folder| files_below(&root.join(folder))).collect();
    if files.is_empty() {
        eprintln!("skipped: no corpus at {}", root.display());
        return;
    }
    let compared = files.iter().filter(|path| check(path)).count();
    eprintln!("{compared} files read as libpcap reads them");
    assert!(compared > 0);
}
