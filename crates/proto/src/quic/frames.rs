//! The CRYPTO frames of an opened Initial.
//!
//! Knows the frames that an Initial may hold (RFC 9000, sections 12.4 and 19) and those of Google
//! QUIC's last versions. It knows nothing of what CRYPTO frames carry.

use super::header::varint;
use super::version::Dialect;
use crate::bytes::Reader;

/// One piece of the handshake stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CryptoFrame<'a> {
    pub(crate) offset: u64,
    pub(crate) bytes: &'a [u8],
}

/// The CRYPTO frames in order; ends at the first frame that is broken or not known.
#[derive(Clone, Debug)]
pub(crate) struct CryptoFrames<'a> {
    reader: Reader<'a>,
    dialect: Dialect,
    left: u16,
}

impl<'a> CryptoFrames<'a> {
    pub(crate) const fn new(dialect: Dialect, frames: &'a [u8]) -> Self {
        Self { reader: Reader::new(frames), dialect, left: MAX_FRAMES }
    }

    fn crypto(&mut self) -> Option<CryptoFrame<'a>> {
        let offset = varint(&mut self.reader)?;
        let length = usize::try_from(varint(&mut self.reader)?).ok()?;
        Some(CryptoFrame { offset, bytes: self.reader.take(length)? })
    }
}

impl<'a> Iterator for CryptoFrames<'a> {
    type Item = CryptoFrame<'a>;

    fn next(&mut self) -> Option<CryptoFrame<'a>> {
        loop {
            skip_padding(&mut self.reader);
            self.left = self.left.checked_sub(1)?;
            let kind = match self.dialect {
                Dialect::Ietf => varint(&mut self.reader)?,
                Dialect::GoogleTls | Dialect::GoogleCrypto => u64::from(self.reader.u8()?),
            };
            match (self.dialect, kind) {
                (Dialect::Ietf, CRYPTO) => return self.crypto(),
                (Dialect::Ietf, _) => skip_frame(kind, &mut self.reader)?,
                (_, GOOGLE_CRYPTO) => return self.crypto(),
                (_, _) => skip_google_frame(kind, &mut self.reader)?,
            }
        }
    }
}

/// Steps over one frame of RFC 9000, section 19; `None` if it may not stand in an Initial.
fn skip_frame(kind: u64, reader: &mut Reader<'_>) -> Option<()> {
    match kind {
        PING => {}
        ACK | ACK_ECN => {
            let [_largest, _delay, ranges, _first] = varints(reader)?;
            // Each range takes two bytes or more, so the packet bounds the loop.
            for _ in 0..ranges {
                varints::<2>(reader)?;
            }
            if kind == ACK_ECN {
                varints::<3>(reader)?;
            }
        }
        CONNECTION_CLOSE => {
            let [_error, _frame, reason] = varints(reader)?;
            reader.take(usize::try_from(reason).ok()?)?;
        }
        _ => return None,
    }
    Some(())
}

/// Steps over one frame of Google QUIC ("QUIC Wire Layout Specification", section "Frame types").
fn skip_google_frame(kind: u64, reader: &mut Reader<'_>) -> Option<()> {
    match kind {
        GOOGLE_PING => {}
        GOOGLE_CLOSE => {
            reader.u32()?;
            let reason = usize::from(reader.u16()?);
            reader.take(reason)?;
        }
        GOOGLE_ACK..=GOOGLE_ACK_LAST => {
            let block = google_number_length(kind);
            reader.take(google_number_length(kind >> 2))?;
            reader.u16()?;
            let blocks = if kind & GOOGLE_ACK_BLOCKS == 0 { 0 } else { reader.u8()? };
            reader.take(block)?;
            for _ in 0..blocks {
                reader.u8()?;
                reader.take(block)?;
            }
            let times = usize::from(reader.u8()?);
            // The first is a number and four bytes of time, each other a number and two bytes.
            reader.take(if times == 0 { 0 } else { times * 3 + 2 })?;
        }
        _ => return None,
    }
    Some(())
}

