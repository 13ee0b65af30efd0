//! What findings stand on, on disk: a folder for each, within bounds on each and on all. Knows not
//! what is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dwell_packet::{LinkType, Timestamp};

use crate::KeptFrame;
use crate::pcap::{self, append_frame, write_header};

/// Bounds of what is kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderLimits {
    /// Most bytes of one finding.
    pub per_finding: u64,
    /// Most bytes of all; the oldest go first.
    pub total: u64,
    /// How long they are kept after something was written last; `None` for ever.
    pub keep: Option<Duration>,
}

impl Default for FolderLimits {
    fn default() -> Self {
        let keep = Some(Duration::from_secs(90 * 86_400));
        Self { per_finding: 8 << 20, total: 4 << 30, keep }
    }
}

/// Folders that were removed to keep the bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// For their age.
    pub aged: u64,
    /// For all of them being too much.
    pub crowded: u64,
}

/// The folders of all findings.
#[derive(Debug)]
pub struct Folders {
    root: PathBuf,
    limits: FolderLimits,
}

/// The folder of one finding, open for more.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    limit: u64,
    used: u64,
    /// Kinds of frames whose files were looked at: they are whole.
    mended: BTreeSet<u32>,
}

impl Folders {
    /// The folders under `root`, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: &Path, limits: FolderLimits) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.to_owned(), limits })
    }

    /// Where the evidence of a finding is, or will be.
    #[must_use]
    pub fn path_of(&self, finding: &str) -> PathBuf {
        self.root.join(finding)
    }

    /// The folder of a finding, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or a name is no identity of a finding.
    pub fn folder(&self, finding: &str) -> io::Result<Folder> {
        if !is_identity(finding) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no identity of a finding"));
        }
        let path = self.path_of(finding);
        fs::create_dir_all(&path)?;
        let (used, _) = measure(&path)?;
        Ok(Folder { path, limit: self.limits.per_finding, used, mended: BTreeSet::new() })
    }

    /// Removes folders that are older, or more, than is to be kept; never one that `is_open`.
    ///
    /// # Errors
    /// When the folders cannot be listed.
    pub fn tidy(&self, now: Timestamp, is_open: impl Fn(&str) -> bool) -> io::Result<Removed> {
        let mut folders = Vec::new();
        let mut total = 0u64;
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_identity(&name) {
                let (bytes, written) = measure(&entry.path())?;
                total = total.saturating_add(bytes);
                folders.push((written, bytes, name));
            }
        }
        folders.sort();
        let mut removed = Removed::default();
        for (written, bytes, name) in folders {
            let aged = self.limits.keep.is_some_and(|keep| now.saturating_since(written) > keep);
            let crowded = total > self.limits.total;
            if is_open(&name) || !(aged || crowded) {
                continue;
            }
            fs::remove_dir_all(self.path_of(&name))?;
            total = total.saturating_sub(bytes);
            removed.aged += u64::from(aged);
            removed.crowded += u64::from(!aged);
        }
        Ok(removed)
    }
}

impl Folder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes there is room for.
    #[must_use]
    pub const fn room(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Appends a line to a file; `false` if there is no room for it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append_line(&mut self, name: &str, line: &[u8]) -> io::Result<bool> {
        let bytes = count(line.len()).saturating_add(1);
        if bytes > self.room() {
            return Ok(false);
        }
        let mut file = appended(&self.path.join(name))?;
        let mut whole = Vec::with_capacity(line.len().saturating_add(1));
        whole.extend_from_slice(line);
        whole.push(b'\n');
        file.write_all(&whole)?;
        self.used = self.used.saturating_add(bytes);
        Ok(true)
    }

    /// Puts a file in the place of an earlier one of the name; `false` if there is no room for it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        let path = self.path.join(name);
        let before = fs::metadata(&path).map_or(0, |known| known.len());
        let used = self.used.saturating_sub(before).saturating_add(count(bytes.len()));
        if used > self.limit {
            return Ok(false);
        }
        let unfinished = self.path.join(format!("{name}.part"));
        fs::write(&unfinished, bytes)?;
        fs::rename(&unfinished, &path)?;
        self.used = used;
        Ok(true)
    }

    /// Appends frames to the capture; gives how many found no room. A quarter of the folder is for
    /// records and for beginnings of flows.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn append_frames(&mut self, frames: &[KeptFrame]) -> io::Result<u64> {
        let mut refused = 0;
        let mut pieces: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for frame in frames {
            let bytes = count(frame.bytes.len()).saturating_add(pcap::FRAME_BYTES);
            let reserved = if frame.head { 0 } else { self.limit / 4 };
            if bytes.saturating_add(pcap::HEADER_BYTES).saturating_add(reserved) > self.room() {
                refused += 1;
                continue;
            }
            self.used = self.used.saturating_add(bytes);
            let piece = pieces.entry(frame.link_type.0).or_default();
            append_frame(piece, frame.ts, frame.wire_len, &frame.bytes)?;
        }
        for (link_type, piece) in pieces {
            self.capture(LinkType(link_type))?.write_all(&piece)?;
        }
        Ok(refused)
    }

    /// The file for frames of a kind, ready for more. It is not kept open: there may be a thousand
    /// findings.
    fn capture(&mut self, link_type: LinkType) -> io::Result<File> {
        let path = self.path.join(match link_type {
            LinkType::ETHERNET => "packets.pcap".to_owned(),
            LinkType(other) => format!("packets-{other}.pcap"),
        });
        let mut file = appended(&path)?;
        if !self.mended.contains(&link_type.0) {
            if mend(&mut file, &path)? == 0 {
                write_header(&mut file, link_type)?;
                self.used = self.used.saturating_add(pcap::HEADER_BYTES);
            }
            self.mended.insert(link_type.0);
        }
        Ok(file)
    }
}

/// Cuts a piece of a frame off that a killed process left at the end; gives the length.
fn mend(file: &mut File, path: &Path) -> io::Result<u64> {
    let bytes = fs::read(path)?;
    let mut whole = usize::try_from(pcap::HEADER_BYTES).unwrap_or(0);
    if bytes.len() < whole {
        file.set_len(0)?;
        return Ok(0);
    }
    while let Some(header) = bytes.get(whole..).and_then(|rest| rest.first_chunk::<16>()) {
        let [.., a, b, c, d, _, _, _, _] = *header;
        let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let end = whole.saturating_add(header.len()).saturating_add(len);
        if end > bytes.len() {
            break;
        }
        whole = end;
    }
    file.set_len(count(whole))?;
    Ok(count(whole))
}

/// A file to append to. What it holds may name people and machines: others than owner and group
/// cannot read it.
fn appended(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

/// Bytes of a folder's files, and when one of them was written last.
fn measure(folder: &Path) -> io::Result<(u64, Timestamp)> {
    let mut bytes = 0u64;
    let mut written = Timestamp::ZERO;
    for entry in fs::read_dir(folder)? {
        let known = entry?.metadata()?;
        bytes = bytes.saturating_add(known.len());
        let since = known.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        written = written.max(Timestamp::ZERO.saturating_add(since));
    }
    Ok((bytes, written))
}

/// Whether a name is a finding's: 32 hexadecimal digits, and no path.
fn is_identity(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
