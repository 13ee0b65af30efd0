//! Capture files, frame by frame. Knows where bytes come from and what to say when they are bad;
//! the formats are their own modules'.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dwell_packet::{Frame, LinkType, Processes};

use crate::chunk::{Chunk, MAX_BYTES};
use crate::compression::{Compression, decompress};
use crate::error::{CaptureError, Fault, Place};
use crate::mapping::Mapping;
use crate::pcap::Pcap;
use crate::pcapng::Pcapng;
use crate::record::Record;
use crate::window::Window;

/// A capture file: pcap or pcapng, plain, gzip or Zstandard, each told by its first bytes.
///
/// Memory is bounded by the longest frame (16 MiB) and by the decompressor's window.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    window: Window,
    format: Format,
    compression: Compression,
    stored: Arc<Stored>,
    stored_len: Option<u64>,
    frames: u64,
    ended: bool,
    /// What stopped the reading after frames that were not delivered yet.
    failed: Option<CaptureError>,
}

/// The format of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// pcap, any dialect.
    Pcap,
    /// pcapng.
    Pcapng,
}

#[derive(Debug)]
enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl FileSource {
    /// Opens the file at `path`, which may be a pipe.
    ///
    /// # Errors
    /// When there is no such file, it is no capture, or its header is damaged.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let open = |source| CaptureError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open)?;
        let metadata = file.metadata().map_err(open)?;
        if metadata.is_dir() {
            return Err(CaptureError::IsDirectory { path: path.to_owned() });
        }
        let len = metadata.is_file().then_some(metadata.len());
        if let Some(mapping) = len.and_then(|len| Mapping::of(&file, len))
            && Format::recognises(mapping.bytes())
        {
            return Self::from_window(path.to_owned(), Window::mapped(mapping), len);
        }
        Self::from_stream(path.to_owned(), Box::new(file), len)
    }

    /// A capture from any stream of bytes; `name` stands for it in errors.
    ///
    /// # Errors
    /// When the stream fails, is no capture, or its header is damaged.
    pub fn from_reader(
        name: impl Into<PathBuf>,
        reader: Box<dyn Read + Send>,
    ) -> Result<Self, CaptureError> {
        Self::from_stream(name.into(), reader, None)
    }

    /// The next frame; `None` at the end, and after an error.
    ///
    /// Never allocates once the buffer holds the longest frame.
    ///
    /// # Errors
    /// When the file cannot be read on. Every frame before that was delivered.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        match self.next_record()? {
            Some(record) => Ok(Some(self.deliver(record))),
            None => Ok(None),
        }
    }

    /// Fills `chunk` with the next frames, a megabyte or so; false at the end.
    ///
    /// From a pipe it takes what there is and does not wait for more. Never allocates once the
    /// chunk has held as much.
    ///
    /// # Errors
    /// When the file cannot be read on. Every frame before that was delivered.
    pub fn next_chunk(&mut self, chunk: &mut Chunk) -> Result<bool, CaptureError> {
        chunk.frames.clear();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.window.hold(std::mem::take(&mut chunk.bytes));
        chunk.mapping = self.window.mapping().map(Arc::clone);
        let start = self.window.position();
        match self.ask_ahead() {
            Ok(()) => self.warm(start),
            Err(error) => self.failed = Some(error),
        }
        while chunk.has_room(self.window.position() - start) {
            if let Format::Pcap(pcap) = &mut self.format
                && !self.ended
            {
                pcap.walk(&mut self.window, chunk, start, &mut self.frames);
                let full = !chunk.has_room(self.window.position() - start);
                if full || (self.window.is_drained() && !chunk.frames.is_empty()) {
                    break;
                }
            }
            match self.next_record() {
                Ok(Some(record)) => {
                    self.frames += 1;
                    let processes = match &self.format {
                        Format::Pcapng(pcapng) => pcapng.kept_processes(&record),
                        Format::Pcap(_) => None,
                    };
                    chunk.put(&record, self.window.position(), self.frames, processes);
                    self.window.take(record.total);
                }
                Ok(None) => break,
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
            if self.window.is_drained() {
                break;
            }
        }
        chunk.bytes = self.window.release();
        match self.failed.take_if(|_| chunk.frames.is_empty()) {
            Some(error) => Err(error),
            None => Ok(!chunk.frames.is_empty()),
        }
    }

    /// Brings the headers of a mapped file's next chunk to the cache.
    fn warm(&self, start: usize) {
        let (Some(mapping), Format::Pcap(pcap)) = (self.window.mapping(), &self.format) else {
            return;
        };
        let end = start.saturating_add(MAX_BYTES).min(mapping.bytes().len());
        pcap.warm(mapping.bytes().get(start..end).unwrap_or_default());
    }

    /// Brings the next bytes of a mapped file to memory.
    fn ask_ahead(&mut self) -> Result<(), CaptureError> {
        let Some(mapping) = self.window.mapping() else { return Ok(()) };
        let start = self.window.position();
        let end = start.saturating_add(MAX_BYTES).min(mapping.bytes().len());
        mapping.ask_for(start, end).map_err(|source| {
            self.ended = true;
            CaptureError::Read { path: self.path.clone(), offset: self.window.offset(), source }
        })
    }

    /// The next record, whole in the window but not taken; `None` at the end, and after an error.
    fn next_record(&mut self) -> Result<Option<Record>, CaptureError> {
        if self.ended {
            return Ok(None);
        }
        self.ask_ahead()?;
        let found = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.window),
            Format::Pcapng(pcapng) => pcapng.next(&mut self.window),
        };
        found.inspect(|record| self.ended = record.is_none()).map_err(|fault| {
            self.ended = true;
            let at = At { place: self.place(), offset: self.window.offset() };
            error(&self.path, fault, self.compression, at, &self.stored)
        })
    }

    /// Bytes of the file as stored that were read.
    #[must_use]
    pub fn position(&self) -> u64 {
        match self.window.mapping() {
            Some(_) => self.window.offset(),
            None => self.stored.position.load(Ordering::Relaxed),
        }
    }

    /// Length of the file as stored, in bytes, where it is known.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty file is refused when opened")]
    pub const fn len(&self) -> Option<u64> {
        self.stored_len
    }

    /// pcap or pcapng.
    #[must_use]
    pub const fn file_kind(&self) -> FileKind {
        match self.format {
            Format::Pcap(_) => FileKind::Pcap,
            Format::Pcapng(_) => FileKind::Pcapng,
        }
    }

    /// How the file is stored.
    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// Frames delivered so far.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Link types known so far: all of a pcap file's, those described so far of a pcapng file's
    /// current section.
    #[must_use]
    pub fn link_types(&self) -> Vec<LinkType> {
        match &self.format {
            Format::Pcap(pcap) => vec![pcap.link_type()],
            Format::Pcapng(pcapng) => pcapng.link_types().collect(),
        }
    }

    /// The first link type, if none of those known so far can be decoded.
    #[must_use]
    pub fn unsupported_link_type(&self) -> Option<LinkType> {
        let known = self.link_types();
        if known.iter().any(|link_type| link_type.is_supported()) {
            return None;
        }
        known.first().copied()
    }

    fn from_stream(
        path: PathBuf,
        reader: Box<dyn Read + Send>,
        stored_len: Option<u64>,
    ) -> Result<Self, CaptureError> {
        let stored = Arc::new(Stored::default());
        let counted = Counted { reader, stored: Arc::clone(&stored) };
        let start = At { place: Place::Header, offset: 0 };
        let (compression, stream) = decompress(Box::new(counted)).map_err(|source| {
            error(&path, Fault::Stream(source), Compression::None, start, &stored)
        })?;
        let mut window = Window::new(stream);
        let format = Format::open(&mut window)
            .map_err(|fault| error(&path, fault, compression, start, &stored))?;
        Ok(Self {
            path,
            window,
            format,
            compression,
            stored,
            stored_len,
            frames: 0,
            ended: false,
            failed: None,
        })
    }

    /// A plain file whose bytes are all there.
    fn from_window(
        path: PathBuf,
        mut window: Window,
        stored_len: Option<u64>,
    ) -> Result<Self, CaptureError> {
        let stored = Arc::new(Stored::default());
        let (compression, start) = (Compression::None, At { place: Place::Header, offset: 0 });
        let format = Format::open(&mut window)
            .map_err(|fault| error(&path, fault, compression, start, &stored))?;
        let (frames, ended, failed) = (0, false, None);
        Ok(Self { path, window, format, compression, stored, stored_len, frames, ended, failed })
    }

    fn deliver(&mut self, record: Record) -> Frame<'_> {
        self.frames += 1;
        let bytes = self.window.take(record.total);
        let end = record.header + record.captured;
        Frame {
            ts: record.ts,
            link_type: record.link_type,
            bytes: bytes.get(record.header..end).unwrap_or_default(),
            wire_len: record.wire_len,
            number: self.frames,
            processes: match &self.format {
                Format::Pcapng(pcapng) => pcapng.processes(record),
                Format::Pcap(_) => Processes::default(),
            },
        }
    }

    fn place(&self) -> Place {
        match &self.format {
            Format::Pcap(pcap) => pcap.place(),
            Format::Pcapng(pcapng) => pcapng.place(),
        }
    }
}

