use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::SinkError;

/// A clock that tests move: each test has its own day, so that they do not meet.
static NOW_S: AtomicU64 = AtomicU64::new(1_793_608_200);

fn clock() -> Timestamp {
    Timestamp::from_parts(NOW_S.load(Ordering::SeqCst), 0)
}

fn item(text: &str) -> Arc<Item> {
    Arc::new(Item { kind: "flow", bytes: text.as_bytes().to_vec() })
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn sink(folder: &Path, rotation: Rotation) -> FileSink {
    let config = FileConfig { path: folder.join("eve.json"), rotation };
    FileSink::open(config, clock).unwrap()
}

#[test]
fn a_long_file_is_rotated_compressed_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let rotation = Rotation { max_bytes: 20, compress: Compress::Zstd, ..Rotation::default() };
    let mut sink = sink(folder.path(), rotation);
    for text in ["first line", "second line", "third", "fourth, and a little more"] {
        sink.write(&[item(text)]).unwrap();
    }
    drop(sink);
    let mut text = String::new();
    for name in files(folder.path()) {
        let bytes = fs::read(folder.path().join(&name)).unwrap();
        assert!(name == "eve.json" || name.ends_with(".json.zst"), "{name}");
        let bytes =
            if name.ends_with(".zst") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes };
        text.push_str(&String::from_utf8(bytes).unwrap());
    }
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["first line", "fourth, and a little more", "second line", "third"]);
}

#[test]
fn old_files_go_and_strangers_stay() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["eve-20200101T000000.json.zst", "eve-notes.json", "other-20200101T000000.json"] {
        let path = folder.path().join(name);
        fs::write(&path, "x").unwrap();
        let old = std::time::UNIX_EPOCH + Duration::from_secs(1_577_836_800);
        File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    }
    let keep = Some(Duration::from_secs(86_400));
    drop(sink(folder.path(), Rotation { keep, ..Rotation::default() }));
    assert_eq!(files(folder.path()), ["eve-notes.json", "eve.json", "other-20200101T000000.json"]);
}

#[test]
fn a_file_that_was_moved_away_is_left_once_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink(folder.path(), Rotation::default());
    sink.write(&[item("before")]).unwrap();
    fs::rename(folder.path().join("eve.json"), folder.path().join("eve.json.1")).unwrap();
    sink.reopen().unwrap();
    sink.write(&[item("after")]).unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!((read("eve.json.1"), read("eve.json")), ("before\n".into(), "after\n".into()));
}

/// Linux's /dev/full takes nothing: as a disk without space.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_tried_again() {
    let config = FileConfig { path: "/dev/full".into(), rotation: Rotation::default() };
    let mut sink = FileSink::open(config, clock).unwrap();
    let failure = sink.write(&[item("x")]).unwrap_err();
    assert_eq!(failure.written, 0);
    assert_eq!(failure.again, super::super::Again::Soon);
    assert_eq!(failure.error, SinkError::DiskFull);
}
