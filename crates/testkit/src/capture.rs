//! A capture in memory, and its file. Knows pcap records, not what is in them.

use std::io::{self, Read, Write};

use dwell_packet::{Frame, LinkType, Timestamp};
use flate2::{Compression, GzBuilder};

/// One Ethernet frame of a [`Capture`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFrame {
    /// When it was seen.
    pub ts: Timestamp,
    /// The captured bytes.
    pub bytes: Vec<u8>,
    /// Length on the wire, in bytes.
    pub wire_len: u32,
}

/// Ethernet frames in the order in which they were added, or sorted by time.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    frames: Vec<CapturedFrame>,
}

impl Capture {
    /// A capture without frames.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a whole frame.
    pub fn push(&mut self, ts: Timestamp, bytes: Vec<u8>) {
        self.push_cut(ts, bytes, usize::MAX);
    }

    /// Adds a frame of which the capture holds the first `snap_len` bytes.
    pub fn push_cut(&mut self, ts: Timestamp, mut bytes: Vec<u8>, snap_len: usize) {
        let wire_len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes.truncate(snap_len);
        self.frames.push(CapturedFrame { ts, bytes, wire_len });
    }

    /// Puts the frames in time order; those of one time stay as they were added.
    pub fn sort(&mut self) {
        self.frames.sort_by_key(|frame| frame.ts);
    }

    /// Drops the frames after `end`.
    pub fn cut_after(&mut self, end: Timestamp) {
        self.frames.retain(|frame| frame.ts <= end);
    }

    /// The frames.
    #[must_use]
    pub fn frames(&self) -> &[CapturedFrame] {
        &self.frames
    }

    /// Takes all frames out.
    pub fn drain(&mut self) -> impl Iterator<Item = CapturedFrame> {
        self.frames.drain(..)
    }

    /// The frames as a sensor takes them, numbered from 1.
    pub fn sensed(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames.iter().zip(1..).map(|(frame, number)| Frame {
            ts: frame.ts,
            link_type: LinkType::ETHERNET,
            bytes: &frame.bytes,
            wire_len: frame.wire_len,
            number,
            processes: dwell_packet::Processes::default(),
        })
    }

    /// Writes a little-endian microsecond pcap file (times are rounded down).
    ///
    /// # Errors
    /// When `out` refuses the bytes.
    pub fn write_pcap(&self, out: &mut impl Write) -> io::Result<()> {
        let mut writer = PcapWriter::new(out)?;
        self.frames.iter().try_for_each(|frame| writer.write(frame))
    }

    /// Writes the pcap file compressed by gzip at level 9, without a time or a name of its own:
    /// the same frames give the same bytes.
    ///
    /// # Errors
    /// When `out` refuses the bytes.
    pub fn write_pcap_gz(&self, out: &mut impl Write) -> io::Result<()> {
        let mut gz = GzBuilder::new().mtime(0).write(out, Compression::best());
        self.write_pcap(&mut gz)?;
        gz.finish()?;
        Ok(())
    }

    /// Reads a little-endian microsecond pcap file of Ethernet frames, such as tcpdump writes and
    /// those in `pcaps/` are: enough to take templates from our own captures, nothing more.
    ///
    /// # Errors
    /// `InvalidData` for any other file, `UnexpectedEof` for one that ends in a record.
    pub fn read_pcap(file: &mut impl Read) -> io::Result<Self> {
        let magic = read_u32(file)?;
        let [_, _, _, _, link_type] = read_header(file)?;
        if magic != PCAP_MAGIC_US || link_type != LinkType::ETHERNET.0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("pcap magic {magic:08x}, link type {link_type}: not read here"),
            ));
        }
        let mut capture = Self::new();
        loop {
            let mut first = [0; 4];
            match file.read_exact(&mut first) {
                Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(capture),
                outcome => outcome?,
            }
            let seconds = u64::from(u32::from_le_bytes(first));
            let micros = u64::from(read_u32(file)?);
            let captured = read_u32(file)?;
            let wire_len = read_u32(file)?;
            if captured > SNAP_LEN {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("pcap record of {captured} bytes: at most {SNAP_LEN} are read"),
                ));
            }
            let mut bytes = vec![0; usize::try_from(captured).unwrap_or_default()];
            file.read_exact(&mut bytes)?;
            let ts = Timestamp::from_parts(seconds, micros * 1_000);
            capture.frames.push(CapturedFrame { ts, bytes, wire_len });
        }
    }
}

