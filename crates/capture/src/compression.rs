//! Compressed captures, told by their first bytes. Knows gzip and Zstandard streams, not what
//! they hold.

use std::io::{self, BufReader, Cursor, ErrorKind, Read};

use flate2::bufread::GzDecoder;

/// How a capture is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// As it is.
    None,
    /// gzip (RFC 1952), of any number of members.
    Gzip,
    /// Zstandard (RFC 8878), of any number of frames.
    Zstd,
}

/// A stream of the capture's own bytes, and how they were stored.
///
/// # Errors
/// When the first bytes cannot be read, or a decompressor cannot be set up.
pub(crate) fn decompress(
    mut stored: Box<dyn Read + Send>,
) -> io::Result<(Compression, Box<dyn Read + Send>)> {
    let mut first = Vec::with_capacity(MAGIC_BYTES);
    stored.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut first)?;
    let compression = match first.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
        _ => Compression::None,
    };
    let whole = Cursor::new(first).chain(stored);
    let stream: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => {
            let stored = BufReader::with_capacity(STORED_BYTES, whole);
            Box::new(Gzip { member: Some(GzDecoder::new(stored)) })
        }
        Compression::Zstd => {
            let stored = BufReader::with_capacity(STORED_BYTES, whole);
            Box::new(zstd::stream::read::Decoder::with_buffer(stored)?)
        }
    };
    Ok((compression, stream))
}

/// gzip members, one after the other, until the end or padding of zeros.
struct Gzip<R: io::BufRead> {
    member: Option<GzDecoder<R>>,
}

impl<R: io::BufRead> Read for Gzip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            let Some(mut stored) = self.member.take().map(GzDecoder::into_inner) else { break };
            match stored.fill_buf()? {
                [] => break,
                [0x1f, ..] => self.member = Some(GzDecoder::new(stored)),
                [0, ..] => break,
                [other, ..] => {
                    let text = format!("gzip member starts with {other:02x}, expected 1f8b");
                    return Err(io::Error::new(ErrorKind::InvalidData, text));
                }
            }
        }
        Ok(0)
    }
}

/// Enough to tell every format that is known.
const MAGIC_BYTES: usize = 4;

/// Stored bytes read at once.
const STORED_BYTES: usize = 64 * 1024;
