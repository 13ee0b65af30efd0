//! Protection of Initial packets (RFC 9001, section 5): AEAD_AES_128_GCM with keys that follow from
//! a connection ID. Knows no frames.

use aes::Aes128Enc;
use aes::cipher::BlockCipherEncrypt as _;
use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes128Gcm, KeyInit as _};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::conversation::Side;

/// Keys for what one side sends in Initial packets.
pub(crate) struct InitialKeys {
    packet: Aes128Gcm,
    header: Aes128Enc,
    iv: [u8; 12],
}

/// What was in a packet.
pub(super) struct Opened {
    /// The first byte without its protection.
    pub(super) first: u8,
    pub(super) number: u32,
    pub(super) frames: Vec<u8>,
}

impl InitialKeys {
    /// The keys of a connection whose client first sent to `original` (RFC 9001, section 5.2).
    pub(crate) fn new(original: &[u8], from: Side) -> Self {
        let (_, initial) = Hkdf::<Sha256>::extract(Some(&SALT), original);
        let label: &[u8] = match from {
            Side::Client => b"client in",
            Side::Server => b"server in",
        };
        let secret: [u8; 32] = expand(&initial, label);
        let secret = Hkdf::<Sha256>::from_prk(&secret);
        let Ok(secret) = secret else { return Self::from_parts([0; 16], [0; 12], [0; 16]) };
        Self::from_parts(
            expand(&secret, b"quic key"),
            expand(&secret, b"quic iv"),
            expand(&secret, b"quic hp"),
        )
    }

    fn from_parts(key: [u8; 16], iv: [u8; 12], header: [u8; 16]) -> Self {
        Self { packet: Aes128Gcm::new(&key.into()), header: Aes128Enc::new(&header.into()), iv }
    }

    /// Protects a packet; `header` ends with the packet number of `number_len` bytes.
    pub(crate) fn seal(
        &self,
        header: &[u8],
        number_len: usize,
        number: u32,
        frames: &[u8],
    ) -> Vec<u8> {
        let mut payload = frames.to_vec();
        let nonce = self.nonce(number).into();
        let tag = self.packet.encrypt_inout_detached(&nonce, header, payload.as_mut_slice().into());
        let tag = tag.map(|tag| tag.to_vec()).unwrap_or_default();
        let mut packet = [header, &payload, &tag].concat();
        self.mask(&mut packet, header.len().saturating_sub(number_len), number_len);
        packet
    }

    /// Removes a packet's protection; `None` when it is not these keys'.
    pub(super) fn open(&self, packet: &[u8], number_at: usize) -> Option<Opened> {
        let mut packet = packet.to_vec();
        // The length of the number is itself protected: all four bytes are unmasked, and those
        // that are payload are put back.
        let sealed = packet.clone();
        self.mask(&mut packet, number_at, MAX_NUMBER);
        let first = *packet.first()?;
        let number_len = usize::from(first & 3) + 1;
        let payload_at = number_at + number_len;
        let restored = number_at + MAX_NUMBER;
        packet.get_mut(payload_at..restored)?.copy_from_slice(sealed.get(payload_at..restored)?);
        let (header, rest) = packet.split_at_mut_checked(payload_at)?;
        let number = header.get(number_at..)?.iter().fold(0, |n, byte| n << 8 | u32::from(*byte));
        let (payload, tag) = rest.split_last_chunk_mut::<TAG>()?;
        let nonce = self.nonce(number).into();
        let frames = &mut *payload;
        self.packet.decrypt_inout_detached(&nonce, header, frames.into(), &(*tag).into()).ok()?;
        Some(Opened { first, number, frames: payload.to_vec() })
    }

    /// Adds or removes header protection (RFC 9001, section 5.4).
    fn mask(&self, packet: &mut [u8], number_at: usize, number_len: usize) {
        let sample = packet.get(number_at + MAX_NUMBER..).and_then(<[u8]>::first_chunk::<16>);
        let Some(sample) = sample else { return };
        let mut block = (*sample).into();
        self.header.encrypt_block(&mut block);
        let [mask_first, mask @ ..]: [u8; 16] = block.into();
        if let Some(first) = packet.first_mut() {
            *first ^= mask_first & 0x0f;
        }
        let number = packet.iter_mut().skip(number_at).take(number_len);
        number.zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }

    fn nonce(&self, number: u32) -> [u8; 12] {
        let mut nonce = self.iv;
        let tail = nonce.iter_mut().rev().zip(number.to_le_bytes());
        tail.for_each(|(byte, number)| *byte ^= number);
        nonce
    }
}

impl std::fmt::Debug for InitialKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InitialKeys").finish_non_exhaustive()
    }
}

/// Whether a long header's first byte says Initial: those packets' keys are known.
pub(super) const fn is_sealable(first: u8) -> bool {
    first & 0xb0 == 0x80
}

/// HKDF-Expand-Label without a context (RFC 8446, section 7.1).
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &[u8]) -> [u8; N] {
    let length = u16::try_from(N).unwrap_or_default().to_be_bytes();
    let label_len = u8::try_from(PREFIX.len() + label.len()).unwrap_or_default();
    let mut key = [0; N];
    // 255 hashes at most: never reached by a key.
    let _ = secret.expand_multi_info(&[&length, &[label_len], PREFIX, label, &[0]], &mut key);
    key
}

const PREFIX: &[u8] = b"tls13 ";
/// Bytes of an AEAD tag.
pub(super) const TAG: usize = 16;
/// The longest packet number; the sample of header protection starts behind it.
const MAX_NUMBER: usize = 4;
/// Version 1's (RFC 9001, section 5.2).
const SALT: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9001, appendix A.
    const DESTINATION: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

    #[test]
    fn the_servers_initial_of_the_rfc_is_sealed_to_the_byte() {
        // RFC 9001, appendix A.3: header c1000000010008f067a5502a4262b50040750001, the payload,
        // and the protected header cf000000010008f067a5502a4262b5004075c0d9 and first bytes.
        let payload = hex(concat!(
            "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf739",
            "88cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c94",
            "0d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00",
            "020304"
        ));
        let header = hex("c1000000010008f067a5502a4262b50040750001");
        let keys = InitialKeys::new(&DESTINATION, Side::Server);
        let packet = keys.seal(&header, 2, 1, &payload);
        let start = hex("cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b639");
        assert_eq!(packet[..start.len()], start);
        assert_eq!(packet.len(), header.len() + payload.len() + TAG);
    }

    #[test]
    fn what_is_sealed_opens_and_with_other_keys_does_not() {
        let header = [&[0xc0, 0, 0, 0, 1, 0, 0, 0, 0x40, 0x40][..], &[7]].concat();
        for from in [Side::Client, Side::Server] {
            let packet = InitialKeys::new(&DESTINATION, from).seal(&header, 1, 7, &[6; 60]);
            let opened = InitialKeys::new(&DESTINATION, from).open(&packet, 10).unwrap();
            assert_eq!((opened.first, opened.number), (0xc0, 7));
            assert_eq!(opened.frames, [6; 60]);
            assert!(InitialKeys::new(&[1; 8], from).open(&packet, 10).is_none());
            assert!(InitialKeys::new(&DESTINATION, from.other()).open(&packet, 10).is_none());
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }
}
