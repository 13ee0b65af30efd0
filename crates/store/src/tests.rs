use std::path::PathBuf;
use std::time::Duration;

use dwell_detect::{Saved, SavedContact, SavedDay, SavedHost, SavedLongest, SavedShape, SavedVote};
use dwell_packet::Timestamp;

use super::*;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dwell.db");
    (folder, path)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_parts(seconds, 0)
}

/// `Saved` cannot be built by its fields outside its crate.
fn learned() -> Saved {
    let host = "10.0.0.7".parse().unwrap();
    let mut rows = Saved::default();
    rows.first = Some(at(5));
    rows.hosts =
        vec![SavedHost { host, first_seen: at(5), sessions: 3.0, mean_ln_s: 7.5, squares: 0.25 }];
    rows.contacts = vec![SavedContact {
        host,
        application: "curl".into(),
        kind: "library",
        destination: "a.example".into(),
        first: at(9),
    }];
    rows.days = vec![SavedDay { host, application: "curl".into(), day: 20_000 }];
    rows.votes = vec![SavedVote {
        host,
        application: "curl".into(),
        class: "rare",
        fresh: true,
        day: 20_000,
        bin: 4,
    }];
    rows.shapes = vec![SavedShape {
        host,
        application: None,
        class: "common",
        sessions: 2,
        mean: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        variance: [0.1; 7],
    }];
    rows.longest = vec![SavedLongest {
        host,
        application: "curl".into(),
        destination: "a.example".into(),
        held: Duration::from_secs(90),
        rank: 0,
    }];
    rows
}

#[test]
fn what_was_stored_is_there_after_opening_again() {
    let (_folder, path) = folder();
    let (mut store, opened) = Store::open(&path).unwrap();
    assert_eq!(opened, Opened::Fresh);
    store.save(&learned()).unwrap();
    drop(store);
    let (store, opened) = Store::open(&path).unwrap();
    assert_eq!(opened, Opened::Existing);
    assert_eq!(store.load().unwrap(), learned());
}

#[test]
fn votes_that_no_longer_count_are_removed() {
    let (_folder, path) = folder();
    let (mut store, _) = Store::open(&path).unwrap();
    store.save(&learned()).unwrap();
    let mut later = Saved::default();
    later.days = vec![SavedDay { day: 20_015, ..learned().days[0].clone() }];
    store.save(&later).unwrap();
    let rows = store.load().unwrap();
    assert!(rows.votes.is_empty());
    assert_eq!(rows.days, later.days);
}

fn moved_aside(path: &std::path::Path) -> String {
    let (store, opened) = Store::open(path).unwrap();
    assert_eq!(store.load().unwrap(), Saved::default());
    let Opened::MovedAside { to, reason } = opened else { panic!("{opened:?}") };
    assert!(to.exists(), "{to:?}");
    reason
}

#[test]
fn a_damaged_database_is_moved_aside() {
    let (_folder, path) = folder();
    std::fs::write(&path, b"SQLite format 3\0 and then nothing of the kind").unwrap();
    assert!(moved_aside(&path).contains("not a database"));
    // A good one whose pages were overwritten.
    let (mut store, _) = Store::open(&path).unwrap();
    store.save(&learned()).unwrap();
    store.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.iter_mut().skip(4096).for_each(|byte| *byte = 0x5a);
    std::fs::write(&path, bytes).unwrap();
    moved_aside(&path);
}

#[test]
fn a_newer_database_is_moved_aside_unchanged() {
    let (_folder, path) = folder();
    let (mut store, _) = Store::open(&path).unwrap();
    store.save(&learned()).unwrap();
    store.db.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    assert!(moved_aside(&path).contains("schema version 99"));
}

#[test]
fn a_database_of_something_else_is_moved_aside() {
    let (_folder, path) = folder();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    drop(other);
    assert!(moved_aside(&path).contains("not a database of this sensor"));
}

#[test]
fn labels_keep_their_history() {
    let (_folder, path) = folder();
    let (store, _) = Store::open(&path).unwrap();
    let said = |label: Label, seconds| LabelRow {
        label: label.name().to_owned(),
        person: "analyst".to_owned(),
        note: "seen".to_owned(),
        at: at(seconds),
    };
    store.label("ab", &said(Label::Open, 1)).unwrap();
    store.label("ab", &said(Label::FalsePositive, 2)).unwrap();
    store.label("cd", &said(Label::Benign, 3)).unwrap();
    let labels: Vec<String> =
        store.labels("ab").unwrap().into_iter().map(|row| row.label).collect();
    assert_eq!(labels, ["open", "false-positive"]);
}

#[test]
fn a_reset_forgets_what_was_learnt_and_says_so() {
    let (_folder, path) = folder();
    let (mut store, _) = Store::open(&path).unwrap();
    store.save(&learned()).unwrap();
    store.reset_baseline().unwrap();
    store.log(at(3), "reset", "baseline").unwrap();
    assert_eq!(store.load().unwrap(), Saved::default());
    assert_eq!(store.log_lines(5).unwrap().len(), 1);
}
