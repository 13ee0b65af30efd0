//! Captures that are not part of this repository; skipped, loudly, where they are absent.
//!
//! Looked for in the folder that `DWELL_CORPUS` named when the tests were built, else in
//! `../shared/corpus` beside the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use dwell_capture::FileSource;

use crate::fixtures::{Conversation, WHOLE, conversation};
use crate::support::decoder;

/// All files below a folder of the corpus.
fn files(folder: &str) -> Vec<PathBuf> {
    let root = match option_env!("DWELL_CORPUS") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
    };
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    if found.is_empty() {
        eprintln!("skipped: no corpus at {}", root.join(folder).display());
    }
    found.sort();
    found
}

/// Decodes a file both ways and compares them; gives the number of frames.
fn check_both_ways(path: &Path) -> u64 {
    let Ok(mut source) = FileSource::open(path) else { return 0 };
    let (mut short, mut long) = (decoder(), decoder());
    while let Ok(Some(frame)) = source.next_frame() {
        let walked = long.decode_by_walk(frame);
        assert_eq!(short.decode(frame), walked, "{}: frame {}", path.display(), frame.number);
    }
    let counters = short.counters();
    let pdus = counters.tcp_segments + counters.udp_datagrams;
    assert_eq!(counters.frames, pdus + counters.discarded_frames(), "{}", path.display());
    counters.frames
}

#[test]
fn every_encapsulation_gives_the_conversation() {
    for path in files("ja/synth/encap") {
        let cut = path.ends_with("file-snaplen-96.pcap");
        let is_capture = path.extension().is_some_and(|e| e == "pcap" || e == "pcapng");
        if is_capture {
            let found = conversation(&path);
            let expected = if cut {
                Conversation { tcp: (13, 252), udp: (2, 108), invalid: 0 }
            } else {
                WHOLE
            };
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}

#[test]
fn both_ways_agree_on_every_capture() {
    let mut frames = 0;
    for folder in
        ["ja/captures", "ja/synth/cases", "evasion/open", "malformed", "clients", "endpoint"]
    {
        frames += files(folder).iter().map(|path| check_both_ways(path)).sum::<u64>();
    }
    eprintln!("{frames} frames decoded both ways");
}
