//! Records in a file that is rotated by size and time, compressed and thrown away in the end.

mod archive;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dwell_packet::Timestamp;

use super::{Clock, Failure, Item, Sink};
use archive::Archive;

/// A file of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// Where it is.
    pub path: PathBuf,
    /// When it is rotated, and what becomes of the old ones.
    pub rotation: Rotation,
}

/// When a file is rotated, and what becomes of the old ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Rotated once it is this long, in bytes; 0 never.
    pub max_bytes: u64,
    /// Rotated once it is this old; `None` never.
    pub every: Option<Duration>,
    /// Whether rotated files are compressed.
    pub compress: Compress,
    /// Rotated files older than this are removed; `None` keeps them.
    pub keep: Option<Duration>,
    /// Most bytes of rotated files; the oldest are removed. 0 sets no bound.
    pub keep_bytes: u64,
}

/// Whether rotated files are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compress {
    /// They stay as they are.
    #[default]
    No,
    /// With zstd.
    Zstd,
}

/// Writes records to a file.
#[derive(Debug)]
pub struct FileSink {
    config: FileConfig,
    clock: Clock,
    file: File,
    /// Bytes of whole lines in the file: what is behind them is a piece of a line that failed.
    whole: u64,
    opened: Timestamp,
    archive: Archive,
    buffer: Vec<u8>,
}

impl FileSink {
    /// Opens the file, to write at its end.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(config: FileConfig, clock: Clock) -> io::Result<Self> {
        let (file, whole) = open(&config.path)?;
        let archive = Archive::new(config.path.clone(), config.rotation.clone());
        archive.tidy(clock());
        Ok(Self { opened: clock(), config, clock, file, whole, archive, buffer: Vec::new() })
    }

    fn rotate_if_due(&mut self) -> io::Result<()> {
        let rotation = &self.config.rotation;
        let long = rotation.max_bytes > 0 && self.whole >= rotation.max_bytes;
        let now = (self.clock)();
        let old = rotation.every.is_some_and(|every| now.saturating_since(self.opened) >= every);
        if self.whole == 0 || !(long || old) {
            if old {
                self.opened = now;
            }
            return Ok(());
        }
        self.archive.put_away(now)?;
        self.open_again()?;
        self.archive.tidy(now);
        Ok(())
    }

    fn open_again(&mut self) -> io::Result<()> {
        let (file, whole) = open(&self.config.path)?;
        (self.file, self.whole, self.opened) = (file, whole, (self.clock)());
        Ok(())
    }

    /// Writes the buffer; on failure the file ends with its last whole line again.
    fn put(&mut self) -> io::Result<()> {
        if let Err(error) = self.file.write_all(&self.buffer) {
            // Where even that fails, the piece of a line stays: a reader skips it.
            let _ = self.file.set_len(self.whole);
            let _ = self.file.seek(SeekFrom::End(0));
            return Err(error);
        }
        self.whole += u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

impl Sink for FileSink {
    fn write(&mut self, items: &[Arc<Item>]) -> Result<(), Failure> {
        let named =
            |error: &io::Error, path: &PathBuf| Failure::of_io(error, &path.display().to_string());
        self.buffer.clear();
        for item in items {
            self.buffer.extend_from_slice(&item.bytes);
            self.buffer.push(b'\n');
        }
        self.put().map_err(|error| named(&error, &self.config.path))?;
        self.rotate_if_due().map_err(|error| {
            // The records are in the file: only the rotation is tried again, at the next tick.
            Failure { written: items.len(), ..named(&error, &self.config.path) }
        })
    }

    fn tick(&mut self) -> Result<(), Failure> {
        let path = self.config.path.display().to_string();
        self.rotate_if_due().map_err(|error| Failure::of_io(&error, &path))
    }

    fn reopen(&mut self) -> Result<(), Failure> {
        let path = self.config.path.display().to_string();
        self.open_again().map_err(|error| Failure::of_io(&error, &path))
    }
}

/// Whether a line is among the last ones of a file, or of the latest one that was rotated away.
#[must_use]
pub fn ends_with_line(path: &Path, line: &[u8]) -> bool {
    let in_tail = |file: &Path| {
        let tail = tail_of(file).unwrap_or_default();
        tail.split(|&byte| byte == b'\n').any(|known| known == line)
    };
    in_tail(path) || archive::latest(path).is_some_and(|file| in_tail(&file))
}

/// The end of a file, as far as it is looked at.
fn tail_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    Ok(tail)
}

/// How far the end of a file is looked at: many times what a sink may have in hand.
const TAIL_BYTES: u64 = 16 << 20;

/// Cuts off a piece of a line that a process left when it was killed. A file that has no line end
/// where one must be is left as it is, but for a line end.
fn mend(file: &mut File, path: &Path, len: u64) -> io::Result<u64> {
    let tail = tail_of(path)?;
    if tail.last().is_none_or(|&last| last == b'\n') {
        return Ok(len);
    }
    match tail.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => {
            let piece = tail.len().saturating_sub(end.saturating_add(1));
            let whole = len.saturating_sub(u64::try_from(piece).unwrap_or(0));
            file.set_len(whole)?;
            Ok(whole)
        }
        None => {
            file.write_all(b"\n")?;
            Ok(len.saturating_add(1))
        }
    }
}

/// Opens a file for appending and gives its length. The log may name people and machines: others
/// than owner and group cannot read it.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let mut file = options.open(path)?;
    let known = file.metadata()?;
    // A pipe has no end to look at.
    let len = if known.is_file() { mend(&mut file, path, known.len())? } else { known.len() };
    Ok((file, len))
}

#[cfg(test)]
mod tests;