impl Format {
    /// Whether a file that starts so is a capture as it stands.
    fn recognises(bytes: &[u8]) -> bool {
        bytes
            .first_chunk()
            .is_some_and(|magic| Pcap::recognises(*magic) || Pcapng::recognises(*magic))
    }

    fn open(window: &mut Window) -> Result<Self, Fault> {
        let whole = window.fill(4)?;
        let first = window.bytes();
        if first.is_empty() {
            return Err(Fault::Empty);
        }
        let magic = first.first_chunk::<4>().copied();
        match magic {
            Some(magic) if whole && Pcap::recognises(magic) => Pcap::open(window).map(Self::Pcap),
            Some(magic) if whole && Pcapng::recognises(magic) => {
                Pcapng::open(window).map(Self::Pcapng)
            }
            Some(_) | None => {
                let first_bytes = first.get(..4).unwrap_or(first).to_vec();
                Err(Fault::UnknownFormat { first_bytes })
            }
        }
    }
}

/// What the stored file's reader saw.
#[derive(Debug, Default)]
struct Stored {
    position: AtomicU64,
    failed: AtomicBool,
}

/// A reader that says how far it got, and whether it was the one that failed.
struct Counted {
    reader: Box<dyn Read + Send>,
    stored: Arc<Stored>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into);
        match &read {
            Ok(count) => {
                self.stored.position.fetch_add(*count as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.stored.failed.store(true, Ordering::Relaxed),
        }
        read
    }
}

/// Where a reader stood when it failed.
#[derive(Clone, Copy)]
struct At {
    place: Place,
    offset: u64,
}

/// The error to report for a fault: a stream error that the stored file's reader did not have
/// itself is the decompressor's, that is, damage.
fn error(
    path: &Path,
    fault: Fault,
    compression: Compression,
    at: At,
    stored: &Stored,
) -> CaptureError {
    let path = path.to_owned();
    let decompressed = compression != Compression::None;
    match fault {
        Fault::Empty => CaptureError::Empty { path },
        Fault::UnknownFormat { first_bytes } => CaptureError::NotACapture { path, first_bytes },
        Fault::Structure { place, offset, reason } => {
            CaptureError::Damaged { path, place, offset, decompressed, reason }
        }
        Fault::Stream(source) if stored.failed.load(Ordering::Relaxed) => {
            let offset = stored.position.load(Ordering::Relaxed);
            CaptureError::Read { path, offset, source }
        }
        Fault::Stream(source) => {
            let reason = source.to_string();
            CaptureError::Damaged { path, place: at.place, offset: at.offset, decompressed, reason }
        }
    }
}
