//! One finding's evidence in one file: a compressed archive with the SHA-256 of every file in it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The list of digests, as `sha256sum --check` reads it.
const SUMS: &str = "SHA256SUMS";

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundled {
    /// Names of the files, without the list of digests.
    pub files: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
}

/// Packs the files of `folder` and those of `more` (name and content) into `out`, a `.tar.zst`,
/// under a folder that is called `name`. The same files give the same bytes.
///
/// # Errors
/// When a file cannot be read or the archive cannot be written; then it is not there.
pub fn bundle(
    name: &str,
    folder: Option<&Path>,
    more: &[(&str, Vec<u8>)],
    out: &Path,
) -> io::Result<Bundled> {
    let mut files: Vec<(String, Vec<u8>)> =
        more.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
    if let Some(folder) = folder {
        for path in files_of(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, fs::read(&path)?));
        }
    }
    files.sort();
    let mut unfinished = out.as_os_str().to_owned();
    unfinished.push(".part");
    let unfinished = PathBuf::from(unfinished);
    let packed = pack(name, &files, &unfinished).and_then(|()| fs::rename(&unfinished, out));
    if packed.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    packed?;
    let bytes = files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    Ok(Bundled {
        files: files.into_iter().map(|(name, _)| name).collect(),
        bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
    })
}

fn pack(name: &str, files: &[(String, Vec<u8>)], out: &Path) -> io::Result<()> {
    let mut archive = tar::Builder::new(zstd::Encoder::new(File::create(out)?, 3)?);
    let mut sums = String::new();
    for (file, bytes) in files {
        append(&mut archive, &format!("{name}/{file}"), bytes)?;
        for byte in Sha256::digest(bytes) {
            sums.push_str(&format!("{byte:02x}"));
        }
        sums.push_str(&format!("  {file}\n"));
    }
    append(&mut archive, &format!("{name}/{SUMS}"), sums.as_bytes())?;
    archive.into_inner()?.finish()?.sync_all()
}

fn append(archive: &mut tar::Builder<impl Write>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    header.set_mode(0o640);
    archive.append_data(&mut header, path, bytes)
}

/// The ordinary files of a folder that are finished.
fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let unfinished = entry.path().extension().is_some_and(|extension| extension == "part");
        if entry.file_type()?.is_file() && !unfinished {
            files.push(entry.path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn unpacked(path: &Path) -> Vec<(String, Vec<u8>)> {
        let mut archive = tar::Archive::new(zstd::Decoder::new(File::open(path).unwrap()).unwrap());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        });
        entries.collect()
    }

    #[test]
    fn every_file_is_there_with_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("packets.pcap"), b"abc").unwrap();
        fs::write(folder.path().join("baseline.json.part"), b"half").unwrap();
        let out = folder.path().join("out.tar.zst");
        let evidence = folder.path().join("evidence");
        fs::create_dir(&evidence).unwrap();
        fs::rename(folder.path().join("packets.pcap"), evidence.join("packets.pcap")).unwrap();
        let more = [("finding.json", b"{}".to_vec())];
        let bundled = bundle("f1", Some(&evidence), &more, &out).unwrap();
        assert_eq!(
            bundled,
            Bundled { files: vec!["finding.json".into(), "packets.pcap".into()], bytes: 5 }
        );
        // FIPS 180-2, appendix B.1: the digest of "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let entries = unpacked(&out);
        let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["f1/finding.json", "f1/packets.pcap", "f1/SHA256SUMS"]);
        let sums = String::from_utf8(entries[2].1.clone()).unwrap();
        assert!(sums.contains(&format!("{abc}  packets.pcap\n")), "{sums}");
        assert_eq!(sums.lines().count(), 2);
    }

    #[test]
    fn a_bundle_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("missing/out.tar.zst");
        assert!(bundle("f1", None, &[], &out).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
