//! Why a capture cannot be read. Knows files and offsets, not formats.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a capture cannot be opened, or cannot be read any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be opened.
    #[error("{}: cannot open", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The path names a directory.
    #[error("{}: is a directory, not a capture", path.display())]
    IsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The file, or what it decompresses to, has no bytes.
    #[error("{}: empty file", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file starts like no capture that is known.
    #[error("{}: not a pcap or pcapng file: starts with {}", path.display(), Hex(first_bytes))]
    NotACapture {
        /// The file.
        path: PathBuf,
        /// How it starts, after decompression: at most four bytes.
        first_bytes: Vec<u8>,
    },
    /// The file's structure breaks; every frame before that was delivered.
    #[error(
        "{}: {place} at {}byte {offset}: {reason}",
        path.display(),
        if *decompressed { "decompressed " } else { "" }
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which part of it.
        place: Place,
        /// Where that part starts, in bytes from the start of the capture.
        offset: u64,
        /// Whether `offset` counts decompressed bytes, not those stored.
        decompressed: bool,
        /// What was expected against found.
        reason: String,
    },
    /// The operating system could not read on.
    #[error("{}: cannot read at byte {offset}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// How far reading got, in bytes of the file as stored.
        offset: u64,
        /// Why.
        source: io::Error,
    },
}

/// The part of a capture that is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The header of the file.
    Header,
    /// A packet record of a pcap file, from 1.
    Record(u64),
    /// A block of a pcapng file, from 1.
    Block(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("file header"),
            Self::Record(number) => write!(f, "record {number}"),
            Self::Block(number) => write!(f, "block {number}"),
        }
    }
}

/// What stopped a reader, before the file's name is put to it.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The stream gave an error.
    Stream(io::Error),
    /// The structure breaks at this part of the capture.
    Structure { place: Place, offset: u64, reason: String },
    /// The first bytes are those of no known format.
    UnknownFormat { first_bytes: Vec<u8> },
    /// There is not one byte.
    Empty,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Stream(error)
    }
}

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
