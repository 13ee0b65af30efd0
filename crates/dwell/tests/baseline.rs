//! A database across runs of the command: learnt, explained, carried on, labelled, tuned.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn dwell(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dwell")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn demo() -> String {
    let pcaps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcaps");
    pcaps.join("demo-office.pcap.gz").to_str().unwrap().to_owned()
}

/// A database that has learnt the demo.
fn learnt() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("dwell.db");
    let database = path.to_str().unwrap().to_owned();
    stdout(&dwell(&["replay", "--no-progress", "--baseline", &database, &demo()]));
    (folder, database)
}

#[test]
fn what_a_replay_learnt_can_be_asked_for() {
    let (_folder, database) = learnt();
    let stats = stdout(&dwell(&["baseline", "stats", "-d", &database]));
    assert!(stats.contains("learning for"), "{stats}");
    let explain = ["baseline", "explain", "10.0.0.1", "curl", "nowhere.example", "-d", &database];
    let explained = stdout(&dwell(&explain));
    assert!(explained.contains("nowhere.example, rare"), "{explained}");
    assert!(explained.contains("judged by the catalogue"), "{explained}");
}

#[test]
fn a_baseline_can_be_carried_elsewhere_and_forgotten() {
    let (folder, database) = learnt();
    let other = folder.path().join("other.db").to_str().unwrap().to_owned();
    let exported = stdout(&dwell(&["baseline", "export", &other, "-d", &database]));
    assert!(!exported.starts_with("0 contacts"), "{exported}");
    stdout(&dwell(&["baseline", "reset", "-d", &database]));
    let stats = stdout(&dwell(&["baseline", "stats", "-d", &database]));
    assert!(stats.contains("nothing learnt yet") && stats.contains("reset:"), "{stats}");
    let imported = stdout(&dwell(&["baseline", "import", &other, "-d", &database]));
    assert_eq!(
        exported.split(" written").next().unwrap(),
        imported.split(" taken").next().unwrap()
    );
}

#[test]
fn findings_are_kept_labelled_and_exported() {
    let (_folder, database) = learnt();
    let list = stdout(&dwell(&["findings", "list", "-d", &database]));
    let id = list.split_whitespace().next().unwrap().to_owned();
    assert!(list.contains("AN0146"), "{list}");
    let shown = stdout(&dwell(&["findings", "show", &id, "-d", &database]));
    assert!(shown.contains(" has held "), "{shown}");
    let label =
        ["findings", "label", &id, "false-positive", "--by", "analyst", "--note", "ours", "-d"];
    stdout(&dwell(&[&label[..], &[database.as_str()]].concat()));
    let exported = stdout(&dwell(&["findings", "export", "-d", &database]));
    assert!(exported.contains(r#""by":"analyst""#), "{exported}");
    assert_eq!(stdout(&dwell(&["findings", "list", "--open", "-d", &database])), "");
}

#[test]
fn a_preview_names_what_would_change() {
    let (_folder, database) = learnt();
    let strict = stdout(&dwell(&["tune", "--set", "alert=99", "-d", &database]));
    assert!(strict.contains("0 with these") && strict.contains("\n- "), "{strict}");
    let wrong = dwell(&["tune", "--set", "colour=red", "-d", &database]);
    assert_eq!(wrong.status.code(), Some(3));
}

#[test]
fn a_frozen_baseline_stays_as_it_is() {
    let (_folder, database) = learnt();
    let before = stdout(&dwell(&["baseline", "stats", "-d", &database]));
    let replay = ["replay", "--no-progress", "--frozen", "--baseline", &database, &demo()];
    stdout(&dwell(&replay));
    assert_eq!(before, stdout(&dwell(&["baseline", "stats", "-d", &database])));
}

#[test]
fn a_damaged_database_is_moved_aside_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dwell.db");
    std::fs::write(&path, "not a database, but long enough to be taken for one ".repeat(40))
        .unwrap();
    let output = dwell(&["replay", "--no-progress", "--baseline", path.to_str().unwrap(), &demo()]);
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("moved aside to"), "{said}");
    assert!(folder.path().join("dwell.db.unusable-1").exists());
}
