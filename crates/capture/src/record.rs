//! What every capture format says of one frame, and its byte order. Knows no format.

use dwell_packet::{Heading, LinkType, Timestamp};

/// The longest frame that is read, in bytes: a stray super-frame passes, the rubbish of a damaged
/// header does not. libpcap stops at 262,144.
pub(crate) const MAX_CAPTURED: u32 = 16 * 1024 * 1024;

/// One frame's place in the window and its header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) ts: Timestamp,
    pub(crate) link_type: LinkType,
    /// Length on the wire, in bytes; never less than `captured`.
    pub(crate) wire_len: u32,
    /// Bytes before the frame's first.
    pub(crate) header: usize,
    /// Bytes of the frame.
    pub(crate) captured: usize,
    /// Bytes of the whole record.
    pub(crate) total: usize,
    /// The processes behind it, by their place in the section: owner and effective.
    pub(crate) processes: [Option<usize>; 2],
    /// Which way the frame went, where that is noted with its processes.
    pub(crate) heading: Option<Heading>,
}

/// The byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// The 16-bit number at `at`; zero when the bytes end before.
    pub(crate) fn u16_at(self, bytes: &[u8], at: usize) -> u16 {
        let found: [u8; 2] = array_at(bytes, at);
        match self {
            Self::Little => u16::from_le_bytes(found),
            Self::Big => u16::from_be_bytes(found),
        }
    }

    /// The 32-bit number at `at`; zero when the bytes end before.
    pub(crate) fn u32_at(self, bytes: &[u8], at: usize) -> u32 {
        let found: [u8; 4] = array_at(bytes, at);
        match self {
            Self::Little => u32::from_le_bytes(found),
            Self::Big => u32::from_be_bytes(found),
        }
    }

    /// The four 32-bit numbers of sixteen bytes.
    #[inline]
    pub(crate) fn words(self, bytes: &[u8; 16]) -> [u32; 4] {
        let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        let words = [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]];
        match self {
            Self::Little => words.map(u32::from_le_bytes),
            Self::Big => words.map(u32::from_be_bytes),
        }
    }

    /// The signed 64-bit number at `at`; zero when the bytes end before.
    pub(crate) fn i64_at(self, bytes: &[u8], at: usize) -> i64 {
        let found: [u8; 8] = array_at(bytes, at);
        match self {
            Self::Little => i64::from_le_bytes(found),
            Self::Big => i64::from_be_bytes(found),
        }
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}
