//! How many packets a classic pcap file has, and where to cut it. Knows nothing of the packets.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context as _, bail};

/// Counts the packets of a file. Reading it all, it also brings the file into the page cache.
pub(crate) fn count_packets(path: &Path) -> anyhow::Result<u64> {
    let (mut file, header) = open(path)?;
    let mut packets = 0;
    while let Some((_, captured)) = header.record(&mut file)? {
        let skipped = io::copy(&mut (&mut file).take(captured), &mut io::sink())?;
        if skipped < captured {
            bail!("{}: ends within packet {}", path.display(), packets + 1);
        }
        packets += 1;
    }
    Ok(packets)
}

/// Copies the first packets of a file, as many as fit into `bytes`, and tells how many.
pub(crate) fn cut(path: &Path, bytes: u64, out: &Path) -> anyhow::Result<u64> {
    let (mut file, header) = open(path)?;
    let mut out = BufWriter::with_capacity(BUFFER, File::create(out)?);
    out.write_all(&header.bytes)?;
    let (mut written, mut packets) = (FILE_HEADER, 0);
    while let Some((record, captured)) = header.record(&mut file)? {
        written += RECORD_HEADER + captured;
        if written > bytes {
            break;
        }
        out.write_all(&record)?;
        io::copy(&mut (&mut file).take(captured), &mut out)?;
        packets += 1;
    }
    out.flush()?;
    Ok(packets)
}

struct Header {
    bytes: [u8; 24],
    little_endian: bool,
}

impl Header {
    /// A record's header and its captured length; `None` at the end of the file.
    fn record(&self, file: &mut impl Read) -> io::Result<Option<([u8; 16], u64)>> {
        let mut record = [0; 16];
        match file.read_exact(&mut record) {
            Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            outcome => outcome?,
        }
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = record;
        let captured = if self.little_endian {
            u32::from_le_bytes([a, b, c, d])
        } else {
            u32::from_be_bytes([a, b, c, d])
        };
        Ok(Some((record, u64::from(captured))))
    }
}

fn open(path: &Path) -> anyhow::Result<(BufReader<File>, Header)> {
    let file = File::open(path).with_context(|| format!("{}", path.display()))?;
    let mut file = BufReader::with_capacity(BUFFER, file);
    let mut bytes = [0; 24];
    file.read_exact(&mut bytes).with_context(|| format!("{}", path.display()))?;
    let [a, b, c, d, ..] = bytes;
    let little_endian = match [a, b, c, d] {
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => true,
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => false,
        magic => bail!("{}: magic {magic:02x?}, expected classic pcap", path.display()),
    };
    Ok((file, Header { bytes, little_endian }))
}

const FILE_HEADER: u64 = 24;
const RECORD_HEADER: u64 = 16;
const BUFFER: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Five packets of 10 bytes in either byte order.
    fn file(little_endian: bool) -> Vec<u8> {
        let number = |n: u32| if little_endian { n.to_le_bytes() } else { n.to_be_bytes() };
        let mut file = number(0xa1b2_c3d4).to_vec();
        file.extend_from_slice(&[0; 20]);
        for second in 1..=5 {
            for field in [second, 0, 10, 10] {
                file.extend_from_slice(&number(field));
            }
            file.extend_from_slice(&[0xd4; 10]);
        }
        file
    }

    #[test]
    fn packets_are_counted_and_cut_in_both_byte_orders() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, part) = (folder.path().join("whole"), folder.path().join("part"));
        for little_endian in [true, false] {
            let bytes = file(little_endian);
            std::fs::write(&whole, &bytes).unwrap();
            assert_eq!(count_packets(&whole).unwrap(), 5);
            assert_eq!(cut(&whole, 24 + 3 * 26 + 25, &part).unwrap(), 3);
            assert_eq!(std::fs::read(&part).unwrap(), bytes[..24 + 3 * 26]);
        }
    }

    #[test]
    fn a_file_that_ends_in_a_packet_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short");
        let bytes = file(true);
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(count_packets(&path).unwrap_err().to_string().contains("packet 5"));
        std::fs::write(&path, b"no capture, but long enough for a header").unwrap();
        assert!(count_packets(&path).unwrap_err().to_string().contains("magic"));
    }
}