/// Writes a little-endian microsecond pcap file of Ethernet frames, one by one (times are rounded
/// down). Buffers nothing.
#[derive(Debug)]
pub struct PcapWriter<W> {
    out: W,
}

impl<W: Write> PcapWriter<W> {
    /// Bytes of the file header.
    pub const FILE_HEADER: u64 = 24;
    /// Bytes in front of each frame.
    pub const RECORD_HEADER: u64 = 16;

    /// Writes the file header.
    ///
    /// # Errors
    /// When `out` refuses the bytes.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&PCAP_MAGIC_US.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        out.write_all(&SNAP_LEN.to_le_bytes())?;
        out.write_all(&LinkType::ETHERNET.0.to_le_bytes())?;
        Ok(Self { out })
    }

    /// Writes one frame.
    ///
    /// # Errors
    /// When `out` refuses the bytes.
    pub fn write(&mut self, frame: &CapturedFrame) -> io::Result<()> {
        let micros = frame.ts.as_nanos() / 1_000;
        let captured = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        for field in [
            u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX),
            u32::try_from(micros % 1_000_000).unwrap_or_default(),
            captured,
            frame.wire_len,
        ] {
            self.out.write_all(&field.to_le_bytes())?;
        }
        self.out.write_all(&frame.bytes)
    }
}

fn read_header(file: &mut impl Read) -> io::Result<[u32; 5]> {
    let mut fields = [0; 5];
    for field in &mut fields {
        *field = read_u32(file)?;
    }
    Ok(fields)
}

fn read_u32(file: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Little-endian file, times in microseconds.
const PCAP_MAGIC_US: u32 = 0xa1b2_c3d4;
/// What tcpdump writes as its snap length: above any frame.
const SNAP_LEN: u32 = 262_144;

#[cfg(test)]
mod tests {
    use super::*;

    fn two_frames() -> Capture {
        let mut capture = Capture::new();
        capture.push(Timestamp::from_parts(9, 5_000), vec![1; 60]);
        capture.push_cut(Timestamp::from_parts(8, 0), vec![2; 1514], 96);
        capture
    }

    #[test]
    fn a_written_file_reads_back() {
        let mut file = Vec::new();
        two_frames().write_pcap(&mut file).unwrap();
        let read = Capture::read_pcap(&mut file.as_slice()).unwrap();
        assert_eq!(read.frames(), two_frames().frames());
        assert_eq!(read.frames()[1].wire_len, 1514);
        assert_eq!(read.frames()[1].bytes.len(), 96);
    }

    #[test]
    fn frames_sort_by_time_and_are_numbered_from_one() {
        let mut capture = two_frames();
        capture.sort();
        let order: Vec<(u64, u8)> = capture.sensed().map(|f| (f.number, f.bytes[0])).collect();
        assert_eq!(order, [(1, 2), (2, 1)]);
    }

    #[test]
    fn any_other_file_is_refused() {
        let mut file = Vec::new();
        two_frames().write_pcap(&mut file).unwrap();
        for (at, byte) in [(0, 0x4d), (20, 101), (24 + 11, 0xff)] {
            let mut other = file.clone();
            other[at] = byte;
            let refusal = Capture::read_pcap(&mut other.as_slice()).unwrap_err();
            assert_eq!(refusal.kind(), io::ErrorKind::InvalidData, "byte {at}");
        }
        let cut = &file[..file.len() - 1];
        let refusal = Capture::read_pcap(&mut &*cut).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_compressed_file_carries_no_time() {
        let mut file = Vec::new();
        two_frames().write_pcap_gz(&mut file).unwrap();
        // RFC 1952, section 2.3: flags at 3, modification time at 4 to 7.
        assert_eq!(file[3..8], [0; 5]);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(file.as_slice()).read_to_end(&mut plain).unwrap();
        let mut expected = Vec::new();
        two_frames().write_pcap(&mut expected).unwrap();
        assert_eq!(plain, expected);
    }
}