/// Length of a packet number whose two-bit code ends `bits`.
const fn google_number_length(bits: u64) -> usize {
    match bits & 0b11 {
        0 => 1,
        1 => 2,
        2 => 4,
        _ => 6,
    }
}

fn varints<const N: usize>(reader: &mut Reader<'_>) -> Option<[u64; N]> {
    let mut values = [0; N];
    for value in &mut values {
        *value = varint(reader)?;
    }
    Some(values)
}

/// Steps over zero bytes, sixteen at a time: most of an Initial is padding.
fn skip_padding(reader: &mut Reader<'_>) {
    let rest = reader.rest();
    let (blocks, _) = rest.as_chunks::<16>();
    let zero_blocks = blocks.iter().take_while(|block| u128::from_ne_bytes(**block) == 0).count();
    let tail = rest.get(zero_blocks * 16..).unwrap_or_default();
    let zeros = tail.iter().take_while(|byte| **byte == 0).count();
    reader.take(zero_blocks * 16 + zeros);
}

/// Frames other than padding looked at in one packet; Chrome's shuffled hellos have some twenty.
const MAX_FRAMES: u16 = 2048;

/// RFC 9000, section 19.
const PING: u64 = 0x01;
const ACK: u64 = 0x02;
const ACK_ECN: u64 = 0x03;
const CRYPTO: u64 = 0x06;
const CONNECTION_CLOSE: u64 = 0x1c;
/// "QUIC Wire Layout Specification", section "Frame types"; Chromium, `quic_types.h`.
const GOOGLE_CLOSE: u64 = 0x02;
const GOOGLE_PING: u64 = 0x07;
const GOOGLE_CRYPTO: u64 = 0x08;
const GOOGLE_ACK: u64 = 0x40;
const GOOGLE_ACK_LAST: u64 = 0x7f;
const GOOGLE_ACK_BLOCKS: u64 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: Dialect, frames: &[u8], expected: &[(u64, &[u8])]) {
        let found: Vec<_> =
            CryptoFrames::new(dialect, frames).map(|frame| (frame.offset, frame.bytes)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn crypto_is_found_between_the_other_frames() {
        let frames = [
            &[0x00, 0x01, 0x02, 5, 0, 1, 2, 0, 3][..],
            &[0x06, 0x40, 0x04, 0x02, b'e', b'f'],
            &[0; 37],
            &[0x03, 5, 0, 0, 2, 1, 2, 3, 0x1c, 10, 6, 2, b'n', b'o'],
            &[0x06, 0x00, 0x01, b'a'],
        ];
        check(Dialect::Ietf, &frames.concat(), &[(4, b"ef"), (0, b"a")]);
    }

    #[test]
    fn a_frame_that_may_not_stand_here_ends_the_packet() {
        check(Dialect::Ietf, &[6, 0, 1, b'a', 0x08, 0, 6, 1, 1, b'b'], &[(0, b"a")]);
    }

    #[test]
    fn a_length_past_the_packet_ends_it() {
        check(Dialect::Ietf, &[6, 0, 1, b'a', 6, 1, 9, b'b'], &[(0, b"a")]);
    }

    #[test]
    fn an_acknowledgement_that_claims_too_many_ranges_ends_the_packet() {
        check(Dialect::Ietf, &[2, 5, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0], &[]);
    }

    /// Layout of "QUIC Wire Layout Specification": 2-byte largest, two blocks of 1 byte, two times.
    #[test]
    fn google_frames_are_stepped_over() {
        let ack = [0x64, 0, 9, 1, 1, 2, 3, 1, 1, 1, 2, 2, 0, 1, 0, 0, 0, 2, 0, 0];
        let frames = [&[0x07][..], &ack, &[0x08, 0x02, 0x01, b'c', 0, 0]].concat();
        check(Dialect::GoogleTls, &frames, &[(2, b"c")]);
    }
}
