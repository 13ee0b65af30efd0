//! JA4 of a ClientHello (FoxIO technical details, "JA4: TLS Client Fingerprinting", BSD-3), its raw
//! form, and our own variant that survives session resumption.
//!
//! It knows the format; JA4S, JA4H and the rest of JA4+ are not BSD-3 and not here.

use sha2::{Digest, Sha256};

use crate::ascii::{hex_digits, into_string, push_hex_code};
use crate::bytes::codes;
use crate::client_hello::{Walk, extension, extensions, is_grease};
use crate::facts::Handshake;

/// JA4, JA4_r and the variant without resumption's extensions.
pub(crate) struct Ja4 {
    pub(crate) hashed: String,
    pub(crate) raw: String,
    pub(crate) stable: String,
    /// Whether an extension kind came twice (RFC 8446, section 4.2, forbids it).
    pub(crate) repeated_extension: bool,
}

/// All forms at once: the hashes are taken over slices of the raw form.
pub(crate) fn ja4(walk: &Walk<'_>, handshake: Handshake, offered_version: u16) -> Ja4 {
    let ciphers = Sorted::new(walk.ciphers.len() / 2, codes(walk.ciphers));
    let kinds = || extensions(walk.extensions).map(|found| found.kind);
    let listed = kinds().filter(|kind| !matches!(*kind, extension::SERVER_NAME | extension::ALPN));
    let listed = Sorted::new(walk.extensions.len() / 4, listed);
    let count = kinds().filter(|kind| !is_grease(*kind)).count();
    let passing = listed.codes().iter().filter(|kind| comes_with_resumption(**kind)).count();
    let prefix = |count| prefix(walk, handshake, offered_version, [ciphers.codes().len(), count]);

    let mut raw = Vec::with_capacity(raw_length(walk));
    raw.extend_from_slice(&prefix(count));
    let cipher_hash = push_part(&mut raw, |raw| push_list(raw, ciphers.codes().iter().copied()));
    let extension_hash =
        push_part(&mut raw, |raw| push_extensions(raw, listed.codes().iter(), walk));
    let hashed = [&prefix(count)[..], b"_", &cipher_hash, b"_", &extension_hash].concat();
    let stable = if passing == 0 {
        hashed.clone()
    } else {
        let lasting = listed.codes().iter().filter(|kind| !comes_with_resumption(**kind));
        let mut part = Vec::with_capacity(raw_length(walk));
        let extension_hash = push_part(&mut part, |part| push_extensions(part, lasting, walk));
        [&prefix(count - passing)[..], b"_", &cipher_hash, b"_", &extension_hash].concat()
    };
    let repeated_extension = listed.codes().windows(2).any(|pair| matches!(pair, [a, b] if a == b));
    Ja4 {
        hashed: into_string(hashed),
        raw: into_string(raw),
        stable: into_string(stable),
        repeated_extension,
    }
}

/// Bytes of the raw form, or a few more.
const fn raw_length(walk: &Walk<'_>) -> usize {
    let codes = walk.ciphers.len() / 2 + walk.extensions.len() / 4;
    codes.saturating_add(walk.signature_algorithms.len() / 2).saturating_mul(5).saturating_add(16)
}

/// Appends `_` and what `push` appends; the first 12 hex digits of the SHA-256 of the latter, or zeros
/// if it is nothing.
fn push_part(raw: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) -> [u8; 12] {
    raw.push(b'_');
    let start = raw.len();
    push(raw);
    let part = raw.get(start..).unwrap_or_default();
    let mut digits = [b'0'; 12];
    if !part.is_empty() {
        let digest = Sha256::digest(part);
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(&digest) {
            *pair = hex_digits(*byte);
        }
    }
    digits
}

/// The extension kinds and, behind another `_`, the signature algorithms, if there are any.
fn push_extensions<'k>(out: &mut Vec<u8>, kinds: impl Iterator<Item = &'k u16>, walk: &Walk<'_>) {
    push_list(out, kinds.copied());
    let mut algorithms =
        codes(walk.signature_algorithms).filter(|code| !is_grease(*code)).peekable();
    if algorithms.peek().is_some() {
        out.push(b'_');
        push_list(out, algorithms);
    }
}

