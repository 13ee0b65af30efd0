use super::*;

const ONE: &str = "00000000000000000000000000000001";
const TWO: &str = "00000000000000000000000000000002";

fn frame(bytes: usize) -> KeptFrame {
    KeptFrame {
        case: 0,
        ts: Timestamp::from_parts(7, 9),
        wire_len: 1500,
        link_type: LinkType::ETHERNET,
        head: true,
        bytes: vec![0; bytes].into(),
    }
}

fn limits(per_finding: u64, total: u64) -> FolderLimits {
    FolderLimits { per_finding, total, keep: Some(Duration::from_secs(1000)) }
}

#[test]
fn a_folder_takes_what_there_is_room_for_and_counts_the_rest() {
    let root = tempfile::tempdir().unwrap();
    let folders = Folders::open(root.path(), limits(400, 1000)).unwrap();
    let mut folder = folders.folder(ONE).unwrap();
    assert!(folder.append_line("records.jsonl", &[b'x'; 99]).unwrap());
    assert_eq!(folder.append_frames(&[frame(84), frame(84), frame(84)]).unwrap(), 1);
    assert!(!folder.append_line("records.jsonl", &[b'x'; 99]).unwrap());
    assert!(folder.put("baseline.json", &[b'x'; 60]).unwrap());
    assert!(folder.put("baseline.json", &[b'y'; 70]).unwrap());
    assert!(!folder.put("baseline.json", &[b'z'; 99]).unwrap());
    let (bytes, _) = measure(folder.path()).unwrap();
    assert_eq!(bytes, 100 + 24 + 2 * 100 + 70);
    assert_eq!(folder.room(), 400 - bytes);
}

#[test]
fn a_piece_of_a_frame_is_cut_off_before_more_is_written() {
    let root = tempfile::tempdir().unwrap();
    let folders = Folders::open(root.path(), limits(4000, 9000)).unwrap();
    folders.folder(ONE).unwrap().append_frames(&[frame(84)]).unwrap();
    let path = folders.path_of(ONE).join("packets.pcap");
    let whole = fs::read(&path).unwrap();
    appended(&path).unwrap().write_all(&whole[24..70]).unwrap();
    folders.folder(ONE).unwrap().append_frames(&[frame(84)]).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 24 + 2 * 100);
    assert_eq!(bytes[24..124], bytes[124..]);
}

#[test]
fn the_oldest_folders_go_when_they_are_too_old_or_too_much() {
    let root = tempfile::tempdir().unwrap();
    let folders = Folders::open(root.path(), limits(4000, 150)).unwrap();
    fs::write(root.path().join("notes.txt"), "not ours").unwrap();
    for id in [ONE, TWO] {
        folders.folder(id).unwrap().append_line("records.jsonl", &[b'x'; 99]).unwrap();
    }
    let (_, written) = measure(&folders.path_of(ONE)).unwrap();
    let none = folders.tidy(written, |_| true).unwrap();
    assert_eq!(none, Removed::default());
    let one = folders.tidy(written, |id| id == TWO).unwrap();
    assert_eq!(one, Removed { aged: 0, crowded: 1 });
    assert!(!folders.path_of(ONE).exists());
    let later = written.saturating_add(Duration::from_secs(2000));
    assert_eq!(folders.tidy(later, |_| false).unwrap(), Removed { aged: 1, crowded: 0 });
    assert!(root.path().join("notes.txt").exists());
}

#[test]
fn a_name_that_is_no_identity_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let folders = Folders::open(root.path(), FolderLimits::default()).unwrap();
    assert!(folders.folder("../../etc").is_err());
    assert!(folders.folder("").is_err());
}

#[test]
fn a_beginning_finds_room_where_other_frames_do_not() {
    let root = tempfile::tempdir().unwrap();
    let folders = Folders::open(root.path(), limits(400, 1000)).unwrap();
    let mut folder = folders.folder(ONE).unwrap();
    let other = KeptFrame { head: false, ..frame(84) };
    let frames = [other.clone(), other.clone(), other.clone(), frame(84)];
    assert_eq!(folder.append_frames(&frames).unwrap(), 1);
    assert_eq!(fs::metadata(folder.path().join("packets.pcap")).unwrap().len(), 24 + 3 * 100);
}
