//! Rotated files: their names, compression, retention. Knows no records.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use dwell_packet::Timestamp;

use super::{Compress, Rotation};

/// What a file is called while it is being compressed.
const UNFINISHED: &str = "part";

/// The rotated files of one log.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    rotation: Rotation,
    /// Compression takes seconds: not on the sink's thread.
    compressing: Option<JoinHandle<()>>,
}

impl Archive {
    pub(super) const fn new(path: PathBuf, rotation: Rotation) -> Self {
        Self { path, rotation, compressing: None }
    }

    /// Renames the log to a name with the time in it, and begins to compress it.
    pub(super) fn put_away(&mut self, now: Timestamp) -> io::Result<()> {
        let target = self.free_name(now);
        fs::rename(&self.path, &target)?;
        if self.rotation.compress == Compress::Zstd {
            self.wait();
            let builder = std::thread::Builder::new().name("sink-zstd".to_owned());
            // Where no thread is to be had the file stays as it is, which is still a record.
            self.compressing = builder.spawn(move || compress(&target)).ok();
        }
        Ok(())
    }

    /// Removes what is older, or more, than is to be kept.
    pub(super) fn tidy(&self, now: Timestamp) {
        let mut old = self.rotated();
        old.sort_by_key(|(_, modified, _)| std::cmp::Reverse(*modified));
        let mut bytes = 0u64;
        for (path, modified, len) in old {
            bytes = bytes.saturating_add(len);
            let age = now.saturating_since(modified);
            let aged = self.rotation.keep.is_some_and(|keep| age > keep);
            let many = self.rotation.keep_bytes > 0 && bytes > self.rotation.keep_bytes;
            if aged || many {
                // Somebody else may have removed it: that is what was wanted.
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Waits for compression to end.
    fn wait(&mut self) {
        if let Some(thread) = self.compressing.take() {
            let _ = thread.join();
        }
    }

    /// A name that no file has: `eve-20261125T010203.json`, or with a number behind the time.
    fn free_name(&self, now: Timestamp) -> PathBuf {
        let seconds = i64::try_from(now.as_nanos() / 1_000_000_000).unwrap_or(0);
        let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let time = time.strftime("%Y%m%dT%H%M%S").to_string();
        let (stem, extension) = self.parts();
        let name = |number: u32| match number {
            0 => self.path.with_file_name(format!("{stem}-{time}{extension}")),
            n => self.path.with_file_name(format!("{stem}-{time}-{n}{extension}")),
        };
        let taken = |path: &PathBuf| path.exists() || with_suffix(path, "zst").exists();
        (0..=u32::MAX).map(name).find(|path| !taken(path)).unwrap_or_else(|| name(0))
    }

    fn parts(&self) -> (String, String) {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let extension = self.path.extension();
        let extension = extension.map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
        (stem, extension)
    }

    /// Every rotated file of this log with its time and length.
    fn rotated(&self) -> Vec<(PathBuf, Timestamp, u64)> {
        let (stem, extension) = self.parts();
        let ends = [extension.clone(), format!("{extension}.zst")];
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else {
            return Vec::new();
        };
        let of_this_log = |name: &str| {
            let rest = name.strip_prefix(&stem).and_then(|rest| rest.strip_prefix('-'));
            rest.is_some_and(|rest| {
                let digits = rest.bytes().take(8).filter(u8::is_ascii_digit).count() == 8;
                digits && ends.iter().any(|end| rest.ends_with(end.as_str()))
            })
        };
        entries
            .filter_map(Result::ok)
            .filter(|entry| of_this_log(&entry.file_name().to_string_lossy()))
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
                let modified = Timestamp::ZERO.saturating_add(since);
                Some((entry.path(), modified, metadata.len()))
            })
            .collect()
    }
}

impl Drop for Archive {
    /// A file that is being compressed is finished first, for a while: it is never lost, only
    /// left as it was.
    fn drop(&mut self) {
        let Some(thread) = &self.compressing else { return };
        for _ in 0..MAX_WAITS {
            if thread.is_finished() {
                break;
            }
            std::thread::park_timeout(WAIT);
        }
    }
}

/// The rotated file of a log that was written last, while it is not compressed.
pub(super) fn latest(path: &Path) -> Option<PathBuf> {
    let archive = Archive::new(path.to_owned(), Rotation::default());
    let plain = |path: &Path| path.extension().is_none_or(|extension| extension != "zst");
    let mut files = archive.rotated();
    files.retain(|(path, ..)| plain(path));
    files.into_iter().max_by_key(|(_, modified, _)| *modified).map(|(path, ..)| path)
}

/// How long the sensor waits at its end for a compression.
const WAIT: Duration = Duration::from_millis(10);
const MAX_WAITS: u32 = 30;

/// Puts a compressed copy in the place of a file; leaves the file where that fails.
fn compress(path: &Path) {
    let finished = with_suffix(path, "zst");
    let unfinished = with_suffix(&finished, UNFINISHED);
    let copied = || -> io::Result<()> {
        let mut from = fs::File::open(path)?;
        let mut to = zstd::Encoder::new(fs::File::create(&unfinished)?, 3)?;
        io::copy(&mut from, &mut to)?;
        to.finish()?.sync_all()?;
        fs::rename(&unfinished, &finished)
    };
    match copied() {
        Ok(()) => {
            let _ = fs::remove_file(path);
        }
        Err(_) => {
            let _ = fs::remove_file(&unfinished);
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}