/// `{t|q|d}{version}{d|i}{nn ciphers}{nn extensions}{alpn}`, ten bytes.
fn prefix(
    walk: &Walk<'_>,
    handshake: Handshake,
    offered_version: u16,
    counts: [usize; 2],
) -> [u8; 10] {
    let carrier = match handshake {
        Handshake::Tls => b't',
        Handshake::Quic => b'q',
        Handshake::Dtls => b'd',
    };
    let [version_a, version_b] = version_digits(offered_version);
    let name = if walk.has_server_name { b'd' } else { b'i' };
    let [[cipher_a, cipher_b], [extension_a, extension_b]] = counts.map(two_digits);
    let [alpn_a, alpn_b] = alpn_digits(walk.first_alpn());
    [
        carrier,
        version_a,
        version_b,
        name,
        cipher_a,
        cipher_b,
        extension_a,
        extension_b,
        alpn_a,
        alpn_b,
    ]
}

/// The version as JA4 writes it; all it does not know, drafts included, are `00`.
const fn version_digits(version: u16) -> [u8; 2] {
    match version {
        0x0304 => *b"13",
        0x0303 => *b"12",
        0x0302 => *b"11",
        0x0301 => *b"10",
        0x0300 => *b"s3",
        0x0002 => *b"s2",
        0xfeff => *b"d1",
        0xfefd => *b"d2",
        0xfefc => *b"d3",
        _ => *b"00",
    }
}

/// First and last byte of the first ALPN name if both are ASCII letters or digits, else the first
/// and last hex digit of the whole name; `00` without a name.
const fn alpn_digits(name: Option<&[u8]>) -> [u8; 2] {
    let (Some(&[first, ..]), Some(&[.., last])) = (name, name) else {
        return *b"00";
    };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [first, last];
    }
    let ([high, _], [_, low]) = (hex_digits(first), hex_digits(last));
    [high, low]
}

fn two_digits(count: usize) -> [u8; 2] {
    let capped = u8::try_from(count).unwrap_or(99).min(99);
    [b'0' + capped / 10, b'0' + capped % 10]
}

/// Padding, session ticket, pre-shared key and early data: they differ from one connection of the
/// same client to the next.
const fn comes_with_resumption(kind: u16) -> bool {
    matches!(
        kind,
        extension::PADDING
            | extension::SESSION_TICKET
            | extension::PRE_SHARED_KEY
            | extension::EARLY_DATA
    )
}

fn push_list(out: &mut Vec<u8>, list: impl Iterator<Item = u16>) {
    for (place, code) in list.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        push_hex_code(out, code);
    }
}

/// Codes without GREASE in ascending order; on the stack unless there are very many.
struct Sorted {
    few: [u16; FEW_CODES],
    count: usize,
    many: Vec<u16>,
}

impl Sorted {
    fn new(at_most: usize, list: impl Iterator<Item = u16>) -> Self {
        let mut sorted = Self { few: [0; FEW_CODES], count: 0, many: Vec::new() };
        let kept = list.filter(|code| !is_grease(*code));
        if at_most > FEW_CODES {
            sorted.many = kept.collect();
            sorted.many.sort_unstable();
            return sorted;
        }
        for (slot, code) in sorted.few.iter_mut().zip(kept) {
            *slot = code;
            sorted.count += 1;
        }
        sorted.few.get_mut(..sorted.count).unwrap_or_default().sort_unstable();
        sorted
    }

    fn codes(&self) -> &[u16] {
        if self.many.is_empty() {
            self.few.get(..self.count).unwrap_or_default()
        } else {
            &self.many
        }
    }
}

/// No hello of 4,231 captured ones has more ciphers or extensions; more are sorted on the heap.
const FEW_CODES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn check_alpn(name: &[u8], expected: &str) {
        assert_eq!(alpn_digits(Some(name)), expected.as_bytes(), "{name:?}");
    }

    /// JA4 technical details, section "ALPN Extension Value".
    #[test]
    fn alpn_digits_follow_the_published_examples() {
        check_alpn(b"h2", "h2");
        check_alpn(b"http/1.1", "h1");
        check_alpn(b"h", "hh");
        check_alpn(&[0xab], "ab");
        check_alpn(&[0xab, 0xcd], "ad");
        check_alpn(&[0x30, 0xab], "3b");
        check_alpn(&[0x30, 0x31, 0xab, 0xcd], "3d");
        check_alpn(&[0x30, 0xab, 0xcd, 0x31], "01");
        check_alpn(&[0x20, 0x61], "21");
        check_alpn(b"", "00");
        assert_eq!(alpn_digits(None), *b"00");
    }

    #[test]
    fn counts_stop_at_99() {
        assert_eq!(two_digits(0), *b"00");
        assert_eq!(two_digits(7), *b"07");
        assert_eq!(two_digits(99), *b"99");
        assert_eq!(two_digits(100), *b"99");
        assert_eq!(two_digits(40_000), *b"99");
    }
}
