//! Frames into pcap files, which every tool opens. Knows no flows.

use std::io::{self, Write};

use dwell_packet::{LinkType, Timestamp};

/// Magic number of a pcap file with nanoseconds.
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;

/// Frames of any length may follow.
const SNAPLEN: u32 = 262_144;

/// What a file has before its first frame, in bytes.
pub(crate) const HEADER_BYTES: u64 = 24;

/// What each frame costs besides its bytes.
pub(crate) const FRAME_BYTES: u64 = 16;

/// Writes what a file begins with.
pub(crate) fn write_header(to: &mut impl Write, link_type: LinkType) -> io::Result<()> {
    for word in [MAGIC_NANOSECONDS, 0x0004_0002, 0, 0, SNAPLEN, link_type.0] {
        to.write_all(&word.to_le_bytes())?;
    }
    Ok(())
}

/// Writes one frame; the file begins with a header for frames of its kind.
///
/// # Errors
/// What the writer says.
pub fn append_frame(
    to: &mut impl Write,
    ts: Timestamp,
    wire_len: u32,
    bytes: &[u8],
) -> io::Result<()> {
    let nanos = ts.as_nanos();
    let seconds = u32::try_from(nanos / 1_000_000_000).unwrap_or(u32::MAX);
    let rest = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    for word in [seconds, rest, len, wire_len.max(len)] {
        to.write_all(&word.to_le_bytes())?;
    }
    to.write_all(bytes)
}
