//! Community ID: the flow identifier that other tools share. Knows nothing of the table.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dwell_packet::FiveTuple;
use sha1::{Digest, Sha1};

/// The Community ID, version 1, of a five-tuple with seed 0: `1:` and a base64 SHA-1.
///
/// 30 bytes of ASCII, the same for both directions. Making one never allocates.
///
/// Source: Community ID flow hashing specification (Corelight), version 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommunityId([u8; Self::LEN]);

impl CommunityId {
    /// Length of the text: `1:` and the 28 characters of 20 bytes in base64.
    pub const LEN: usize = 30;

    /// The Community ID of a five-tuple.
    #[must_use]
    pub fn of(tuple: &FiveTuple) -> Self {
        let src = (Octets::of(tuple.src.addr), tuple.src.port);
        let dst = (Octets::of(tuple.dst.addr), tuple.dst.port);
        let ((low, low_port), (high, high_port)) = (src.min(dst), src.max(dst));
        let mut hash = Sha1::new();
        hash.update([0, 0]);
        hash.update(low.as_slice());
        hash.update(high.as_slice());
        hash.update([tuple.transport.number(), 0]);
        hash.update(low_port.to_be_bytes());
        hash.update(high_port.to_be_bytes());
        let mut text = *b"1:                            ";
        if let Some(digest) = text.get_mut(2..) {
            // 20 bytes fill the 28 characters exactly.
            let _ = STANDARD.encode_slice(hash.finalize(), digest);
        }
        Self(text)
    }

    /// The text.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The Community ID of a five-tuple as a `String`.
#[must_use]
pub fn community_id(tuple: &FiveTuple) -> String {
    CommunityId::of(tuple).to_string()
}

/// An address as it is hashed: 4 or 16 octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Octets {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Octets {
    const fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => Self::V6(v6.octets()),
        }
    }

    const fn as_slice(&self) -> &[u8] {
        match self {
            Self::V4(octets) => octets,
            Self::V6(octets) => octets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dwell_packet::{Endpoint, Transport};

    fn check(src: (&str, u16), dst: (&str, u16), transport: Transport, expected: &str) {
        let end = |(addr, port): (&str, u16)| Endpoint { addr: addr.parse().unwrap(), port };
        let tuple = FiveTuple { src: end(src), dst: end(dst), transport };
        assert_eq!(community_id(&tuple), expected);
        assert_eq!(community_id(&tuple.reversed()), expected);
    }

    /// Values of the specification's own baseline files for `tcp.pcap`, `udp.pcap` and
    /// `ipv6.pcap`, seed 0.
    #[test]
    fn matches_the_published_baselines() {
        check(
            ("128.232.110.120", 34855),
            ("66.35.250.204", 80),
            Transport::Tcp,
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        );
        check(
            ("192.168.1.52", 54585),
            ("8.8.8.8", 53),
            Transport::Udp,
            "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
        );
    }
}
