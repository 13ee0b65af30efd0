//! Initial packet protection: keys from a connection ID, and opening a packet with them.
//!
//! Knows RFC 9001, section 5, for AEAD_AES_128_GCM, the only cipher of Initial packets. It knows
//! neither connections nor frames.

use std::ops::Range;
use std::sync::LazyLock;

use aes::Aes128Enc;
use aes::cipher::BlockCipherEncrypt;
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U12;
use aes_gcm::{AesGcm, KeyInit};
use hkdf::{Hkdf, HkdfExtract};
use sha2::Sha256;

use super::header::LongPacket;
use super::version::{CLIENT_IN, SERVER_IN, Version};

/// Whose packets some keys protect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// Keys of one direction, and the highest packet number opened with them.
pub(crate) struct Keys {
    /// AEAD_AES_128_GCM; as GCM decrypts by encrypting counters, without keys for decryption.
    packet: AesGcm<Aes128Enc, U12>,
    header: Aes128Enc,
    iv: [u8; IV],
    /// What the next packet number would be.
    expected: u64,
}

impl Keys {
    /// The Initial keys of `role` on the connection whose client chose `destination` first.
    ///
    /// `None` for a version that is not known. Costs some 0.9 µs.
    pub(crate) fn derive(version: Version, destination: &[u8], role: Role) -> Option<Self> {
        let initial = initial_secret(version, destination)?;
        let label = match role {
            Role::Client => CLIENT_IN,
            Role::Server => SERVER_IN,
        };
        let secret = Hkdf::<Sha256>::from_prk(&expand::<32>(&initial, label)?).ok()?;
        let labels = version.labels();
        Some(Self {
            packet: AesGcm::new(&expand::<16>(&secret, labels.key)?.into()),
            header: Aes128Enc::new(&expand::<16>(&secret, labels.header)?.into()),
            iv: expand(&secret, labels.iv)?,
            expected: 0,
        })
    }

    /// Opens `packet` in `scratch` and yields where its frames lie; `None` unless the tag is right.
    ///
    /// Allocates only if `scratch` is smaller than the packet.
    pub(crate) fn open(
        &mut self,
        packet: &LongPacket<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<Range<usize>> {
        scratch.clear();
        scratch.extend_from_slice(packet.bytes);
        let mask = self.mask(scratch, packet.number_at)?;
        let (first, _) = scratch.split_first_mut()?;
        *first ^= mask.first()? & LONG_HEADER_MASK;
        let number_length = usize::from(*first & 0b11).checked_add(1)?;
        let payload_at = packet.number_at.checked_add(number_length)?;
        let mut truncated = 0_u64;
        for (byte, mask) in
            scratch.get_mut(packet.number_at..payload_at)?.iter_mut().zip(&mask[1..])
        {
            *byte ^= mask;
            truncated = truncated << 8 | u64::from(*byte);
        }
        let number = full_number(self.expected, truncated, number_length);
        let (header, rest) = scratch.split_at_mut_checked(payload_at)?;
        let (payload, tag) = rest.split_last_chunk_mut::<TAG>()?;
        let nonce = self.nonce(number).into();
        let opened =
            self.packet.decrypt_inout_detached(&nonce, header, payload.into(), &(*tag).into());
        opened.ok()?;
        self.expected = self.expected.max(number.saturating_add(1));
        Some(payload_at..scratch.len().checked_sub(TAG)?)
    }

    /// RFC 9001, section 5.4.3.
    fn mask(&self, packet: &[u8], number_at: usize) -> Option<[u8; BLOCK]> {
        let sample = packet.get(number_at.checked_add(MAX_NUMBER)?..)?.first_chunk::<BLOCK>()?;
        let mut block = (*sample).into();
        self.header.encrypt_block(&mut block);
        Some(block.into())
    }

    /// RFC 9001, section 5.3: the IV, its last eight bytes XORed with the packet number.
    fn nonce(&self, number: u64) -> [u8; IV] {
        let mut nonce = self.iv;
        for (byte, number) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *byte ^= number;
        }
        nonce
    }
}

#[cfg(test)]
impl Keys {
    /// The packet with that header, its packet number of `length` bytes included.
    pub(crate) fn seal(&self, header: &[u8], length: usize, number: u32, frames: &[u8]) -> Vec<u8> {
        let mut payload = frames.to_vec();
        let nonce = self.nonce(number.into()).into();
        let buffer = payload.as_mut_slice().into();
        let tag = self.packet.encrypt_inout_detached(&nonce, header, buffer).unwrap();
        let mut packet = [header, &payload, &tag].concat();
        let number_at = header.len() - length;
        let mask = self.mask(&packet, number_at).unwrap();
        packet[0] ^= mask[0] & LONG_HEADER_MASK;
        for (byte, mask) in packet[number_at..].iter_mut().take(length).zip(&mask[1..]) {
            *byte ^= mask;
        }
        packet
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Keys").field("expected", &self.expected).finish_non_exhaustive()
    }
}

