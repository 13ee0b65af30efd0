//! QUIC versions: salts, labels, packet types and frame dialects of each.
//!
//! Knows only what tells versions apart; it opens no packet.

/// A version field (RFC 9000, section 15), known or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(pub(crate) u32);

/// How the frames inside an Initial are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RFC 9000, section 19: TLS in CRYPTO frames of type 06.
    Ietf,
    /// TLS in Google's frames: CRYPTO is type 08.
    GoogleTls,
    /// A Google CHLO in Google's frames.
    GoogleCrypto,
}

/// What a long header announces (RFC 9000, section 17.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketType {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
}

/// The HKDF labels that give key, IV and header protection key (RFC 9001, section 5.1), each as
/// the `HkdfLabel` structure of RFC 8446, section 7.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels {
    pub(crate) key: &'static [u8],
    pub(crate) iv: &'static [u8],
    pub(crate) header: &'static [u8],
}

impl Version {
    /// RFC 9000.
    pub(crate) const V1: Self = Self(1);
    /// RFC 9369.
    pub(crate) const V2: Self = Self(0x6b33_43cf);
    /// Version Negotiation packets say this (RFC 9000, section 17.2.1).
    pub(crate) const NEGOTIATION: Self = Self(0);
    /// Google QUIC with an encrypted Initial and the CHLO of before.
    pub(crate) const Q050: Self = Self(u32::from_be_bytes(*b"Q050"));
    const T050: Self = Self(u32::from_be_bytes(*b"T050"));
    const T051: Self = Self(u32::from_be_bytes(*b"T051"));

    /// The salt of the Initial secret; `None` for a version that is not known.
    pub(crate) const fn salt(self) -> Option<&'static [u8; 20]> {
        match self {
            Self(0xff00_0016 | 0xface_b001) => Some(&DRAFT_22),
            Self(0xff00_0017..=0xff00_001c | 0xface_b002 | 0xface_b00e) => Some(&DRAFT_23),
            Self(0xff00_001d..=0xff00_0020) => Some(&DRAFT_29),
            Self::V1 | Self(0xff00_0021 | 0xff00_0022) => Some(&VERSION_1),
            Self::V2 => Some(&VERSION_2),
            Self::Q050 => Some(&GOOGLE_Q050),
            Self::T050 => Some(&GOOGLE_T050),
            Self::T051 => Some(&GOOGLE_T051),
            _ => None,
        }
    }

    pub(crate) fn labels(self) -> Labels {
        if self == Self::V2 { LABELS_2 } else { LABELS_1 }
    }

    pub(crate) const fn dialect(self) -> Dialect {
        match self {
            Self::Q050 => Dialect::GoogleCrypto,
            Self::T050 | Self::T051 => Dialect::GoogleTls,
            _ => Dialect::Ietf,
        }
    }

    /// The type in the first byte of a long header; version 2 permutes it (RFC 9369, section 3.2).
    pub(crate) fn packet_type(self, first: u8) -> PacketType {
        let bits = first >> 4 & 0b11;
        match if self == Self::V2 { bits.wrapping_sub(1) & 0b11 } else { bits } {
            0 => PacketType::Initial,
            1 => PacketType::ZeroRtt,
            2 => PacketType::Handshake,
            _ => PacketType::Retry,
        }
    }
}

/// `HkdfLabel` of the client's Initial secret: 32 bytes, "tls13 client in".
pub(crate) const CLIENT_IN: &[u8] = b"\x00\x20\x0ftls13 client in\x00";
/// `HkdfLabel` of the server's Initial secret: 32 bytes, "tls13 server in".
pub(crate) const SERVER_IN: &[u8] = b"\x00\x20\x0ftls13 server in\x00";

/// RFC 9001, section 5.1.
const LABELS_1: Labels = Labels {
    key: b"\x00\x10\x0etls13 quic key\x00",
    iv: b"\x00\x0c\x0dtls13 quic iv\x00",
    header: b"\x00\x10\x0dtls13 quic hp\x00",
};

/// RFC 9369, section 3.3.2.
const LABELS_2: Labels = Labels {
    key: b"\x00\x10\x10tls13 quicv2 key\x00",
    iv: b"\x00\x0c\x0ftls13 quicv2 iv\x00",
    header: b"\x00\x10\x0ftls13 quicv2 hp\x00",
};

/// draft-ietf-quic-tls-22, section 5.2; Facebook's mvfst kept it for faceb001.
const DRAFT_22: [u8; 20] = [
    0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x19, 0x3a, 0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd,
    0x7a, 0x02, 0x64, 0x4a,
];
/// draft-ietf-quic-tls-23 to -28, section 5.2; mvfst kept it for faceb002 and faceb00e.
const DRAFT_23: [u8; 20] = [
    0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65,
    0xbe, 0xf9, 0xf5, 0x02,
];
/// draft-ietf-quic-tls-29 to -32, section 5.2.
const DRAFT_29: [u8; 20] = [
    0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0,
    0x43, 0x90, 0xa8, 0x99,
];
/// RFC 9001, section 5.2, and drafts 33 and 34.
const VERSION_1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a,
];
/// RFC 9369, section 3.3.1.
const VERSION_2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb,
    0xf9, 0xbd, 0x2e, 0xd9,
];
/// Chromium, `crypto_utils.cc`, `kQ050Salt`.
const GOOGLE_Q050: [u8; 20] = [
    0x50, 0x45, 0x74, 0xef, 0xd0, 0x66, 0xfe, 0x2f, 0x9d, 0x94, 0x5c, 0xfc, 0xdb, 0xd3, 0xa7, 0xf0,
    0xd3, 0xb5, 0x6b, 0x45,
];
/// Chromium, `crypto_utils.cc`, `kT050Salt`.
const GOOGLE_T050: [u8; 20] = [
    0x7f, 0xf5, 0x79, 0xe5, 0xac, 0xd0, 0x72, 0x91, 0x55, 0x80, 0x30, 0x4c, 0x43, 0xa2, 0x36, 0x7c,
    0x60, 0x48, 0x83, 0x10,
];
/// Chromium, `crypto_utils.cc`, `kT051Salt`.
const GOOGLE_T051: [u8; 20] = [
    0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50, 0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc,
    0xda, 0x6e, 0x03, 0x3d,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_permutes_the_packet_types() {
        let types =
            |version: Version| [0xc0, 0xd0, 0xe0, 0xf0].map(|first| version.packet_type(first));
        let [initial, zero, handshake, retry] = types(Version::V1);
        assert_eq!(initial, PacketType::Initial);
        assert_eq!(types(Version::V2), [retry, initial, zero, handshake]);
    }

    #[test]
    fn unknown_reserved_and_negotiation_versions_have_no_salt() {
        for version in [0, 2, 0x1a2a_3a4a, 0xff00_0015, 0xff00_0023, 0xface_b000] {
            assert_eq!(Version(version).salt(), None, "{version:#x}");
        }
    }
}