/// RFC 9001, section 5.2. The state after version 1's salt is kept: it is nearly all the traffic, and
/// saves a tenth of a derivation.
fn initial_secret(version: Version, destination: &[u8]) -> Option<Hkdf<Sha256>> {
    static VERSION_1: LazyLock<Option<HkdfExtract<Sha256>>> =
        LazyLock::new(|| Version::V1.salt().map(|salt| HkdfExtract::new(Some(salt))));
    let mut extract = match version {
        Version::V1 => VERSION_1.clone()?,
        _ => HkdfExtract::new(Some(version.salt()?)),
    };
    extract.input_ikm(destination);
    let (_, secret) = extract.finalize();
    Some(secret)
}

fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    secret.expand(label, &mut out).ok()?;
    Some(out)
}

/// The packet number that ends in the `length` bytes of `truncated` and is nearest to `expected`
/// (RFC 9000, appendix A.3).
fn full_number(expected: u64, truncated: u64, length: usize) -> u64 {
    let window = 1_u64 << (8 * length.min(MAX_NUMBER));
    let half = window / 2;
    let candidate = expected & !(window - 1) | truncated;
    if candidate.saturating_add(half) <= expected && candidate < MAX_PACKET_NUMBER - window {
        candidate.saturating_add(window)
    } else if candidate > expected.saturating_add(half) && candidate >= window {
        candidate.saturating_sub(window)
    } else {
        candidate
    }
}

/// Bytes of the first byte that are protected in a long header (RFC 9001, section 5.4.1).
const LONG_HEADER_MASK: u8 = 0x0f;
/// Longest packet number on the wire (RFC 9000, section 17.1).
const MAX_NUMBER: usize = 4;
/// Packet numbers stay below this (RFC 9000, section 12.3).
const MAX_PACKET_NUMBER: u64 = 1 << 62;
/// AES block, and sample of the header protection.
const BLOCK: usize = 16;
/// AEAD_AES_128_GCM nonce and tag (RFC 5116, section 5.1).
const IV: usize = 12;
const TAG: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::header::Packets;
    use super::super::vectors;
    use super::*;

    fn open(keys: &mut Keys, datagram: &[u8]) -> Option<Vec<u8>> {
        let packet = Packets::new(datagram).next()?;
        let mut scratch = Vec::new();
        let frames = keys.open(&packet, &mut scratch)?;
        Some(scratch[frames].to_vec())
    }

    fn check(version: Version, role: Role, datagram: &[u8], frames: &str) {
        let mut keys = Keys::derive(version, &vectors::DESTINATION, role).unwrap();
        let opened = open(&mut keys, datagram).unwrap();
        let expected = vectors::bytes(frames);
        assert!(opened.starts_with(&expected));
        assert!(opened[expected.len()..].iter().all(|byte| *byte == 0), "padding follows");
    }

    /// RFC 9001, appendix A.2 and A.3; RFC 9369, appendix A.2 and A.3.
    #[test]
    fn published_initials_open() {
        let client = include_str!("../../vectors/rfc9001-client-frames.hex");
        let server = include_str!("../../vectors/rfc9001-server-frames.hex");
        check(Version::V1, Role::Client, &vectors::client_initial_1(), client);
        check(Version::V1, Role::Server, &vectors::server_initial_1(), server);
        check(Version::V2, Role::Client, &vectors::client_initial_2(), client);
        check(Version::V2, Role::Server, &vectors::server_initial_2(), server);
    }

    #[test]
    fn a_changed_byte_anywhere_does_not_open() {
        let datagram = vectors::client_initial_1();
        for place in [0, 5, 17, 20, 30, 700, 1199] {
            let mut changed = datagram.clone();
            changed[place] ^= 1;
            let mut keys = Keys::derive(Version::V1, &vectors::DESTINATION, Role::Client).unwrap();
            assert_eq!(open(&mut keys, &changed), None, "byte {place}");
        }
    }

    #[test]
    fn the_keys_of_the_other_side_do_not_open() {
        let mut keys = Keys::derive(Version::V1, &vectors::DESTINATION, Role::Server).unwrap();
        assert_eq!(open(&mut keys, &vectors::client_initial_1()), None);
    }

    /// RFC 9000, appendix A.3, and its edges.
    #[test]
    fn packet_numbers_are_those_nearest_to_the_expected() {
        assert_eq!(full_number(0xa82f_30eb, 0x9b32, 2), 0xa82f_9b32);
        assert_eq!(full_number(0, 0xff, 1), 0xff);
        assert_eq!(full_number(0x100, 0xff, 1), 0xff);
        assert_eq!(full_number(0xff, 0x01, 1), 0x101);
        assert_eq!(full_number(0, 0xffff_ffff, 4), 0xffff_ffff);
    }
}
